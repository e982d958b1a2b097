// SPDX-License-Identifier: Apache-2.0
//
// Deltas as text, for people: a line for the delta and one for each fact, of words and of names
// with their values.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "engine/replica/delta.h"
#include "engine/replica/delta_kinds.h"
#include "protocol/number.h"
#include "protocol/quote.h"

namespace dyno {
namespace {

// Longest bytes that are shown to people.
constexpr size_t kShownBytesMax = 256;
constexpr size_t kShownRegistersMax = 64;

std::string shown(std::string_view bytes) {
  if (bytes.size() <= kShownBytesMax) return quoted_bytes(bytes);
  return quoted_bytes(bytes.substr(0, kShownBytesMax)) + "...(" + std::to_string(bytes.size()) +
         " bytes)";
}

std::string shown(Stamp stamp) {
  if (stamp == 0) return "none";
  const uint64_t logical = stamp >> kStampRackBits & ((uint64_t{1} << kStampLogicalBits) - 1);
  return std::to_string(stamp_ms(stamp)) + "." + std::to_string(logical) + "." +
         std::to_string(stamp_rack(stamp));
}

std::string shown(const Amount& sum) {
  auto left = static_cast<unsigned __int128>(sum.whole);
  if (sum.whole < 0) left = -left;
  std::string digits;
  do {
    digits += static_cast<char>('0' + static_cast<int>(left % 10));
    left /= 10;
  } while (left != 0);
  if (sum.whole < 0) digits += '-';
  std::reverse(digits.begin(), digits.end());
  char part[48];
  std::snprintf(part, sizeof(part), "%.21Lg", sum.part);
  return digits + " part=" + part;
}

std::string shown_registers(std::string_view registers) {
  std::string out;
  const size_t total = registers.size() / kRegisterBytes;
  for (size_t i = 0; i < std::min(total, kShownRegistersMax); ++i) {
    uint16_t index;
    std::memcpy(&index, registers.data() + i * kRegisterBytes, sizeof(index));
    const auto rank = static_cast<uint8_t>(registers[i * kRegisterBytes + 2]);
    out += (i == 0 ? "" : ",") + std::to_string(index) + ":" + std::to_string(rank);
  }
  if (total > kShownRegistersMax) out += ",...(" + std::to_string(total) + " registers)";
  return out;
}

std::string shown(const Fact& fact) {
  const KindRow& row = row_of(fact.kind);
  std::string out = std::string(row.name) + " stamp=" + shown(fact.stamp);
  if (row.parts & kPartType)
    out.append(" type=").append(fact.type == kSketchType ? "sketch" : type_name(fact.type));
  if (row.parts & kPartPrev) out += " prev=" + shown(fact.prev);
  if (row.parts & kPartItem) {
    out += (fact.item.head ? " item=head:" : " item=tail:") + shown(fact.item.stamp) + ":" +
           std::to_string(fact.item.index);
  }
  if (row.parts & kPartElement) out += " element=" + shown(fact.element);
  if (row.parts & kPartDeadline) {
    out += " at=" + (fact.number == -1 ? std::string("never") : std::to_string(fact.number));
  }
  if (row.parts & kPartOffset) out += " offset=" + std::to_string(fact.number);
  if (fact.kind == FactKind::kRegisters) {
    out += " registers=" + shown_registers(fact.value);
  } else if (row.parts & kPartValue) {
    out += " value=" + shown(fact.value);
  }
  if (row.parts & kPartScore) out += " score=" + format_double(fact.score);
  if (row.parts & kPartCount) out += " count=" + std::to_string(fact.count);
  if (row.parts & kPartSum) {
    out += " actor=" + std::to_string(actor_rack(fact.total.actor)) + "." +
           std::to_string(fact.total.actor & kIncarnationMax) +
           " generation=" + shown(fact.total.generation) + " whole=" + shown(fact.total.sum);
  }
  return out;
}

}  // namespace

std::string describe(const Delta& delta) {
  std::string out = "db=" + std::to_string(delta.db) + " key=" + shown(delta.key) +
                    " stamp=" + shown(delta.stamp) + "\n";
  for (const Fact& fact : delta.facts) out += "  " + shown(fact) + "\n";
  return out;
}

}  // namespace dyno
