// SPDX-License-Identifier: Apache-2.0
// What a process on this machine has used: CPU time and resident memory, read from /proc.
//
// CPU comes from the scheduler's own account in nanoseconds (task/*/schedstat); where the kernel
// keeps none, from stat in clock ticks. A thread that ended since takes its time out of schedstat,
// so the larger of the two counts.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace dyno::bench {

/// CPU nanoseconds of all threads so far; nothing when there is no such process.
std::optional<uint64_t> process_cpu_ns(int pid);
/// The sum over several; nothing when one is missing.
std::optional<uint64_t> processes_cpu_ns(const std::vector<int>& pids);
/// Resident bytes.
std::optional<uint64_t> process_resident_bytes(int pid);
/// CPU nanoseconds of this process.
uint64_t own_cpu_ns();

}  // namespace dyno::bench
