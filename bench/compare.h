// SPDX-License-Identifier: Apache-2.0
// `dyno-bench compare`: the same load against several servers in turn, in several rounds.
//
// Machines drift: other tenants, clock speed, page cache. So the targets take turns within each
// round, the order alternates, and what is reported is the median of each round's ratio to the
// first target.
#pragma once

#include <string>
#include <vector>

namespace dyno::bench {

/// Runs it; the exit code.
int run_compare(const std::vector<std::string>& arguments);

}  // namespace dyno::bench
