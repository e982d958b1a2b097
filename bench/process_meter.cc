// SPDX-License-Identifier: Apache-2.0
// Reading of /proc; a process that ended yields nothing rather than a wrong figure.
#include "bench/process_meter.h"

#include <dirent.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

namespace dyno::bench {

namespace {

std::string slurp(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

uint64_t scheduler_ns(int pid) {
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  DIR* const directory = opendir(tasks.c_str());
  if (directory == nullptr) return 0;
  uint64_t sum = 0;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    unsigned long long ran = 0;
    const std::string text = slurp(tasks + "/" + entry->d_name + "/schedstat");
    if (std::sscanf(text.c_str(), "%llu", &ran) == 1) sum += ran;
  }
  closedir(directory);
  return sum;
}

}  // namespace

std::optional<uint64_t> process_cpu_ns(int pid) {
  const std::string stat = slurp("/proc/" + std::to_string(pid) + "/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  unsigned long long user = 0;
  unsigned long long system = 0;
  // Behind the name: state, ppid … are fields 3 and on; user and system time are 14 and 15.
  if (std::sscanf(stat.c_str() + name_end + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2) {
    return std::nullopt;
  }
  const auto ticks_per_s = static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  const uint64_t by_ticks = (user + system) * (1'000'000'000 / ticks_per_s);
  const uint64_t by_scheduler = scheduler_ns(pid);
  // Ticks may run ahead of the scheduler's account by rounding; only a clear excess means ended
  // threads.
  return by_ticks > by_scheduler + by_scheduler / 10 + 50'000'000 ? by_ticks : by_scheduler;
}

std::optional<uint64_t> processes_cpu_ns(const std::vector<int>& pids) {
  uint64_t sum = 0;
  for (const int pid : pids) {
    const auto one = process_cpu_ns(pid);
    if (!one) return std::nullopt;
    sum += *one;
  }
  if (pids.empty()) return std::nullopt;
  return sum;
}

std::optional<uint64_t> process_resident_bytes(int pid) {
  for (const char* file : {"/smaps_rollup", "/status"}) {
    const std::string text = slurp("/proc/" + std::to_string(pid) + file);
    for (const char* name : {"\nRss:", "\nVmRSS:"}) {
      const size_t at = text.find(name);
      unsigned long long kilobytes = 0;
      if (at != std::string::npos &&
          std::sscanf(text.c_str() + at + std::strlen(name), "%llu", &kilobytes) == 1) {
        return uint64_t{kilobytes} * 1024;
      }
    }
  }
  return std::nullopt;
}

uint64_t own_cpu_ns() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

}  // namespace dyno::bench
