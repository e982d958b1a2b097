// SPDX-License-Identifier: Apache-2.0
#include "src/kept_values.h"

#include "engine/replica/key_export.h"

namespace dyno {
namespace {

// How often a log that is behind is asked whether it fails.
constexpr int64_t kDrainMs = 500;

}  // namespace

bool KeptValues::mark(Key& key, std::string* mark) {
  if (!may_go(replica_, key)) return false;
  // Every write of the value, or of its deadline, changes it.
  Digest version = key_version(replica_, key.db(), key.name());
  mark->append(reinterpret_cast<const char*>(&version), sizeof(version));
  return true;
}

std::string KeptValues::write(const std::vector<Leaving>& values) {
  if (values.empty()) return {};
  // What was written of them was appended before they were marked.
  uint64_t position = log_.appended();
  if (position == synced_ && !log_.is_failing()) return {};
  // A disk that is slow is waited for: memory is not to grow because of it.
  while (!log_.drain(kDrainMs, position)) {
    if (log_.is_failing()) return "the disk does not take what was written";
  }
  std::string why = store_.sync();
  if (why.empty()) synced_ = position;
  return why;
}

}  // namespace dyno
