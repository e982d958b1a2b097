// SPDX-License-Identifier: Apache-2.0
#include "engine/error_counts.h"

#include <map>
#include <mutex>

namespace dyno {
namespace {

constexpr size_t kWordsMax = 128;

struct Counts {
  std::mutex mutex;
  std::map<std::string, int64_t, std::less<>> by_word;
};

Counts& counts() {
  static Counts* instance = new Counts;
  return *instance;
}

}  // namespace

void count_error(std::string_view text) {
  std::string_view word = text.substr(0, text.find(' '));
  std::lock_guard lock(counts().mutex);
  auto& by_word = counts().by_word;
  auto found = by_word.find(word);
  if (found == by_word.end()) {
    if (by_word.size() >= kWordsMax) word = "ERRORSTATS_OVERFLOW";
    found = by_word.emplace(std::string(word), 0).first;
  }
  ++found->second;
}

std::vector<std::pair<std::string, int64_t>> error_counts() {
  std::lock_guard lock(counts().mutex);
  return {counts().by_word.begin(), counts().by_word.end()};
}

void reset_error_counts() {
  std::lock_guard lock(counts().mutex);
  counts().by_word.clear();
}

}  // namespace dyno
