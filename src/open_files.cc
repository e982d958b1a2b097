// SPDX-License-Identifier: Apache-2.0
#include "src/open_files.h"

#include <sys/resource.h>

#include <algorithm>

namespace dyno {
namespace {

// Listeners, event loops, logs and what libraries open.
constexpr int64_t kOwnFiles = 96;

}  // namespace

int64_t raise_open_files(int64_t maxclients) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return maxclients;
  const auto wanted = static_cast<rlim_t>(maxclients + kOwnFiles);
  if (limit.rlim_cur >= wanted) return maxclients;
  const rlimit raised{wanted, std::max(limit.rlim_max, wanted)};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return maxclients;
  const rlimit allowed{std::min(wanted, limit.rlim_max), limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &allowed) == 0) limit = allowed;
  const auto files = static_cast<int64_t>(std::min<rlim_t>(limit.rlim_cur, wanted));
  return std::max<int64_t>(files - kOwnFiles, 1);
}

}  // namespace dyno
