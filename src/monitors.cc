// SPDX-License-Identifier: Apache-2.0
#include "src/monitors.h"

#include <cstdio>

#include "protocol/quote.h"
#include "src/event_loop.h"
#include "src/network_thread.h"

namespace dyno {

void Monitors::add(uint64_t id, NetworkThread& thread) {
  std::lock_guard lock(mutex_);
  monitors_.emplace_back(id, &thread);
  executor_.set_monitored(true);
}

void Monitors::remove(uint64_t id) {
  std::lock_guard lock(mutex_);
  std::erase_if(monitors_, [&](const auto& each) { return each.first == id; });
  executor_.set_monitored(!monitors_.empty());
}

void Monitors::show(int db, const std::string& address, Args args) {
  int64_t now_us = unix_time_us();
  char head[64];
  std::snprintf(head, sizeof(head), "+%lld.%06lld [%d ", static_cast<long long>(now_us / 1000000),
                static_cast<long long>(now_us % 1000000), db);
  std::string line = head + address + "]";
  for (std::string_view arg : args) line += " " + quoted_bytes(arg);
  line += "\r\n";
  std::lock_guard lock(mutex_);
  for (const auto& [id, thread] : monitors_) thread->push(id, line);
}

}  // namespace dyno
