// SPDX-License-Identifier: Apache-2.0
//
// Bits of strings: SETBIT, BITCOUNT, BITOP, BITFIELD and their relatives. A bitmap is no type of
// its own but a string seen as bits: bit 0 is the highest bit of byte 0, and behind its end a
// string is zeros without end. A write makes the string as long as its highest bit asks for.
//
// Concurrent writers on replicas: as for strings, the later write wins as a whole. Effects are
// patches of the bytes that a command wrote; BITOP's result is one string.
#include "engine/commands/bitmap.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "engine/command.h"
#include "engine/types/string.h"
#include "protocol/words.h"

namespace dyno {
namespace {

constexpr std::string_view kBitOffsetError = "ERR bit offset is not an integer or out of range";
constexpr std::string_view kBitError = "ERR bit is not an integer or out of range";

// --- Words of bits ------------------------------------------------------------------------------

uint64_t load_word(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// Four sums, so that one addition need not wait for the one before.
template <class Count>
[[gnu::always_inline]] inline uint64_t count_words(const uint8_t* at, size_t size, Count&& count) {
  uint64_t sums[4] = {};
  const uint8_t* end = at + size;
  for (; end - at >= 32; at += 32) {
    sums[0] += count(load_word(at));
    sums[1] += count(load_word(at + 8));
    sums[2] += count(load_word(at + 16));
    sums[3] += count(load_word(at + 24));
  }
  for (; end - at >= 8; at += 8) sums[0] += count(load_word(at));
  uint64_t rest = 0;
  std::memcpy(&rest, at, static_cast<size_t>(end - at));
  return sums[0] + sums[1] + sums[2] + sums[3] + count(rest);
}

uint64_t count_ones_portably(const uint8_t* at, size_t size) {
  return count_words(at, size,
                     [](uint64_t word) { return static_cast<uint64_t>(std::popcount(word)); });
}

#if defined(__x86_64__)
// Not in the baseline of the architecture, but in every processor since 2008.
[[gnu::target("popcnt")]] uint64_t count_ones_natively(const uint8_t* at, size_t size) {
  uint64_t sums[4] = {};
  const uint8_t* end = at + size;
  for (; end - at >= 32; at += 32) {
    for (int i = 0; i < 4; ++i) {
      sums[i] += static_cast<uint64_t>(__builtin_popcountll(load_word(at + 8 * i)));
    }
  }
  return sums[0] + sums[1] + sums[2] + sums[3] +
         count_ones_portably(at, static_cast<size_t>(end - at));
}
#endif

uint64_t count_ones(const uint8_t* at, size_t size) {
#if defined(__x86_64__)
  static const bool native = __builtin_cpu_supports("popcnt") != 0;
  if (native && size >= 32) return count_ones_natively(at, size);
#endif
  return count_ones_portably(at, size);
}

// A run of bits, both ends included; empty when first > last.
struct BitRange {
  int64_t first;
  int64_t last;

  [[nodiscard]] bool empty() const { return first > last; }
  [[nodiscard]] int64_t first_byte() const { return first >> 3; }
  [[nodiscard]] int64_t last_byte() const { return last >> 3; }
  // The bits of the first and last byte that are in the range.
  [[nodiscard]] uint8_t first_mask() const { return static_cast<uint8_t>(0xff >> (first & 7)); }
  [[nodiscard]] uint8_t last_mask() const { return static_cast<uint8_t>(0xff << (7 - (last & 7))); }
};

int64_t count_ones_in(const uint8_t* bytes, BitRange range) {
  const uint8_t* first = bytes + range.first_byte();
  const uint8_t* last = bytes + range.last_byte();
  int64_t count = static_cast<int64_t>(count_ones(first, static_cast<size_t>(last - first + 1)));
  count -= std::popcount(static_cast<uint8_t>(*first & ~range.first_mask()));
  count -= std::popcount(static_cast<uint8_t>(*last & ~range.last_mask()));
  return count;
}

// The first bit in the range that is `bit`, or -1. The range is not empty.
int64_t find_bit(const uint8_t* bytes, BitRange range, bool bit) {
  uint64_t flip = bit ? 0 : ~uint64_t{0};
  int64_t at = range.first_byte();
  int64_t last = range.last_byte();
  auto position = [&](uint8_t found) { return at * 8 + std::countl_zero(found); };

  auto byte = static_cast<uint8_t>((bytes[at] ^ flip) & range.first_mask());
  if (at == last) byte &= range.last_mask();
  if (byte != 0) return position(byte);
  if (at == last) return -1;
  for (++at; last - at >= 8; at += 8) {
    uint64_t word = load_word(bytes + at) ^ flip;
    // Little endian: the word's lowest byte comes first, and in it the highest bit.
    if (word != 0) return at * 8 + std::countl_zero(__builtin_bswap64(word));
  }
  for (; at < last; ++at) {
    byte = static_cast<uint8_t>(bytes[at] ^ flip);
    if (byte != 0) return position(byte);
  }
  byte = static_cast<uint8_t>((bytes[at] ^ flip) & range.last_mask());
  return byte != 0 ? position(byte) : -1;
}

// --- Arguments ----------------------------------------------------------------------------------

// "BIT" or "BYTE".
bool read_range_unit(Context& c, std::string_view word, bool* in_bits) {
  *in_bits = is_word(word, "BIT");
  if (*in_bits || is_word(word, "BYTE")) return true;
  c.error(errors::kSyntax);
  return false;
}

// A start and an end as clients count them, negative from the end, over `size` bytes.
BitRange resolve_range(int64_t start, int64_t end, bool in_bits, size_t size) {
  int64_t total = static_cast<int64_t>(size) * (in_bits ? 8 : 1);
  if (start < 0) start = std::max<int64_t>(start + total, 0);
  if (end < 0) end = std::max<int64_t>(end + total, 0);
  end = std::min(end, total - 1);
  if (start > end) return {0, -1};
  return in_bits ? BitRange{start, end} : BitRange{start * 8, end * 8 + 7};
}

const uint8_t* as_bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// --- Single bits --------------------------------------------------------------------------------

void setbit(Context& c) {
  int64_t offset = 0;
  if (!read_bit_offset(c, c.args[2], 0, &offset)) return;
  auto bit = parse_int64(c.args[3]);
  if (!bit || (*bit != 0 && *bit != 1)) return c.error(kBitError);
  Key key(c, c.args[1], Key::Use::kWrite);
  if (!key.allows(Type::kString)) return;

  String string(key);
  size_t old_size = string.size();
  bool existed = key.exists();
  auto at = static_cast<size_t>(offset >> 3);
  uint8_t* byte = string.edit(at + 1) + at;
  auto mask = static_cast<uint8_t>(0x80 >> (offset & 7));
  bool was_set = (*byte & mask) != 0;
  if (!existed || at >= old_size || was_set != (*bit == 1)) {
    *byte = static_cast<uint8_t>(*bit == 1 ? *byte | mask : *byte & ~mask);
    string.patched(at, 1);
    key.changed();
  }
  c.reply.integer(was_set);
}

void getbit(Context& c) {
  int64_t offset = 0;
  if (!read_bit_offset(c, c.args[2], 0, &offset)) return;
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kString)) return;
  String::Buffer buffer;
  std::string_view text = String(key).view(&buffer);
  auto at = static_cast<size_t>(offset >> 3);
  c.reply.integer(at < text.size() ? (as_bytes(text)[at] >> (7 - (offset & 7))) & 1 : 0);
}

// --- Ranges -------------------------------------------------------------------------------------

void bitcount(Context& c) {
  if (c.args.size() == 3 || c.args.size() > 5) return c.error(errors::kSyntax);
  int64_t start = 0;
  int64_t end = -1;
  bool in_bits = false;
  if (c.args.size() >= 4) {
    auto first = parse_int64(c.args[2]);
    auto last = parse_int64(c.args[3]);
    if (!first || !last) return c.error(errors::kNotInteger);
    start = *first;
    end = *last;
    if (c.args.size() == 5 && !read_range_unit(c, c.args[4], &in_bits)) return;
  }
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kString)) return;
  String::Buffer buffer;
  std::string_view text = String(key).view(&buffer);
  // Both negative and crossed is empty, before either is clamped.
  if (start < 0 && end < 0 && start > end) return c.reply.integer(0);
  BitRange range = resolve_range(start, end, in_bits, text.size());
  c.reply.integer(range.empty() ? 0 : count_ones_in(as_bytes(text), range));
}

void bitpos(Context& c) {
  auto bit = parse_int64(c.args[2]);
  if (!bit) return c.error(errors::kNotInteger);
  if (*bit != 0 && *bit != 1) return c.error("ERR The bit argument must be 1 or 0.");
  if (c.args.size() > 6) return c.error(errors::kSyntax);
  int64_t start = 0;
  int64_t end = -1;
  bool in_bits = false;
  bool has_end = c.args.size() >= 5;
  if (c.args.size() >= 4) {
    auto first = parse_int64(c.args[3]);
    if (!first) return c.error(errors::kNotInteger);
    start = *first;
  }
  if (c.args.size() == 6 && !read_range_unit(c, c.args[5], &in_bits)) return;
  if (has_end) {
    auto last = parse_int64(c.args[4]);
    if (!last) return c.error(errors::kNotInteger);
    end = *last;
  }
  Key key(c, c.args[1], Key::Use::kRead);
  if (!key.allows(Type::kString)) return;
  if (!key.exists()) return c.reply.integer(*bit == 1 ? -1 : 0);
  String::Buffer buffer;
  std::string_view text = String(key).view(&buffer);
  BitRange range = resolve_range(start, end, in_bits, text.size());
  if (range.empty()) return c.reply.integer(-1);
  int64_t found = find_bit(as_bytes(text), range, *bit == 1);
  // Without an end the zeros behind the string count.
  if (found < 0 && *bit == 0 && !has_end) found = static_cast<int64_t>(text.size()) * 8;
  c.reply.integer(found);
}

// --- Operations on whole strings ----------------------------------------------------------------

enum class BitOperation { kAnd, kOr, kXor, kNot };

void combine_into(uint8_t* out, const uint8_t* with, size_t size, BitOperation operation) {
  auto each = [&](auto&& operate) {
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
      uint64_t word = operate(load_word(out + i), load_word(with + i));
      std::memcpy(out + i, &word, sizeof(word));
    }
    for (; i < size; ++i) out[i] = static_cast<uint8_t>(operate(out[i], with[i]));
  };
  switch (operation) {
    case BitOperation::kAnd:
      return each([](uint64_t a, uint64_t b) { return a & b; });
    case BitOperation::kOr:
      return each([](uint64_t a, uint64_t b) { return a | b; });
    case BitOperation::kXor:
      return each([](uint64_t a, uint64_t b) { return a ^ b; });
    case BitOperation::kNot:
      return each([](uint64_t, uint64_t b) { return ~b; });
  }
}

// Writes the combination of all sources, each continued with zeros to `size` bytes.
void combine(uint8_t* out, size_t size, const std::vector<std::string_view>& sources,
             BitOperation operation) {
  constexpr size_t kBlockBytes = 16 * 1024;  // Stays in the cache while all sources pass over it.
  for (size_t begin = 0; begin < size; begin += kBlockBytes) {
    size_t block = std::min(kBlockBytes, size - begin);
    for (size_t i = 0; i < sources.size(); ++i) {
      std::string_view source = sources[i];
      size_t given = source.size() <= begin ? 0 : std::min(block, source.size() - begin);
      const uint8_t* from = given == 0 ? nullptr : as_bytes(source) + begin;
      bool copies = i == 0 && operation != BitOperation::kNot;
      if (copies && given != 0) {
        std::memcpy(out + begin, from, given);
      } else if (!copies) {
        combine_into(out + begin, from, given, operation);
      }
      // Zeros change nothing but the first source and AND.
      if (i == 0 || operation == BitOperation::kAnd) {
        std::memset(out + begin + given, 0, block - given);
      }
    }
  }
}

// The key becomes the string of an entry made for it, without a deadline.
void put_result(Key& key, Entry* fresh) {
  bool had_deadline = key.exists() && key.entry()->has_deadline();
  bool is_new = !key.exists();
  key.put(fresh);
  if (!key.records()) return;
  key.record({.kind = EffectKind::kString, .element = fresh->text(), .is_new = is_new});
  if (had_deadline) key.record(EffectKind::kDeadline, {}, {}, -1);
}

bool read_operation(std::string_view word, BitOperation* operation) {
  constexpr std::string_view kNames[] = {"AND", "OR", "XOR", "NOT"};
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (!is_word(word, kNames[i])) continue;
    *operation = static_cast<BitOperation>(i);
    return true;
  }
  return false;
}

void bitop(Context& c) {
  BitOperation operation;
  if (!read_operation(c.args[1], &operation)) return c.error(errors::kSyntax);
  if (operation == BitOperation::kNot && c.args.size() != 4) {
    return c.error("ERR BITOP NOT must be called with a single source key.");
  }
  Args names = c.args.subspan(3);
  std::vector<String::Buffer> buffers(names.size());
  std::vector<std::string_view> sources(names.size());
  size_t size = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    Key source(c, names[i], Key::Use::kRead);
    if (!source.allows(Type::kString)) return;
    sources[i] = String(source).view(&buffers[i]);
    size = std::max(size, sources[i].size());
  }
  Key destination(c, c.args[2], Key::Use::kWrite);
  if (size != 0) {
    Entry* fresh = Entry::make(Type::kString, Encoding::kRawEdited, destination.db(),
                               destination.name(), false, varint_bytes(size) + size);
    combine(write_varint(fresh->value(), size), size, sources, operation);
    put_result(destination, fresh);
    destination.changed();
  } else if (destination.exists()) {
    destination.erase();
    destination.changed();
  }
  c.reply.integer(static_cast<int64_t>(size));
}

constexpr KeyRange kFirstKey{1, 1, 1};
constexpr auto kGroup = CommandGroup::kBitmap;

const CommandSpec kRows[] = {
    {"SETBIT", 4, kWrite | kDenyOom, kFirstKey, kGroup, "2.2.0", "O(1)",
     "Sets or clears one bit of a string value and returns what it was.", "key offset value",
     setbit},
    {"GETBIT", 3, kReadonly | kFast, kFirstKey, kGroup, "2.2.0", "O(1)",
     "Returns one bit of a string value.", "key offset", getbit},
    {"BITCOUNT", -2, kReadonly, kFirstKey, kGroup, "2.6.0", "O(N) with N the bytes looked at",
     "Counts the set bits of a string value or of a part of it.", "key [start end [BYTE | BIT]]",
     bitcount},
    {"BITPOS", -3, kReadonly, kFirstKey, kGroup, "2.8.7", "O(N) with N the bytes looked at",
     "Finds the first set or clear bit of a string value or of a part of it.",
     "key bit [start [end [BYTE | BIT]]]", bitpos},
    {"BITOP",
     -4,
     kWrite | kDenyOom,
     {2, -1, 1},
     kGroup,
     "2.6.0",
     "O(N) with N the bytes of the longest source",
     "Combines string values bit by bit and stores the result.",
     "(AND | OR | XOR | NOT) destkey key [key ...]",
     bitop},
    {"BITFIELD", -2, kWrite | kDenyOom, kFirstKey, kGroup, "3.2.0", "O(1) for each operation",
     "Reads, sets and increments integers of any width inside a string value.",
     "key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] SET encoding offset value | "
     "INCRBY encoding offset increment ...]",
     bitfield},
    {"BITFIELD_RO", -2, kReadonly | kFast, kFirstKey, kGroup, "6.0.0", "O(1) for each operation",
     "Reads integers of any width inside a string value.",
     "key [GET encoding offset [GET encoding offset ...]]", bitfield_ro},
};

}  // namespace

bool read_bit_offset(Context& c, std::string_view text, int multiple, int64_t* offset) {
  bool counted = multiple > 0 && !text.empty() && text[0] == '#';
  auto parsed = parse_int64(counted ? text.substr(1) : text);
  bool good = parsed.has_value() &&
              !__builtin_mul_overflow(*parsed, counted ? multiple : 1, offset) && *offset >= 0 &&
              (*offset >> 3) < c.limits.bulk_bytes_max;
  if (!good) c.error(kBitOffsetError);
  return good;
}

const std::span<const CommandSpec> kBitmapCommands{kRows};

}  // namespace dyno
