// SPDX-License-Identifier: Apache-2.0
// Builds workloads from a ratio, from arbitrary commands, from YCSB's letters or from the table of
// tests.
#include "bench/workload.h"

#include <algorithm>

#include "bench/test_catalog.h"

namespace dyno::bench {

namespace {

std::optional<Operation> make(std::string name, std::string_view command, double weight,
                              uint16_t expect, const TemplateSettings& settings, std::string& why) {
  auto compiled = CommandTemplate::compile(command, settings, why);
  if (!compiled) return std::nullopt;
  Operation operation;
  operation.name = std::move(name);
  operation.command = std::move(*compiled);
  operation.weight = weight;
  operation.expect = expect;
  return operation;
}

bool add(std::vector<Operation>& to, std::string name, std::string_view command, double weight,
         uint16_t expect, const TemplateSettings& settings, std::string& why) {
  auto operation = make(std::move(name), command, weight, expect, settings, why);
  if (!operation) return false;
  to.push_back(std::move(*operation));
  return true;
}

std::string set_command(const TemplateSettings& settings) {
  return settings.ttl_high_s > 0 ? "SET __key__ __data__ EX __ttl__" : "SET __key__ __data__";
}

// The records are hashes of ten fields; an index by key number serves scans, as in YCSB's Redis
// binding. A scan reads a stretch of the index, then the records in it.
bool build_ycsb(const WorkloadSpec& spec, Workload& workload, std::string& why) {
  const char letter = spec.ycsb.size() == 1 ? static_cast<char>(spec.ycsb[0] | 0x20) : '?';
  if (letter < 'a' || letter > 'f') {
    why = "YCSB has the workloads a to f, not '" + spec.ycsb + "'";
    return false;
  }
  workload.name = std::string("ycsb-") + letter;
  TemplateSettings settings = spec.settings;
  // The records are hashes; under the common prefix they would meet the strings of other workloads.
  if (settings.key_prefix == TemplateSettings{}.key_prefix) settings.key_prefix = "user:";
  std::string whole = "HSET __key__";
  for (int field = 0; field < 10; ++field) whole += " field" + std::to_string(field) + " __data__";
  const std::string index = "ZADD " + settings.key_prefix + "index __id__ __id__";
  const std::string read = "HGETALL __key__";
  const std::string update = "HSET __key__ field0 __data__";
  auto& operations = workload.operations;
  if (!add(workload.load, "load", whole, 1, kExpectInteger, settings, why)) return false;
  const auto insert = [&](double weight) {
    if (!add(operations, "insert", whole, weight, kExpectInteger, settings, why)) return false;
    operations.back().inserts = true;
    return true;
  };
  switch (letter) {
    case 'a':
      return add(operations, "read", read, 50, kExpectList, settings, why) &&
             add(operations, "update", update, 50, kExpectInteger, settings, why);
    case 'b':
      return add(operations, "read", read, 95, kExpectList, settings, why) &&
             add(operations, "update", update, 5, kExpectInteger, settings, why);
    case 'c':
      return add(operations, "read", read, 100, kExpectList, settings, why);
    case 'd':
      return add(operations, "read", read, 95, kExpectList, settings, why) && insert(5);
    case 'e': {
      if (!add(workload.load, "index", index, 1, kExpectInteger, settings, why)) return false;
      const std::string range =
          "ZRANGEBYSCORE " + settings.key_prefix + "index __id__ +inf LIMIT 0 100";
      if (!add(operations, "scan", range, 95, kExpectList, settings, why) || !insert(5))
        return false;
      operations[0].next_step = 2;
      operations[1].next_step = 3;
      if (!add(operations, "scan-records", read, 0, kExpectList, settings, why)) return false;
      if (!add(operations, "insert-index", index, 0, kExpectInteger, settings, why)) return false;
      operations[2].chained_only = operations[3].chained_only = true;
      operations[2].repeat_high = 100;
      return true;
    }
    default: {
      if (!add(operations, "read", read, 50, kExpectList, settings, why)) return false;
      if (!add(operations, "read-modify-write", read, 50, kExpectList, settings, why)) return false;
      if (!add(operations, "write-back", update, 0, kExpectInteger, settings, why)) return false;
      operations[1].next_step = 2;
      operations[2].chained_only = true;
      return true;
    }
  }
}

bool build_test(const WorkloadSpec& spec, Workload& workload, std::string& why) {
  const TestRow* row = find_test(spec.test);
  if (row == nullptr) {
    why = "no test is named '" + spec.test + "'; see --help tests";
    return false;
  }
  workload.name = row->name;
  TemplateSettings settings = spec.settings;
  if (row->group > 1 && settings.group == 1) settings.group = row->group;
  if (spec.test == "ping_inline") {
    Operation ping;
    ping.name = row->name;
    ping.command = CommandTemplate::inline_line("PING");
    ping.expect = kExpectStatus;
    workload.operations.push_back(std::move(ping));
  } else if (!add(workload.operations, std::string(row->name), row->command, 1, row->expect,
                  settings, why)) {
    return false;
  }
  workload.before = row->before;
  workload.load_items = row->load_items;
  return row->load.empty() || add(workload.load, "load", row->load, 1, kExpectAny, settings, why);
}

}  // namespace

std::optional<Workload> build_workload(const WorkloadSpec& spec, std::string& why) {
  Workload workload;
  bool good = true;
  if (!spec.ycsb.empty()) {
    good = build_ycsb(spec, workload, why);
  } else if (!spec.test.empty()) {
    good = build_test(spec, workload, why);
  } else if (!spec.commands.empty()) {
    workload.name = spec.commands.size() == 1 ? spec.commands[0].first : "commands";
    for (const auto& [command, weight] : spec.commands) {
      const std::string verb = command.substr(0, command.find(' '));
      std::string name = verb;
      const auto taken = [&](const Operation& o) { return o.name == name; };
      for (int again = 2;
           std::any_of(workload.operations.begin(), workload.operations.end(), taken);) {
        name = verb + "#" + std::to_string(again++);
      }
      good =
          good && add(workload.operations, name, command, weight, kExpectAny, spec.settings, why);
    }
    const std::string set = set_command(spec.settings);
    if (good && spec.load_commands.empty()) {
      good = add(workload.load, "load", set, 1, kExpectStatus, spec.settings, why);
    }
  } else {
    workload.name = "get-set";
    const std::string set = set_command(spec.settings);
    if (spec.ratio_set > 0) {
      good =
          add(workload.operations, "SET", set, spec.ratio_set, kExpectStatus, spec.settings, why);
    }
    if (good && spec.ratio_get > 0) {
      good = add(workload.operations, "GET", "GET __key__", spec.ratio_get, kExpectBulk,
                 spec.settings, why);
    }
    good = good && add(workload.load, "load", set, 1, kExpectStatus, spec.settings, why);
  }
  if (good && !spec.load_commands.empty()) {
    workload.load.clear();
    workload.load_items = 0;
    for (const std::string& command : spec.load_commands) {
      good = good && add(workload.load, "load", command, 1, kExpectAny, spec.settings, why);
    }
  }
  if (!good) return std::nullopt;
  if (spec.records > 0) workload.load_items = spec.records;
  if (workload.load_items == 0) workload.load_items = spec.keyspace;
  workload.seal();
  return workload;
}

void Workload::seal() {
  drawn_.clear();
  up_to_.clear();
  double total = 0;
  for (size_t i = 0; i < operations.size(); ++i) {
    if (operations[i].chained_only || !(operations[i].weight > 0)) continue;
    total += operations[i].weight;
    drawn_.push_back(static_cast<uint32_t>(i));
    up_to_.push_back(total);
  }
  for (double& share : up_to_) share /= total;
}

uint32_t Workload::pick(Random& random) const {
  if (drawn_.size() == 1) return drawn_[0];
  const double u = random.unit();
  size_t i = 0;
  while (i + 1 < drawn_.size() && u >= up_to_[i]) ++i;
  return drawn_[i];
}

bool fits(uint16_t expect, const Reply& reply) {
  switch (reply.kind) {
    case ReplyKind::kSimple:
      return expect & kExpectStatus;
    case ReplyKind::kInteger:
      return expect & kExpectInteger;
    case ReplyKind::kBulk:
      return expect & (kExpectBulk | kExpectScore);
    case ReplyKind::kNull:
      // RESP2's null bulk and null array, and RESP3's null, stand for "none" of anything but a
      // status.
      return expect & (kExpectBulk | kExpectList | kExpectScore | kExpectInteger);
    case ReplyKind::kDouble:
      return expect & kExpectScore;
    case ReplyKind::kBoolean:
      return expect & kExpectInteger;
    case ReplyKind::kArray:
    case ReplyKind::kMap:
    case ReplyKind::kSet:
      return expect & kExpectList;
    default:
      return false;
  }
}

}  // namespace dyno::bench
