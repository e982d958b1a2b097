// SPDX-License-Identifier: Apache-2.0
// A command with placeholders, rendered to RESP once; sending it means copying it and patching
// digits.
//
//   __key__       key prefix and a 12-digit key number; each further one in a command is drawn anew
//   __id__        the 12 digits alone, of the first key number
//   __number__    1000000000 + the first key number: ten digits, so an integer of fixed width
//   __group__     first key number / group size, 12 digits
//   __member__    first key number % group size, zero padded
//   __rand_int__  12 digits drawn anew each time, as redis-benchmark has it
//   __int__       a random integer of nine digits
//   __data__      a value of the set size
//   __ttl__       seconds drawn from --expire (an argument of its own)
//   __deadline__  the unix time in ms that --deadline names
//
// Every placeholder but __data__ of varying size and __ttl__ has a fixed width, so that most
// commands are one memcpy. Words are split at blanks; "…" and '…' quote, \xHH, \n, \r, \t, \" and
// \\ escape within "…".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/distribution.h"
#include "bench/out_buffer.h"
#include "bench/random.h"
#include "bench/value_size.h"

namespace dyno::bench {

struct TemplateSettings {
  std::string key_prefix = "key:";
  ValueSize value_size;
  bool random_data = false;  // another stretch of the pool for each value
  uint64_t group = 1;
  uint32_t ttl_low_s = 0;
  uint32_t ttl_high_s = 0;
  uint64_t deadline_unix_ms = 0;
};

/// What a request is rendered from; one per worker.
struct RenderSource {
  Random& random;
  Distribution& keys;
  uint64_t population;
};

class CommandTemplate {
 public:
  static std::optional<CommandTemplate> compile(std::string_view command,
                                                const TemplateSettings& settings, std::string& why);
  /// The same from words that are already split.
  static std::optional<CommandTemplate> compile(const std::vector<std::string>& words,
                                                const TemplateSettings& settings, std::string& why);
  static std::optional<std::vector<std::string>> split(std::string_view command, std::string& why);
  /// A line sent as it is (PING\r\n), without placeholders.
  static CommandTemplate inline_line(std::string_view line);

  /// Appends one command about key number `key`.
  void render(OutBuffer& out, uint64_t key, RenderSource& source) const;
  bool uses_key() const { return uses_key_; }
  const std::string& verb() const { return verb_; }

 private:
  enum class Patch : uint8_t { kFirst, kGroup, kMember, kNumber, kDrawn, kInt };
  enum class Tail : uint8_t { kNone, kHeader, kData, kTtl };
  struct Spot {
    uint32_t at;
    uint8_t width;
    Patch patch;
  };
  struct Segment {
    uint32_t begin = 0, end = 0;             // of frame_
    uint32_t first_spot = 0, last_spot = 0;  // of spots_
    Tail tail = Tail::kNone;
    uint32_t fixed_bytes = 0;  // kHeader: the argument's length without the value
  };

  struct Piece {
    std::string text;  // stands in the frame, with zeros where a spot is
    std::optional<Spot> spot;
    bool data;  // a value of varying size stands here
  };

  bool add_placeholder(std::string_view name, const TemplateSettings& settings,
                       std::vector<Piece>& pieces, std::string& why);
  void close_segment(Tail tail, uint32_t fixed_bytes);
  bool add_argument(const std::string& word, const TemplateSettings& settings, std::string& why);
  void patch(char* at, const Spot& spot, uint64_t key, RenderSource& source) const;

  std::string frame_;
  std::vector<Spot> spots_;
  std::vector<Segment> segments_;
  ValueSize value_size_;
  std::string_view pool_;
  bool random_data_ = false;
  bool uses_key_ = false;
  bool first_key_taken_ = false;
  uint64_t group_ = 1;
  uint32_t ttl_low_s_ = 0;
  uint32_t ttl_high_s_ = 0;
  std::string verb_;
};

/// Printable pseudo-random bytes, at least `bytes` of them; the same in every run.
std::string_view data_pool(size_t bytes);

/// Writes `value` as `width` decimal digits, zero padded.
inline void write_digits(char* at, unsigned width, uint64_t value) {
  for (unsigned i = width; i-- > 0;) {
    at[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

}  // namespace dyno::bench
