// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/counter_bytes.h"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace dyno {
namespace {

// Bits of the heads.
constexpr unsigned kCountBits = 2;
constexpr uint32_t kCountMask = (1U << kCountBits) - 1;
constexpr unsigned kBaseShift = 2 * kCountBits;
constexpr uint32_t kExists = 1U << (kBaseShift + StampCode::kBits);
constexpr unsigned kGenerationShift = StampCode::kBits;
constexpr uint32_t kIsWide = 1U << (2 * StampCode::kBits);
constexpr uint32_t kHasPart = kIsWide << 1;
constexpr unsigned kRackBits = 8;

uint8_t* write_total(uint8_t* at, const Total& total, const StampCode& stamps) {
  uint32_t head = stamps.of(total.stamp) | stamps.of(total.generation) << kGenerationShift;
  auto narrow = static_cast<int64_t>(total.sum.whole);
  if (narrow != total.sum.whole) head |= kIsWide;
  if (total.sum.part != 0 || std::signbit(total.sum.part)) head |= kHasPart;
  *at++ = static_cast<uint8_t>(head);
  uint64_t incarnation = total.actor & kIncarnationMax;
  at = write_varint(at, incarnation << kRackBits | actor_rack(total.actor));
  at = stamps.write(at, total.stamp);
  at = stamps.write(at, total.generation);
  if ((head & kIsWide) != 0) {
    std::memcpy(at, &total.sum.whole, sizeof(total.sum.whole));
    at += sizeof(total.sum.whole);
  } else {
    at = write_varint(at, zigzag(narrow));
  }
  if ((head & kHasPart) == 0) return at;
  std::memcpy(at, &total.sum.part, CounterBytes::kPartBytes);
  return at + CounterBytes::kPartBytes;
}

const uint8_t* read_total(const uint8_t* at, const StampCode& stamps, Total* total) {
  const uint32_t head = *at++;
  uint64_t number;
  at = read_varint(at, &number);
  total->actor =
      make_actor(static_cast<uint8_t>(number), static_cast<uint32_t>(number >> kRackBits));
  at = stamps.read(at, head, &total->stamp);
  at = stamps.read(at, head >> kGenerationShift, &total->generation);
  if ((head & kIsWide) != 0) {
    std::memcpy(&total->sum.whole, at, sizeof(total->sum.whole));
    at += sizeof(total->sum.whole);
  } else {
    at = read_varint(at, &number);
    total->sum.whole = unzigzag(number);
  }
  if ((head & kHasPart) == 0) return at;
  std::memcpy(&total->sum.part, at, CounterBytes::kPartBytes);
  return at + CounterBytes::kPartBytes;
}

}  // namespace

bool CounterBytes::can_tell(const SharedCounter& counter) {
  const SharedCounter::Base& base = counter.base();
  const bool is_score = base.exists && counter.type() == Type::kZSet;
  const size_t text_max = base.exists && !is_score ? kTextMax : 0;
  return !counter.is_settling() && counter.totals().size() <= kTotalsMax &&
         counter.observed().size() <= kTotalsMax && base.text.size() <= text_max &&
         (is_score || base.score == 0);
}

uint8_t* CounterBytes::write(uint8_t* at, const SharedCounter& counter, const StampCode& stamps) {
  const SharedCounter::Base& base = counter.base();
  *at++ = static_cast<uint8_t>(counter.totals().size() | counter.observed().size() << kCountBits |
                               stamps.of(base.stamp) << kBaseShift | (base.exists ? kExists : 0));
  at = stamps.write(at, base.stamp);
  if (base.exists && counter.type() == Type::kZSet) {
    std::memcpy(at, &base.score, sizeof(base.score));
    at += sizeof(base.score);
  } else if (base.exists) {
    at = write_varint(at, base.text.size());
    std::memcpy(at, base.text.data(), base.text.size());
    at += base.text.size();
  }
  for (const Total& total : counter.totals()) at = write_total(at, total, stamps);
  for (const Total& total : counter.observed()) at = write_total(at, total, stamps);
  return at;
}

void CounterBytes::read(const uint8_t* at, const StampCode& stamps, SharedCounter* counter) {
  const uint32_t head = *at++;
  SharedCounter::Base base;
  base.exists = (head & kExists) != 0;
  at = stamps.read(at, head >> kBaseShift, &base.stamp);
  if (base.exists && counter->type() == Type::kZSet) {
    std::memcpy(&base.score, at, sizeof(base.score));
    at += sizeof(base.score);
  } else if (base.exists) {
    uint64_t size;
    at = read_varint(at, &size);
    base.text.assign(reinterpret_cast<const char*>(at), size);
    at += size;
  }
  (void)counter->set_base(std::move(base));
  Total total;
  for (uint32_t i = head & kCountMask; i > 0; --i) {
    total = {};
    at = read_total(at, stamps, &total);
    (void)counter->add_total(total);
  }
  for (uint32_t i = head >> kCountBits & kCountMask; i > 0; --i) {
    total = {};
    at = read_total(at, stamps, &total);
    (void)counter->add_observed(total);
  }
}

}  // namespace dyno
