// SPDX-License-Identifier: Apache-2.0
#include "src/slow_log.h"

#include "src/event_loop.h"

namespace dyno {
namespace {

constexpr size_t kArgsMax = 32;
constexpr size_t kArgBytesMax = 128;

std::vector<std::string> shortened(Args args) {
  std::vector<std::string> kept;
  for (size_t i = 0; i < args.size(); ++i) {
    if (i == kArgsMax - 1 && args.size() > kArgsMax) {
      kept.push_back("... (" + std::to_string(args.size() - i) + " more arguments)");
      break;
    }
    std::string arg(args[i].substr(0, kArgBytesMax));
    if (args[i].size() > kArgBytesMax) {
      arg += "... (" + std::to_string(args[i].size() - kArgBytesMax) + " more bytes)";
    }
    kept.push_back(std::move(arg));
  }
  return kept;
}

}  // namespace

void SlowLog::add(int64_t duration_us, Args args, std::string address, std::string name,
                  int64_t kept) {
  Item item{
      0, unix_time_ms() / 1000, duration_us, shortened(args), std::move(address), std::move(name)};
  std::lock_guard lock(mutex_);
  item.id = next_id_++;
  items_.push_front(std::move(item));
  while (static_cast<int64_t>(items_.size()) > kept) items_.pop_back();
}

std::vector<SlowLog::Item> SlowLog::newest(int64_t count) const {
  std::lock_guard lock(mutex_);
  size_t wanted =
      count < 0 ? items_.size() : std::min<size_t>(static_cast<size_t>(count), items_.size());
  return {items_.begin(), items_.begin() + static_cast<long>(wanted)};
}

size_t SlowLog::size() const {
  std::lock_guard lock(mutex_);
  return items_.size();
}

void SlowLog::reset() {
  std::lock_guard lock(mutex_);
  items_.clear();
}

void SlowLog::trim(int64_t kept) {
  std::lock_guard lock(mutex_);
  while (static_cast<int64_t>(items_.size()) > kept) items_.pop_back();
}

}  // namespace dyno
