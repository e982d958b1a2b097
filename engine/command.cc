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

// The first eight bytes, with letters in upper case. Other bytes change too, but into none of a
// name, so that for a name of letters only the prefix is as good as the text.
uint64_t prefix_of(std::string_view name) {
  constexpr uint64_t kUpperCase = 0xdfdfdfdfdfdfdfdf;
  uint64_t prefix = 0;
  const char* bytes = name.data();
  size_t size = name.size();
  if (size >= 8) {
    std::memcpy(&prefix, bytes, 8);
  } else if (size >= 4) {
    uint32_t first;
    uint32_t last;
    std::memcpy(&first, bytes, 4);
    std::memcpy(&last, bytes + size - 4, 4);
    prefix = first | (uint64_t{last} << (8 * (size - 4)));
  } else {
    for (size_t i = 0; i < size; ++i) {
      prefix |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
  }
  return prefix & kUpperCase;
}

bool is_letters(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

size_t mix(uint64_t prefix, size_t size) {
  return static_cast<size_t>(((prefix + size) * 0x9e3779b97f4a7c15ull) >> 40);
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
    DYNO_CHECK(find_bucket(spec.name) == nullptr);
    uint64_t prefix = prefix_of(spec.name);
    size_t at = mix(prefix, spec.name.size()) & (size - 1);
    while (buckets_[at].spec != nullptr) at = (at + 1) & (size - 1);
    bool short_letters = spec.name.size() <= 8 && is_letters(spec.name);
    bool subcommand = spec.name.find('|') != std::string_view::npos;
    buckets_[at] = {prefix, &spec, static_cast<uint8_t>(spec.name.size()), short_letters,
                    subcommand};
  }
}

const CommandTable::Bucket* CommandTable::find_bucket(std::string_view name) const {
  if (name.empty() || name.size() > kNameBytesMax) return nullptr;
  uint64_t prefix = prefix_of(name);
  size_t at = mix(prefix, name.size()) & (buckets_.size() - 1);
  for (; buckets_[at].spec != nullptr; at = (at + 1) & (buckets_.size() - 1)) {
    const Bucket& bucket = buckets_[at];
    if (bucket.prefix != prefix || bucket.name_size != name.size()) continue;
    if (bucket.short_letters || equals_ignore_case(bucket.spec->name, name)) return &bucket;
  }
  return nullptr;
}

const CommandSpec* CommandTable::find_name(std::string_view name) const {
  const Bucket* bucket = find_bucket(name);
  return bucket == nullptr ? nullptr : bucket->spec;
}

const CommandSpec* CommandTable::find(Args args) const {
  const Bucket* bucket = find_bucket(args[0]);
  // A bar would reach a subcommand's row past its container.
  if (bucket == nullptr || bucket->subcommand) return nullptr;
  const CommandSpec* spec = bucket->spec;
  if (!spec->is_container() || args.size() < 2) return spec;
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
