// SPDX-License-Identifier: Apache-2.0
#include "engine/types/sketch.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "protocol/number.h"

namespace dyno::sketch {
namespace {

constexpr std::string_view kMagic = "HYLL";
constexpr size_t kEncodingOffset = 4;
constexpr uint8_t kDense = 0;
constexpr uint8_t kSparse = 1;

constexpr int kIndexBits = 14;
constexpr int kRankMax = 64 - kIndexBits + 1;
constexpr uint64_t kHashSeed = 0xadc83b19;

constexpr uint32_t kShortZerosMax = 64;
constexpr uint32_t kValueRunMax = 4;
constexpr uint8_t kSparseValueMax = 32;
// A changed opcode can only join with its neighbours: this many opcodes from the one before it.
constexpr int kJoinReach = 5;

uint64_t load_word(const uint8_t* at, size_t size = 8) {
  uint64_t word = 0;
  std::memcpy(&word, at, size);
  return word;
}

// MurmurHash64A (Appleby 2008).
uint64_t murmur(std::string_view bytes, uint64_t seed) {
  constexpr uint64_t kMultiplier = 0xc6a4a7935bd1e995;
  constexpr int kShift = 47;
  auto* at = reinterpret_cast<const uint8_t*>(bytes.data());
  uint64_t hash = seed ^ (bytes.size() * kMultiplier);
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word = load_word(at) * kMultiplier;
    word = (word ^ (word >> kShift)) * kMultiplier;
    hash = (hash ^ word) * kMultiplier;
  }
  if (left != 0) hash = (hash ^ load_word(at, left)) * kMultiplier;
  hash = (hash ^ (hash >> kShift)) * kMultiplier;
  return hash ^ (hash >> kShift);
}

const uint8_t* begin_of(std::string_view sketch) {
  return reinterpret_cast<const uint8_t*>(sketch.data()) + kHeaderBytes;
}
const uint8_t* end_of(std::string_view sketch) {
  return reinterpret_cast<const uint8_t*>(sketch.data()) + sketch.size();
}

// --- Opcodes ------------------------------------------------------------------------------------

struct Opcode {
  uint32_t run;
  uint8_t value;  // 0 for the two opcodes of zeros.
  uint8_t bytes;
};

// False when the opcode does not end before `end`.
bool read_opcode(const uint8_t* at, const uint8_t* end, Opcode* opcode) {
  if (at >= end) return false;
  if ((*at & 0x80) != 0) {
    *opcode = {(*at & 3u) + 1, static_cast<uint8_t>(((*at >> 2) & 31) + 1), 1};
  } else if ((*at & 0x40) == 0) {
    *opcode = {(*at & 63u) + 1, 0, 1};
  } else {
    if (end - at < 2) return false;
    *opcode = {((*at & 63u) << 8 | at[1]) + 1, 0, 2};
  }
  return true;
}

uint8_t* write_zeros(uint8_t* at, uint32_t run) {
  if (run > kShortZerosMax) {
    *at++ = static_cast<uint8_t>(0x40 | ((run - 1) >> 8));
    *at++ = static_cast<uint8_t>(run - 1);
  } else if (run > 0) {
    *at++ = static_cast<uint8_t>(run - 1);
  }
  return at;
}

uint8_t* write_value(uint8_t* at, uint8_t value, uint32_t run) {
  if (run > 0) *at++ = static_cast<uint8_t>(0x80 | (value - 1) << 2 | (run - 1));
  return at;
}

// Calls visit(value, first register, run) for each opcode; false when they do not cover exactly the
// registers that there are.
template <class Visit>
bool for_each_run(std::string_view sketch, Visit&& visit) {
  const uint8_t* at = begin_of(sketch);
  const uint8_t* end = end_of(sketch);
  uint32_t first = 0;
  Opcode opcode;
  while (at < end) {
    if (!read_opcode(at, end, &opcode) || opcode.run > kRegisterCount - first) return false;
    visit(opcode.value, first, opcode.run);
    first += opcode.run;
    at += opcode.bytes;
  }
  return first == kRegisterCount;
}

// Joins neighbouring opcodes of the same value, looking at a few from `at` on.
void join_values(std::string* sketch, size_t at) {
  auto* bytes = reinterpret_cast<uint8_t*>(sketch->data());
  Opcode opcode;
  Opcode following;
  for (int looks = 0; looks < kJoinReach; ++looks) {
    const uint8_t* end = bytes + sketch->size();
    if (!read_opcode(bytes + at, end, &opcode)) return;
    if (opcode.value != 0 && read_opcode(bytes + at + 1, end, &following) &&
        following.value == opcode.value && opcode.run + following.run <= kValueRunMax) {
      write_value(bytes + at, opcode.value, opcode.run + following.run);
      sketch->erase(at + 1, 1);
    } else {
      at += opcode.bytes;
    }
  }
}

Raised raise_dense(uint8_t* sketch, Place place) {
  if (dense_register(sketch, place.index) >= place.rank) return Raised::kNo;
  set_dense_register(sketch, place.index, place.rank);
  set_stale(sketch);
  return Raised::kYes;
}

Raised raise_sparse(std::string* sketch, Place place, size_t sparse_bytes_max) {
  auto grow_dense = [&] {
    if (!make_dense(sketch)) return Raised::kDamaged;
    return raise_dense(reinterpret_cast<uint8_t*>(sketch->data()), place);
  };
  if (place.rank > kSparseValueMax) return grow_dense();

  // The opcode that covers the register, and where the one before it is.
  auto* bytes = reinterpret_cast<uint8_t*>(sketch->data());
  const uint8_t* end = bytes + sketch->size();
  size_t at = kHeaderBytes;
  size_t before = kHeaderBytes;
  uint32_t first = 0;
  Opcode opcode;
  for (;;) {
    if (!read_opcode(bytes + at, end, &opcode)) return Raised::kDamaged;
    if (place.index < first + opcode.run) break;
    before = at;
    at += opcode.bytes;
    first += opcode.run;
  }
  if (opcode.value >= place.rank) return Raised::kNo;

  // What takes its place: the registers before, the register, the registers behind.
  uint32_t run_before = place.index - first;
  uint32_t run_behind = opcode.run - run_before - 1;
  uint8_t fresh[5];
  uint8_t* fresh_end = fresh;
  if (opcode.value == 0) {
    fresh_end = write_zeros(fresh_end, run_before);
    fresh_end = write_value(fresh_end, place.rank, 1);
    fresh_end = write_zeros(fresh_end, run_behind);
  } else {
    fresh_end = write_value(fresh_end, opcode.value, run_before);
    fresh_end = write_value(fresh_end, place.rank, 1);
    fresh_end = write_value(fresh_end, opcode.value, run_behind);
  }
  auto fresh_bytes = static_cast<size_t>(fresh_end - fresh);
  if (fresh_bytes > opcode.bytes &&
      sketch->size() + fresh_bytes - opcode.bytes > sparse_bytes_max) {
    return grow_dense();
  }
  sketch->replace(at, opcode.bytes, reinterpret_cast<const char*>(fresh), fresh_bytes);
  join_values(sketch, before);
  set_stale(reinterpret_cast<uint8_t*>(sketch->data()));
  return Raised::kYes;
}

// --- Estimation ---------------------------------------------------------------------------------
//
// From how many registers have which value, after Ertl, "New cardinality estimation algorithms for
// HyperLogLog sketches", 2017: no tables of corrections, and right for small and large counts
// alike.

using Histogram = std::array<uint32_t, 64>;

double sigma(double x) {
  if (x == 1) return std::numeric_limits<double>::infinity();
  double sum = x;
  double weight = 1;
  for (double before = -1; before != sum;) {
    before = sum;
    x *= x;
    sum += x * weight;
    weight += weight;
  }
  return sum;
}

double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double sum = 1 - x;
  double weight = 1;
  for (double before = -1; before != sum;) {
    before = sum;
    x = std::sqrt(x);
    weight *= 0.5;
    sum -= (1 - x) * (1 - x) * weight;
  }
  return sum / 3;
}

uint64_t estimate_from(const Histogram& histogram) {
  constexpr double kAlpha = 0.721347520444481703680;  // 1 / (2 ln 2)
  constexpr double kCount = kRegisterCount;
  double z = kCount * tau((kCount - histogram[kRankMax]) / kCount);
  for (int rank = kRankMax - 1; rank >= 1; --rank) {
    z = (z + histogram[static_cast<size_t>(rank)]) * 0.5;
  }
  z += kCount * sigma(histogram[0] / kCount);
  return static_cast<uint64_t>(std::llround(kAlpha * kCount * kCount / z));
}

// Calls visit(index, value) for all registers: eight of them are six bytes.
template <class Visit>
void for_each_dense(const uint8_t* sketch, Visit&& visit) {
  const uint8_t* at = sketch + kHeaderBytes;
  for (uint32_t index = 0; index < kRegisterCount; index += 8, at += 6) {
    uint64_t eight = load_word(at, 6);
    for (uint32_t i = 0; i < 8; ++i)
      visit(index + i, static_cast<uint8_t>((eight >> (6 * i)) & 63));
  }
}

// The bytes of a dense sketch that hold the register.
struct ByteRange {
  size_t offset;
  size_t size;
};
ByteRange dense_register_bytes(uint32_t index) {
  size_t bit = size_t{index} * 6;
  return {kHeaderBytes + bit / 8, bit % 8 > 2 ? size_t{2} : size_t{1}};
}

}  // namespace

Place place_of(std::string_view element) {
  uint64_t hash = murmur(element, kHashSeed);
  // The bit behind the last ends the search for the first one that is set.
  uint64_t rest = (hash >> kIndexBits) | (uint64_t{1} << (64 - kIndexBits));
  return {static_cast<uint32_t>(hash & (kRegisterCount - 1)),
          static_cast<uint8_t>(std::countr_zero(rest) + 1)};
}

bool is_sketch(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, kMagic.size()) != kMagic) return false;
  auto encoding = static_cast<uint8_t>(bytes[kEncodingOffset]);
  return encoding == kSparse || (encoding == kDense && bytes.size() == kDenseBytes);
}

bool is_dense(std::string_view sketch) {
  return static_cast<uint8_t>(sketch[kEncodingOffset]) == kDense;
}

std::string empty() {
  std::string sketch(kHeaderBytes + 2, '\0');
  kMagic.copy(sketch.data(), kMagic.size());
  sketch[kEncodingOffset] = kSparse;
  write_zeros(reinterpret_cast<uint8_t*>(sketch.data()) + kHeaderBytes, kRegisterCount);
  return sketch;
}

std::optional<uint64_t> known_count(std::string_view sketch) {
  auto* bytes = reinterpret_cast<const uint8_t*>(sketch.data());
  if ((bytes[kStaleOffset] & 0x80) != 0) return std::nullopt;
  return load_word(bytes + kCountOffset);
}

void set_count(uint8_t* sketch, uint64_t count) {
  std::memcpy(sketch + kCountOffset, &count, kCountBytes);
}

std::optional<uint64_t> estimate(std::string_view sketch) {
  Histogram histogram{};
  if (is_dense(sketch)) {
    // Several, so that equal neighbours need not wait for each other's increment.
    std::array<Histogram, 4> parts{};
    for_each_dense(reinterpret_cast<const uint8_t*>(sketch.data()),
                   [&](uint32_t index, uint8_t value) { ++parts[index % 4][value]; });
    for (size_t i = 0; i < histogram.size(); ++i) {
      for (const Histogram& part : parts) histogram[i] += part[i];
    }
  } else if (!for_each_run(
                 sketch, [&](uint8_t value, uint32_t, uint32_t run) { histogram[value] += run; })) {
    return std::nullopt;
  }
  return estimate_from(histogram);
}

uint64_t estimate(const Registers& registers) {
  Histogram histogram{};
  for (uint8_t value : registers) ++histogram[value & 63];
  return estimate_from(histogram);
}

bool is_intact(std::string_view sketch) {
  return is_dense(sketch) || for_each_run(sketch, [](uint8_t, uint32_t, uint32_t) {});
}

bool merge_into(Registers* registers, std::string_view sketch) {
  auto raise_one = [&](uint32_t index, uint8_t value) {
    (*registers)[index] = std::max((*registers)[index], value);
  };
  if (is_dense(sketch)) {
    for_each_dense(reinterpret_cast<const uint8_t*>(sketch.data()), raise_one);
    return true;
  }
  return for_each_run(sketch, [&](uint8_t value, uint32_t first, uint32_t run) {
    for (uint32_t i = 0; value != 0 && i < run; ++i) raise_one(first + i, value);
  });
}

uint8_t dense_register(const uint8_t* sketch, uint32_t index) {
  ByteRange range = dense_register_bytes(index);
  uint64_t word = load_word(sketch + range.offset, range.size);
  return static_cast<uint8_t>((word >> (index * 6 % 8)) & 63);
}

void set_dense_register(uint8_t* sketch, uint32_t index, uint8_t value) {
  ByteRange range = dense_register_bytes(index);
  uint64_t word = load_word(sketch + range.offset, range.size);
  uint32_t shift = index * 6 % 8;
  word = (word & ~(uint64_t{63} << shift)) | (uint64_t{value} << shift);
  std::memcpy(sketch + range.offset, &word, range.size);
}

Raised raise(std::string* sketch, Place place, size_t sparse_bytes_max) {
  if (!is_dense(*sketch)) return raise_sparse(sketch, place, sparse_bytes_max);
  return raise_dense(reinterpret_cast<uint8_t*>(sketch->data()), place);
}

bool make_dense(std::string* sketch) {
  if (is_dense(*sketch)) return true;
  std::string dense(kDenseBytes, '\0');
  sketch->copy(dense.data(), kHeaderBytes);
  dense[kEncodingOffset] = kDense;
  auto* bytes = reinterpret_cast<uint8_t*>(dense.data());
  bool whole = for_each_run(*sketch, [&](uint8_t value, uint32_t first, uint32_t run) {
    for (uint32_t i = 0; value != 0 && i < run; ++i) set_dense_register(bytes, first + i, value);
  });
  if (whole) *sketch = std::move(dense);
  return whole;
}

std::string describe_sparse(std::string_view sketch) {
  std::string text;
  const uint8_t* at = begin_of(sketch);
  Opcode opcode;
  for (; read_opcode(at, end_of(sketch), &opcode); at += opcode.bytes) {
    if (!text.empty()) text += ' ';
    if (opcode.value != 0) {
      append_int64(text.append("v:"), opcode.value);
      append_int64(text.append(","), opcode.run);
    } else {
      append_int64(text.append(opcode.bytes == 2 ? "Z:" : "z:"), opcode.run);
    }
  }
  return text;
}

}  // namespace dyno::sketch
