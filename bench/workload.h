// SPDX-License-Identifier: Apache-2.0
// What is asked of the server: operations with weights, and how the data they expect is loaded.
//
// An operation is one command, or a chain: when the reply to a step has come, the next step is sent
// about the same key and the latency of the whole is measured (YCSB's read-modify-write and scan).
// A workload is immutable once built and shared by all workers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/command_template.h"
#include "bench/reply_parser.h"

namespace dyno::bench {

/// Bits of the reply kinds that an operation may get; anything else is a wrong type.
enum Expect : uint16_t {
  kExpectAny = 0,
  kExpectStatus = 1,
  kExpectInteger = 2,
  kExpectBulk = 4,
  kExpectList = 8,
  kExpectScore = 16,
};

struct Operation {
  std::string name;
  CommandTemplate command;
  double weight = 1;
  uint16_t expect = kExpectAny;
  bool inserts = false;       // takes a key number above the present ones
  bool chained_only = false;  // a later step, never drawn by itself
  int next_step = -1;         // index of the operation that follows the reply
  uint32_t repeat_low = 1;    // the command is sent for this many consecutive keys
  uint32_t repeat_high = 1;
};

struct Workload {
  std::string name;
  std::vector<Operation> operations;
  std::vector<Operation> load;  // each is run once for each of `load_items` numbers
  uint64_t load_items = 0;
  std::string before;  // a command run once before loading (DEL mylist), may be empty

  /// Index of the operation for `random`: by weight.
  uint32_t pick(Random& random) const;
  /// Must be called when `operations` is complete.
  void seal();
  bool single() const { return drawn_.size() == 1; }

 private:
  std::vector<uint32_t> drawn_;
  std::vector<double> up_to_;
};

struct WorkloadSpec {
  std::string test;  // one name as `-t` takes it, or empty
  std::string ycsb;  // "a" … "f" or empty
  double ratio_set = 1;
  double ratio_get = 9;
  std::vector<std::pair<std::string, double>> commands;  // arbitrary ones with weights
  std::vector<std::string> load_commands;
  uint64_t keyspace = 1'000'000;
  uint64_t records = 0;  // numbers to load; 0: the keyspace
  TemplateSettings settings;
};

/// Builds the workload that the spec names; on failure `why` has one line.
std::optional<Workload> build_workload(const WorkloadSpec& spec, std::string& why);

/// True when `kind` is one of what `expect` allows (errors are judged before).
bool fits(uint16_t expect, const Reply& reply);

}  // namespace dyno::bench
