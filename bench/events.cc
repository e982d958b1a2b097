// SPDX-License-Identifier: Apache-2.0
// Each event has a thread that sleeps until its time, so that a slow command delays no other event.
#include "bench/events.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "bench/clock.h"
#include "bench/command_template.h"
#include "bench/control.h"
#include "bench/duration.h"
#include "bench/tally.h"

extern char** environ;

namespace dyno::bench {

namespace {

constexpr unsigned kTimeout_ms = 10'000;

void nap() {
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

}  // namespace

std::optional<EventSpec> EventSpec::parse(std::string_view text, std::string& why) {
  const size_t colon = text.find(':');
  const auto at = parse_seconds(text.substr(0, std::min(colon, text.size())));
  if (colon == std::string_view::npos || !at || colon + 1 == text.size()) {
    why = "event '" + std::string(text) + "': expected TIME:COMMAND or TIME:exec:SHELL COMMAND";
    return std::nullopt;
  }
  EventSpec spec;
  spec.at_s = *at;
  spec.command = text.substr(colon + 1);
  if (spec.command.starts_with("exec:")) {
    spec.shell = true;
    spec.command.erase(0, 5);
  } else if (!CommandTemplate::split(spec.command, why)) {
    return std::nullopt;
  }
  return spec;
}

void Events::start(uint64_t origin_ns) {
  for (const EventSpec& spec : specs_) {
    threads_.emplace_back([this, &spec, origin_ns] { run_one(spec, origin_ns); });
  }
}

void Events::run_one(const EventSpec& spec, uint64_t origin_ns) {
  Control control;
  bool connected = false;
  std::string why;
  const auto words = spec.shell ? std::nullopt : CommandTemplate::split(spec.command, why);
  const uint64_t due =
      origin_ns + static_cast<uint64_t>(spec.at_s * static_cast<double>(kSecond_ns));
  while (now_ns() < due) {
    if (!spec.shell && !connected && now_ns() + kSecond_ns > due) {
      connected = control.connect(access_, 0, kTimeout_ms);
    }
    nap();
    const std::lock_guard guard(lock_);
    if (cancelled_) return;
  }
  if (spec.shell) {
    run_shell(spec);
    return;
  }
  const uint64_t begin = now_ns();
  const double at_s = static_cast<double>(begin - origin_ns) / static_cast<double>(kSecond_ns);
  Reply reply;
  if ((connected || control.connect(access_, 0, kTimeout_ms)) && control.call(*words, reply)) {
    const std::string outcome = reply.kind == ReplyKind::kError ? ": " + printable(reply.text) : "";
    mark(at_s, spec.command + outcome, static_cast<double>(now_ns() - begin) / 1e6);
  } else {
    mark(at_s, spec.command + ": " + control.error(), 0);
  }
}

void Events::run_shell(const EventSpec& spec) {
  mark(spec.at_s, spec.command, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  // Whose run this is, for commands that talk to the server under test.
  const std::string line =
      "export DYNO_BENCH_ENDPOINT='" + access_.endpoints[0].where() + "'; " + spec.command;
  const char* const arguments[] = {"sh", "-c", line.c_str(), nullptr};
  pid_t child = 0;
  const int code = posix_spawn(&child, "/bin/sh", nullptr, &attributes,
                               const_cast<char* const*>(arguments), environ);
  posix_spawnattr_destroy(&attributes);
  const std::lock_guard guard(lock_);
  if (code == 0) children_.push_back(child);
}

void Events::finish() {
  {
    const std::lock_guard guard(lock_);
    cancelled_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  for (const int child : children_) {
    const uint64_t until = now_ns() + kSecond_ns;
    while (waitpid(child, nullptr, WNOHANG) == 0) {
      if (now_ns() > until) {
        kill(-child, SIGKILL);
        waitpid(child, nullptr, 0);
        break;
      }
      nap();
    }
  }
  children_.clear();
}

void Events::mark(double at_s, const std::string& text, double took_ms) {
  const std::lock_guard guard(lock_);
  marks_.push_back({at_s, text, took_ms});
}

std::vector<EventMark> Events::marks() {
  const std::lock_guard guard(lock_);
  auto sorted = marks_;
  std::sort(sorted.begin(), sorted.end(),
            [](const EventMark& a, const EventMark& b) { return a.at_s < b.at_s; });
  return sorted;
}

}  // namespace dyno::bench
