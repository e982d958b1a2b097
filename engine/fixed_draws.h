// SPDX-License-Identifier: Apache-2.0
//
// For tests that run a history again from its seed: what the engine draws by chance is drawn from a
// number instead of the machine's random device.
#pragma once

#include <cstdint>

namespace dyno {

// Where elements lie in their tables, in this process. To be called before the first one does.
void fix_element_seed(uint64_t seed);

// What SPOP and its kin draw on this thread from here on (context.cc).
void fix_draws(uint64_t seed);

}  // namespace dyno
