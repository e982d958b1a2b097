// SPDX-License-Identifier: Apache-2.0
#include "engine/command.h"

#include <algorithm>
#include <cstring>

#include "protocol/check.h"
#include "protocol/number.h"

namespace dyno {
namespace {

// Longest name of a command or of "PARENT|SUB".
constexpr size_t kNameBytesMax = 64;

uint64_t prefix_of(std::string_view upper) {
  uint64_t prefix = 0;
  std::memcpy(&prefix, upper.data(), std::min<size_t>(upper.size(), 8));
  return prefix;
}

size_t mix(uint64_t prefix, size_t size) {
  return static_cast<size_t>(((prefix + size) * 0x9e3779b97f4a7c15ull) >> 40);
}

// Upper-cases into `out`; empty when the name is longer than any command's.
std::string_view upper_name(std::string_view name, char* out) {
  if (name.size() > kNameBytesMax) return {};
  for (size_t i = 0; i < name.size(); ++i) {
    char c = name[i];
    out[i] = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  }
  return {out, name.size()};
}

}  // namespace

std::string_view group_name(CommandGroup group) {
  static constexpr std::string_view kNames[] = {
      "string",      "bitmap", "hash",    "list",         "set",        "sorted-set",
      "hyperloglog", "geo",    "generic", "transactions", "connection", "server",
  };
  return kNames[static_cast<size_t>(group)];
}

bool keys_counted(Args args, int at, std::vector<int>* indexes) {
  auto position = static_cast<size_t>(at);
  if (args.size() <= position) return false;
  auto count = parse_int64(args[position]);
  if (!count || *count <= 0 || *count > static_cast<int64_t>(args.size() - position - 1))
    return false;
  for (int i = 1; i <= *count; ++i) indexes->push_back(at + i);
  return true;
}

bool keys_counted_with_destination(Args args, std::vector<int>* indexes) {
  indexes->push_back(1);
  return keys_counted(args, 2, indexes);
}

void CommandTable::add(std::span<const CommandSpec> rows) {
  for (const CommandSpec& row : rows) {
    DYNO_CHECK(row.name.size() <= kNameBytesMax && row.arity != 0);
    all_.push_back(row);
  }
  std::sort(all_.begin(), all_.end(),
            [](const CommandSpec& a, const CommandSpec& b) { return a.name < b.name; });
  rebuild();
}

void CommandTable::rebuild() {
  size_t size = 64;
  while (size < all_.size() * 4) size *= 2;
  buckets_.assign(size, Bucket{});
  for (const CommandSpec& spec : all_) {
    DYNO_CHECK(find_upper(spec.name) == nullptr);
    uint64_t prefix = prefix_of(spec.name);
    size_t at = mix(prefix, spec.name.size()) & (size - 1);
    while (buckets_[at].spec != nullptr) at = (at + 1) & (size - 1);
    buckets_[at] = {prefix, &spec};
  }
}

const CommandSpec* CommandTable::find_upper(std::string_view upper) const {
  if (upper.empty()) return nullptr;
  uint64_t prefix = prefix_of(upper);
  size_t at = mix(prefix, upper.size()) & (buckets_.size() - 1);
  for (; buckets_[at].spec != nullptr; at = (at + 1) & (buckets_.size() - 1)) {
    if (buckets_[at].prefix == prefix && buckets_[at].spec->name == upper) return buckets_[at].spec;
  }
  return nullptr;
}

const CommandSpec* CommandTable::find_name(std::string_view name) const {
  char upper[kNameBytesMax];
  return find_upper(upper_name(name, upper));
}

const CommandSpec* CommandTable::find(Args args) const {
  char upper[kNameBytesMax];
  std::string_view name = upper_name(args[0], upper);
  // A bar would reach a subcommand's row past its container.
  if (name.find('|') != std::string_view::npos) return nullptr;
  const CommandSpec* spec = find_upper(name);
  if (spec == nullptr || !spec->is_container() || args.size() < 2) return spec;
  std::string full = std::string(spec->name) + "|" + to_upper(args[1]);
  const CommandSpec* sub = find_name(full);
  return sub != nullptr ? sub : spec;
}

bool CommandTable::key_indexes(const CommandSpec& spec, Args args, std::vector<int>* indexes) {
  if (spec.find_keys != nullptr) return spec.find_keys(args, indexes);
  if (spec.keys.first == 0) return true;
  int count = static_cast<int>(args.size());
  int last = spec.keys.last < 0 ? count + spec.keys.last : spec.keys.last;
  if (last >= count) return false;
  for (int i = spec.keys.first; i <= last; i += spec.keys.step) indexes->push_back(i);
  return true;
}

}  // namespace dyno
