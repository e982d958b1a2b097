// SPDX-License-Identifier: Apache-2.0
//
// LCS: the longest common subsequence of two strings, by dynamic programming over all pairs of
// prefixes. The table is as large as both lengths multiplied, and is refused beyond the size of a
// bulk string; for the length alone two of its rows are kept.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "engine/command.h"
#include "engine/types/string.h"
#include "protocol/words.h"

namespace dyno {
namespace {

struct LcsOptions {
  bool length_only = false;
  bool ranges = false;
  bool with_lengths = false;
  int64_t shortest = 0;
};

struct FreeDelete {
  void operator()(uint32_t* cells) const { std::free(cells); }
};

// Lengths of the longest common subsequences of all prefixes of `a` and `b`.
class LcsTable {
 public:
  // Keeps `rows` rows: one more than `a` has bytes, or two.
  LcsTable(std::string_view a, std::string_view b, size_t rows)
      : width_(b.size() + 1),
        rows_(rows),
        cells_(static_cast<uint32_t*>(std::calloc(rows * width_, sizeof(uint32_t)))) {
    if (cells_ == nullptr) return;
    for (size_t i = 1; i <= a.size(); ++i) {
      const uint32_t* above = row(i - 1);
      uint32_t* here = row(i);
      for (size_t j = 1; j <= b.size(); ++j) {
        here[j] = a[i - 1] == b[j - 1] ? above[j - 1] + 1 : std::max(above[j], here[j - 1]);
      }
    }
  }
  [[nodiscard]] bool allocated() const { return cells_ != nullptr; }
  [[nodiscard]] uint32_t at(size_t i, size_t j) const { return row(i)[j]; }

 private:
  [[nodiscard]] uint32_t* row(size_t i) const { return cells_.get() + i % rows_ * width_; }

  size_t width_;
  size_t rows_;
  std::unique_ptr<uint32_t, FreeDelete> cells_;
};

// A stretch that both strings share, by the places after its end.
struct SharedRange {
  size_t a_end;
  size_t b_end;
  size_t size;
};

// Walks back from the ends of both strings along one longest common subsequence, calling visit for
// each of its unbroken stretches, last one first. Where two ways are equally good, `b` gives way.
template <class Visit>
void walk_ranges(const LcsTable& table, std::string_view a, std::string_view b, Visit&& visit) {
  size_t i = a.size();
  size_t j = b.size();
  while (i > 0 && j > 0) {
    size_t run = 0;
    while (run < i && run < j && a[i - run - 1] == b[j - run - 1]) ++run;
    if (run > 0) {
      visit(SharedRange{i, j, run});
      i -= run;
      j -= run;
    } else if (table.at(i - 1, j) > table.at(i, j - 1)) {
      --i;
    } else {
      --j;
    }
  }
}

bool read_options(Context& c, LcsOptions* options) {
  for (size_t i = 3; i < c.args.size(); ++i) {
    if (is_word(c.args[i], "IDX")) {
      options->ranges = true;
    } else if (is_word(c.args[i], "LEN")) {
      options->length_only = true;
    } else if (is_word(c.args[i], "WITHMATCHLEN")) {
      options->with_lengths = true;
    } else if (is_word(c.args[i], "MINMATCHLEN") && i + 1 < c.args.size()) {
      auto shortest = parse_int64(c.args[++i]);
      if (!shortest) return c.error(errors::kNotInteger), false;
      options->shortest = std::max<int64_t>(*shortest, 0);
    } else {
      return c.error(errors::kSyntax), false;
    }
  }
  if (!options->ranges || !options->length_only) return true;
  c.error("ERR If you want both the length and indexes, please just use IDX.");
  return false;
}

void reply_range(Context& c, const SharedRange& range, bool with_length) {
  c.reply.array(with_length ? 3 : 2);
  for (size_t end : {range.a_end, range.b_end}) {
    c.reply.array(2);
    c.reply.integer(static_cast<int64_t>(end - range.size));
    c.reply.integer(static_cast<int64_t>(end - 1));
  }
  if (with_length) c.reply.integer(static_cast<int64_t>(range.size));
}

void reply_ranges(Context& c, const LcsOptions& options, const LcsTable& table, std::string_view a,
                  std::string_view b) {
  c.reply.map(2);
  c.reply.bulk("matches");
  size_t begun = c.reply.begin();
  size_t count = 0;
  walk_ranges(table, a, b, [&](const SharedRange& range) {
    if (static_cast<int64_t>(range.size) < options.shortest) return;
    reply_range(c, range, options.with_lengths);
    ++count;
  });
  c.reply.finish_array(begun, count);
  c.reply.bulk("len");
  c.reply.integer(table.at(a.size(), b.size()));
}

void lcs(Context& c) {
  constexpr size_t kBytesMax = UINT32_MAX - 2;
  Key first(c, c.args[1], Key::Use::kRead);
  Key second(c, c.args[2], Key::Use::kRead);
  first.find();
  if ((first.exists() && !first.is(Type::kString)) ||
      (second.exists() && !second.is(Type::kString))) {
    return c.error("ERR The specified keys must contain string values");
  }
  LcsOptions options;
  if (!read_options(c, &options)) return;
  String::Buffer buffers[2];
  std::string_view a = String(first).view(&buffers[0]);
  std::string_view b = String(second).view(&buffers[1]);
  if (a.size() > kBytesMax || b.size() > kBytesMax) return c.error("ERR String too long for LCS");
  unsigned __int128 bytes = static_cast<unsigned __int128>(a.size() + 1) * (b.size() + 1) * 4;
  if (bytes > static_cast<uint64_t>(static_cast<int64_t>(c.limits.bulk_bytes_max))) {
    return c.error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
  }
  LcsTable table(a, b, options.length_only ? 2 : a.size() + 1);
  if (!table.allocated()) {
    return c.error("ERR Insufficient memory, failed allocating transient memory for LCS");
  }
  if (options.ranges) return reply_ranges(c, options, table, a, b);
  if (options.length_only) return c.reply.integer(table.at(a.size(), b.size()));
  std::string result(table.at(a.size(), b.size()), '\0');
  size_t at = result.size();
  walk_ranges(table, a, b, [&](const SharedRange& range) {
    at -= range.size;
    result.replace(at, range.size, a.substr(range.a_end - range.size, range.size));
  });
  c.reply.bulk(result);
}

// clang-format off
const CommandSpec kRows[] = {
    {"LCS", -3, kReadonly, {1, 2, 1}, CommandGroup::kString, "7.0.0",
     "O(N*M) with N and M the lengths of the strings",
     "Finds the longest common subsequence of two strings.",
     "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]", lcs},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kLcsCommands{kRows};

}  // namespace dyno
