// SPDX-License-Identifier: Apache-2.0
//
// Whether this build can have replicas, or its data on disk for good. Without (-Dreplication=false)
// nothing that commands do is recorded, and the questions of a lone node whether it is go with it:
// what the normal build must not be slower or larger than.
#pragma once

namespace dyno {

#ifdef DYNO_NO_REPLICATION
inline constexpr bool kHasReplication = false;
#else
inline constexpr bool kHasReplication = true;
#endif

}  // namespace dyno
