// SPDX-License-Identifier: Apache-2.0
//
// BITFIELD: a string as integers of 1 to 64 bits at any bit. An integer's highest bit comes first,
// as in every bitmap. All operations of a command are judged before the first is done.
#include <algorithm>
#include <cstring>

#include "engine/commands/bitmap.h"
#include "engine/types/string.h"
#include "protocol/words.h"

namespace dyno {
namespace {

constexpr std::string_view kFieldTypeError =
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 "
    "is.";

enum class Overflow { kWrap, kSaturate, kFail };

struct FieldOperation {
  enum class Kind { kGet, kSet, kIncrement } kind;
  Overflow overflow;
  bool is_signed;
  int bits;
  int64_t offset;
  int64_t value;

  // The bytes that the field touches.
  [[nodiscard]] size_t first_byte() const { return static_cast<size_t>(offset >> 3); }
  [[nodiscard]] size_t byte_count() const {
    return static_cast<size_t>((offset + bits - 1) >> 3) - first_byte() + 1;
  }
};

bool read_field_type(Context& c, std::string_view text, FieldOperation* operation) {
  bool is_signed = !text.empty() && text[0] == 'i';
  bool is_unsigned = !text.empty() && text[0] == 'u';
  auto bits = parse_int64(text.empty() ? text : text.substr(1));
  if ((!is_signed && !is_unsigned) || !bits || *bits < 1 || *bits > (is_signed ? 64 : 63)) {
    c.error(kFieldTypeError);
    return false;
  }
  operation->is_signed = is_signed;
  operation->bits = static_cast<int>(*bits);
  return true;
}

// Walks the operations among BITFIELD's arguments. Walked twice, to judge all before doing any.
class FieldReader {
 public:
  explicit FieldReader(Context& c) : c_(c) {}

  // The next operation into `operation`; false at the end, and after an error, which it has
  // answered.
  bool read(FieldOperation* operation) {
    for (; at_ < c_.args.size(); ++at_) {
      std::string_view word = c_.args[at_];
      size_t left = c_.args.size() - at_ - 1;
      if (is_word(word, "OVERFLOW") && left >= 1) {
        if (!read_overflow(c_.args[++at_])) return fail("ERR Invalid OVERFLOW type specified");
        continue;
      }
      if (is_word(word, "GET") && left >= 2) {
        operation->kind = FieldOperation::Kind::kGet;
      } else if (is_word(word, "SET") && left >= 3) {
        operation->kind = FieldOperation::Kind::kSet;
      } else if (is_word(word, "INCRBY") && left >= 3) {
        operation->kind = FieldOperation::Kind::kIncrement;
      } else {
        return fail(errors::kSyntax);
      }
      return read_rest(operation);
    }
    return false;
  }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  bool read_rest(FieldOperation* operation) {
    operation->overflow = overflow_;
    failed_ = !read_field_type(c_, c_.args[at_ + 1], operation) ||
              !read_bit_offset(c_, c_.args[at_ + 2], operation->bits, &operation->offset);
    if (failed_) return false;
    at_ += 3;
    if (operation->kind == FieldOperation::Kind::kGet) return true;
    auto value = parse_int64(c_.args[at_++]);
    if (!value) return fail(errors::kNotInteger);
    operation->value = *value;
    return true;
  }
  bool read_overflow(std::string_view word) {
    if (is_word(word, "WRAP")) return overflow_ = Overflow::kWrap, true;
    if (is_word(word, "SAT")) return overflow_ = Overflow::kSaturate, true;
    if (is_word(word, "FAIL")) return overflow_ = Overflow::kFail, true;
    return false;
  }
  bool fail(std::string_view text) {
    c_.error(text);
    failed_ = true;
    return false;
  }

  Context& c_;
  size_t at_ = 2;
  Overflow overflow_ = Overflow::kWrap;
  bool failed_ = false;
};

// A field's bits in the low bits of the result; `at` points to its first byte.
uint64_t load_field(const uint8_t* at, size_t byte_count, const FieldOperation& operation) {
  unsigned __int128 window = 0;
  for (size_t i = 0; i < byte_count; ++i) window = (window << 8) | at[i];
  auto behind =
      static_cast<int>(byte_count) * 8 - static_cast<int>(operation.offset & 7) - operation.bits;
  auto value = static_cast<uint64_t>(window >> behind);
  return operation.bits == 64 ? value : value & ((uint64_t{1} << operation.bits) - 1);
}

void store_field(uint8_t* at, size_t byte_count, const FieldOperation& operation, uint64_t value) {
  auto behind =
      static_cast<int>(byte_count) * 8 - static_cast<int>(operation.offset & 7) - operation.bits;
  uint64_t ones = operation.bits == 64 ? ~uint64_t{0} : (uint64_t{1} << operation.bits) - 1;
  unsigned __int128 mask = static_cast<unsigned __int128>(ones) << behind;
  unsigned __int128 placed = static_cast<unsigned __int128>(value & ones) << behind;
  for (size_t i = byte_count; i-- > 0; mask >>= 8, placed >>= 8) {
    at[i] =
        static_cast<uint8_t>((at[i] & ~static_cast<uint8_t>(mask)) | static_cast<uint8_t>(placed));
  }
}

// The field's bits as the number that they mean.
__int128 meaning(uint64_t bits, const FieldOperation& operation) {
  if (!operation.is_signed) return bits;
  int unused = 64 - operation.bits;
  return static_cast<int64_t>(bits << unused) >> unused;
}

// Fits `value` into the field as its overflow asks. False when it asks to leave the field alone.
bool fit(const FieldOperation& operation, __int128* value) {
  __int128 one = 1;
  __int128 max = (one << (operation.is_signed ? operation.bits - 1 : operation.bits)) - 1;
  __int128 min = operation.is_signed ? -max - 1 : 0;
  if (*value >= min && *value <= max) return true;
  switch (operation.overflow) {
    case Overflow::kFail:
      return false;
    case Overflow::kSaturate:
      *value = *value > max ? max : min;
      return true;
    case Overflow::kWrap:
      uint64_t ones = operation.bits == 64 ? ~uint64_t{0} : (uint64_t{1} << operation.bits) - 1;
      *value = meaning(static_cast<uint64_t>(*value) & ones, operation);
      return true;
  }
  return true;
}

void reply_get(Context& c, std::string_view text, const FieldOperation& operation) {
  // A copy, followed by the zeros that the string is followed by.
  uint8_t window[9] = {};
  size_t first = operation.first_byte();
  if (first < text.size()) {
    std::memcpy(window, text.data() + first, std::min(operation.byte_count(), text.size() - first));
  }
  uint64_t bits = load_field(window, operation.byte_count(), operation);
  c.reply.integer(static_cast<int64_t>(meaning(bits, operation)));
}

// SET and INCRBY on a string that is long enough; true when the field's bits changed.
bool write_field(Context& c, String& string, uint8_t* bytes, const FieldOperation& operation) {
  uint8_t* at = bytes + operation.first_byte();
  uint64_t old_bits = load_field(at, operation.byte_count(), operation);
  __int128 old_value = meaning(old_bits, operation);
  bool is_set = operation.kind == FieldOperation::Kind::kSet;
  // What an unsigned field is set to is taken as unsigned, so that -1 is more than any field holds.
  __int128 given = is_set && !operation.is_signed ? __int128{static_cast<uint64_t>(operation.value)}
                                                  : __int128{operation.value};
  __int128 value = is_set ? given : old_value + given;
  if (!fit(operation, &value)) {
    c.reply.null();
    return false;
  }
  c.reply.integer(static_cast<int64_t>(is_set ? old_value : value));
  if (value == old_value) return false;
  store_field(at, operation.byte_count(), operation, static_cast<uint64_t>(value));
  string.patched(operation.first_byte(), operation.byte_count());
  return true;
}

void run_fields(Context& c, Key& key, size_t size_wanted) {
  String string(key);
  bool writes = size_wanted != 0;
  bool grew = writes && (!key.exists() || string.size() < size_wanted);
  uint8_t* bytes = writes ? string.edit(size_wanted) : nullptr;
  if (grew) string.patched(string.size(), 0);
  String::Buffer buffer;
  std::string_view text = string.view(&buffer);
  bool changed = grew;
  size_t count = 0;
  size_t begun = c.reply.begin();
  FieldReader reader(c);
  for (FieldOperation operation; reader.read(&operation); ++count) {
    if (operation.kind == FieldOperation::Kind::kGet) {
      reply_get(c, text, operation);
    } else {
      changed |= write_field(c, string, bytes, operation);
    }
  }
  c.reply.finish_array(begun, count);
  if (changed) key.changed();
}

void bitfield_command(Context& c, bool readonly) {
  size_t size_wanted = 0;  // 0: nothing is written.
  FieldReader reader(c);
  for (FieldOperation operation; reader.read(&operation);) {
    if (operation.kind == FieldOperation::Kind::kGet) continue;
    size_wanted = std::max(size_wanted, operation.first_byte() + operation.byte_count());
  }
  if (reader.failed()) return;
  if (readonly && size_wanted != 0) {
    return c.error("ERR BITFIELD_RO only supports the GET subcommand");
  }
  Key key(c, c.args[1], size_wanted == 0 ? Key::Use::kRead : Key::Use::kWrite);
  if (key.allows(Type::kString)) run_fields(c, key, size_wanted);
}

}  // namespace

void bitfield(Context& c) {
  bitfield_command(c, false);
}
void bitfield_ro(Context& c) {
  bitfield_command(c, true);
}

}  // namespace dyno
