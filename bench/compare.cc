// SPDX-License-Identifier: Apache-2.0
// Targets, rounds and ratios.
#include "bench/compare.h"

#include <cstdio>

namespace dyno::bench {

int run_compare(const std::vector<std::string>&) {
  std::fputs("dyno-bench: compare is not part of this build\n", stderr);
  return 2;
}

}  // namespace dyno::bench
