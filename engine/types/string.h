// SPDX-License-Identifier: Apache-2.0
//
// A string key as other families see it: its bytes, and the changes that are recorded as effects.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/context.h"
#include "protocol/number.h"

namespace dyno {

// What a write does to the key's deadline.
struct DeadlineChange {
  enum class Kind : uint8_t { kKeep, kNone, kAt } kind = Kind::kNone;
  int64_t at_ms = 0;
};

// Wraps a Key that is missing or holds a string; lives no longer than the key.
class String {
 public:
  struct Buffer {
    char bytes[kInt64TextMax];
  };

  explicit String(Key& key) : key_(key) {}

  // The bytes, empty when the key is missing. Numbers are written into `buffer`; otherwise a view
  // into the entry, valid until the next change.
  [[nodiscard]] std::string_view view(Buffer* buffer) const;
  [[nodiscard]] size_t size() const;

  // kText keeps what looks like a number as its bytes, which only OBJECT ENCODING tells.
  enum class Form : uint8_t { kShortest, kText };
  // The key becomes this string, whatever it held. Records kString and the deadline if it changes.
  void assign(std::string_view bytes, DeadlineChange deadline, Form form = Form::kShortest);
  // The same for a counter, keeping the deadline: `bytes` is the sum of what the key held, 0 if it
  // was missing, and `amount`.
  void add(std::string_view bytes, int64_t amount);
  void add(std::string_view bytes, long double amount);
  // The same for a string that was changed in place, keeping the deadline. Records nothing: the
  // caller does.
  void rewrite(std::string_view bytes);

  // Makes the value at least `size` bytes, new ones zero, and returns its first byte for writing.
  // The caller writes and then calls patched() with what it wrote. Encoding becomes kRawEdited.
  [[nodiscard]] uint8_t* edit(size_t size);
  // Reports bytes [offset, offset + size) as changed by edit(); with size 0, that the value grew.
  void patched(size_t offset, size_t size);
  // edit() and patched() in one: writes `bytes` at `offset`, zeros before them if the value was
  // shorter.
  void patch(size_t offset, std::string_view bytes);

 private:
  // What was there before.
  struct Before {
    bool is_missing;
    bool has_deadline;
  };
  [[gnu::always_inline]] Before write(std::string_view bytes, DeadlineChange deadline, Form form);
  [[gnu::cold]] void record_assigned(std::string_view bytes, Before before,
                                     DeadlineChange deadline);
  [[gnu::cold]] void record_added(std::string_view bytes, Before before, Amount amount,
                                  std::string_view sum_before = {});

  Key& key_;
  // What edit() found is a HyperLogLog, whose changes are recorded as a whole.
  bool is_sketch_ = false;
};

// True when a string of `size` bytes is allowed; else answers kTooLong.
[[nodiscard]] bool allows_size(Context& context, uint64_t size);

}  // namespace dyno
