// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/brief_record.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "engine/memory.h"
#include "engine/replica/counter_bytes.h"
#include "engine/replica/stamp_code.h"

namespace dyno {
namespace {

// Bits of the head.
constexpr uint32_t kDbMask = 15;
constexpr unsigned kTypeShift = 4;
constexpr uint32_t kTypeMask = 7;
static_assert(kTypeCount <= kTypeMask + 1);
constexpr unsigned kCodesShift = 7;
constexpr size_t kStampCount = 5;
constexpr uint32_t kHasDeadline = 1U << 17;
constexpr uint32_t kHasFieldDeadlines = 1U << 18;
constexpr unsigned kStampsShift = 19;
constexpr unsigned kListShift = 21;
constexpr uint32_t kHasCounters = 1U << 23;

enum Form : uint32_t { kNone, kSmall, kObject };
constexpr uint32_t kFormMask = 3;
// Parts that lie elsewhere, but for a string's counters: that is one, in the record.
constexpr uint32_t kParts =
    kHasFieldDeadlines | kHasCounters | kFormMask << kStampsShift | kFormMask << kListShift;

constexpr size_t kBitsBytes = 3;
constexpr size_t kHeadBytes = kBitsBytes + sizeof(Stamp);
constexpr size_t kVarintBytesMax = 10;
constexpr size_t kBytesMax = kHeadBytes + (kStampCount + 2) * kVarintBytesMax + sizeof(Digest) +
                             4 * sizeof(void*) + CounterBytes::kBytesMax;

std::array<Stamp*, kStampCount> stamps_of(KeyRecord& record) {
  return {&record.base, &record.type_stamp, &record.clear, &record.deadline_stamp,
          &record.other_stamp};
}

StampCode counter_stamps(const KeyRecord& record) {
  return {record.latest, record.clear != 0 ? record.clear : record.deadline_stamp};
}

bool is_string(uint32_t head) {
  return static_cast<Type>(head >> kTypeShift & kTypeMask) == Type::kString;
}
bool has_own_counter(uint32_t head) {
  return is_string(head) && (head & kHasCounters) != 0;
}
bool owns_parts(uint32_t head) {
  return (head & (is_string(head) ? kParts & ~kHasCounters : kParts)) != 0;
}

template <class T>
uint8_t* put(uint8_t* at, const T& value) {
  std::memcpy(at, &value, sizeof(value));
  return at + sizeof(value);
}

template <class T>
T take(const uint8_t** at) {
  T value;
  std::memcpy(&value, *at, sizeof(value));
  *at += sizeof(value);
  return value;
}

Form stamps_form(const StampMap& stamps) {
  if (stamps.empty()) return kNone;
  return stamps.is_one_block() ? kSmall : kObject;
}

Form list_form(const ListRecord* list) {
  if (list == nullptr) return kNone;
  return list->ids.is_one_chunk() && list->changed.empty() ? kSmall : kObject;
}

// Modulo 2^63: a deadline is not negative, but may be before its stamp.
constexpr uint64_t kDeadlineMask = static_cast<uint64_t>(INT64_MAX);

uint64_t deadline_code(Stamp stamp, int64_t deadline_ms) {
  const uint64_t distance_ms =
      (static_cast<uint64_t>(deadline_ms) - static_cast<uint64_t>(stamp_ms(stamp))) & kDeadlineMask;
  return distance_ms % 1000 == 0 ? distance_ms / 1000 * 2 + 1 : distance_ms * 2;
}
int64_t coded_deadline_ms(Stamp stamp, uint64_t code) {
  const uint64_t distance_ms = (code & 1) != 0 ? code / 2 * 1000 : code / 2;
  return static_cast<int64_t>((distance_ms + static_cast<uint64_t>(stamp_ms(stamp))) &
                              kDeadlineMask);
}

// The parts that it owns, and the bits of the head that say so.
uint8_t* write_owned(uint8_t* at, KeyRecord& record, uint32_t* head) {
  const Form stamps = stamps_form(record.stamps);
  if (stamps == kSmall) at = put(at, record.stamps.release_block());
  if (stamps == kObject) at = put(at, new StampMap(std::move(record.stamps)));
  if (record.field_deadlines != nullptr) {
    *head |= kHasFieldDeadlines;
    at = put(at, record.field_deadlines.release());
  }
  const Form list = list_form(record.list.get());
  if (list == kSmall) {
    const size_t size = record.list->ids.size();
    at = put(at, record.list->ids.release_chunk());
    at = write_varint(at, size);
    record.list.reset();
  }
  if (list == kObject) at = put(at, record.list.release());
  if (record.counters != nullptr) {
    *head |= kHasCounters;
    record.counters->pack();
    at = put(at, record.counters.release());
  }
  *head |= stamps << kStampsShift | list << kListShift;
  return at;
}

const uint8_t* read_owned(const uint8_t* at, uint32_t head, KeyRecord* record) {
  const uint32_t stamps = head >> kStampsShift & kFormMask;
  if (stamps == kSmall) record->stamps = StampMap(take<void*>(&at));
  if (stamps == kObject) {
    const std::unique_ptr<StampMap> object(take<StampMap*>(&at));
    record->stamps = std::move(*object);
  }
  if ((head & kHasFieldDeadlines) != 0) record->field_deadlines.reset(take<StampMap*>(&at));
  const uint32_t list = head >> kListShift & kFormMask;
  if (list == kSmall) {
    void* chunk = take<void*>(&at);
    uint64_t size;
    at = read_varint(at, &size);
    record->make_list().ids = ItemIds(chunk, size);
  }
  if (list == kObject) record->list.reset(take<ListRecord*>(&at));
  if ((head & kHasCounters) != 0 && !is_string(head)) {
    record->counters.reset(take<CounterMap*>(&at));
  }
  return at;
}

// Of the object whose address lies there.
void leave_thin_span(uint8_t* at) {
  void* object;
  std::memcpy(&object, at, sizeof(object));
  if (memory::in_thin_span(object)) put(at, memory::move(object));
}

}  // namespace

bool BriefRecord::can_tell(const KeyRecord& record) {
  if (!record.is_live || record.lapsed || record.awaits_collection || record.gone != nullptr ||
      record.sketch != nullptr || record.shelved_deadlines != nullptr || record.deadline_ms < -1) {
    return false;
  }
  if (record.list != nullptr && !(record.list->dead.empty() && record.list->dying.empty())) {
    return false;
  }
  if (record.type != Type::kString) return true;
  if (record.counters == nullptr) return record.base != 0;
  const SharedCounter* counter = record.counter(Type::kString, {});
  return counter != nullptr && record.counters->size() == 1 && record.base == 0 &&
         CounterBytes::can_tell(*counter);
}

BriefRecord* BriefRecord::write(KeyRecord& record, BriefRecord* old) {
  std::array<uint8_t, kBytesMax> bytes;
  uint32_t head = static_cast<uint32_t>(record.db) | static_cast<uint32_t>(record.type)
                                                         << kTypeShift;
  uint8_t* at = put(bytes.data() + kBitsBytes, record.latest);
  StampCode code{record.latest, 0};
  unsigned shift = kCodesShift;
  for (const Stamp* stamp : stamps_of(record)) {
    head |= code.of(*stamp) << shift;
    shift += StampCode::kBits;
    at = code.write(at, *stamp);
    code.near = record.base;
  }
  if (record.deadline_ms != -1) {
    head |= kHasDeadline;
    at = write_varint(at, deadline_code(record.deadline_stamp, record.deadline_ms));
  }
  if (!is_string(head)) at = put(at, record.digest);
  if (record.type == Type::kString && record.counters != nullptr) {
    head |= kHasCounters;
    const std::unique_ptr<CounterMap> counters = std::move(record.counters);
    const SharedCounter& counter = counters->all().begin()->second;
    at = CounterBytes::write(write_owned(at, record, &head), counter, counter_stamps(record));
  } else {
    at = write_owned(at, record, &head);
  }
  std::memcpy(bytes.data(), &head, kBitsBytes);

  const auto size = static_cast<size_t>(at - bytes.data());
  if (old == nullptr || memory::usable_bytes(old) != memory::rounded_tight_bytes(size)) {
    release(old);
    old = static_cast<BriefRecord*>(memory::allocate_tight(size));
  }
  std::memcpy(static_cast<void*>(old), bytes.data(), size);
  return old;
}

const uint8_t* BriefRecord::read_numbers(KeyRecord* record) const {
  const uint32_t head = this->head();
  record->db = db();
  record->type = static_cast<Type>(head >> kTypeShift & kTypeMask);
  record->is_live = true;
  record->latest = latest();
  const uint8_t* at = bytes() + kHeadBytes;
  StampCode code{record->latest, 0};
  unsigned shift = kCodesShift;
  for (Stamp* stamp : stamps_of(*record)) {
    at = code.read(at, head >> shift, stamp);
    shift += StampCode::kBits;
    code.near = record->base;
  }
  if ((head & kHasDeadline) != 0) {
    uint64_t deadline;
    at = read_varint(at, &deadline);
    record->deadline_ms = coded_deadline_ms(record->deadline_stamp, deadline);
  }
  if (!is_string(head)) record->digest = take<Digest>(&at);
  return at;
}

void BriefRecord::read(KeyRecord* record) {
  const uint32_t head = this->head();
  const uint8_t* at = read_numbers(record);
  at = read_owned(at, head, record);
  if (has_own_counter(head)) {
    CounterBytes::read(at, counter_stamps(*record), &record->add_counter(Type::kString, {}));
  }
  const uint32_t left = head & ~kParts;
  std::memcpy(bytes(), &left, kBitsBytes);
}

void BriefRecord::release(BriefRecord* brief) {
  if (brief == nullptr) return;
  if (owns_parts(brief->head())) {
    KeyRecord parts;
    brief->read(&parts);
  }
  memory::release(brief);
}

BriefRecord* BriefRecord::leave_thin_spans(BriefRecord* brief) {
  if (memory::in_thin_span(brief)) brief = static_cast<BriefRecord*>(memory::move(brief));
  const uint32_t head = brief->head();
  const uint32_t stamps = head >> kStampsShift & kFormMask;
  const uint32_t list = head >> kListShift & kFormMask;
  if (stamps != kSmall && list != kSmall) return brief;
  KeyRecord unused;
  auto* at = const_cast<uint8_t*>(brief->read_numbers(&unused));
  if (stamps == kSmall) leave_thin_span(at);
  if (stamps != kNone) at += sizeof(void*);
  if ((head & kHasFieldDeadlines) != 0) at += sizeof(void*);
  if (list == kSmall) leave_thin_span(at);
  return brief;
}

uint32_t BriefRecord::head() const {
  uint32_t head = 0;
  std::memcpy(&head, this, kBitsBytes);
  return head;
}

int BriefRecord::db() const {
  return static_cast<int>(head() & kDbMask);
}

Stamp BriefRecord::latest() const {
  const uint8_t* at = bytes() + kBitsBytes;
  return take<Stamp>(&at);
}

bool BriefRecord::has_counters() const {
  return (head() & kHasCounters) != 0;
}

}  // namespace dyno
