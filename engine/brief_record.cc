// SPDX-License-Identifier: Apache-2.0
#include "engine/brief_record.h"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "engine/memory.h"

namespace dyno {
namespace {

enum Code : uint64_t { kNone, kAsLatest, kAsBase, kOwn };

// Bits of the head.
constexpr unsigned kTypeShift = 4;
constexpr unsigned kCodesShift = 8;
constexpr unsigned kCodeBits = 2;
constexpr size_t kStampCount = 5;
constexpr uint64_t kHasDeadline = 1U << 18;
constexpr uint64_t kHasStamps = 1U << 19;
constexpr uint64_t kHasFieldDeadlines = 1U << 20;
constexpr uint64_t kHasList = 1U << 21;

constexpr size_t kStampsWords = sizeof(StampMap) / sizeof(uint64_t);
constexpr size_t kWordsMax = 2 + kStampCount + 1 + 2 + kStampsWords + 2;

std::array<Stamp*, kStampCount> stamps_of(KeyRecord& record) {
  return {&record.base, &record.type_stamp, &record.clear, &record.deadline_stamp,
          &record.other_stamp};
}

Code code_of(Stamp stamp, Stamp latest, Stamp base) {
  if (stamp == 0) return kNone;
  if (stamp == latest) return kAsLatest;
  return stamp == base ? kAsBase : kOwn;
}

Code code_at(uint64_t head, size_t i) {
  return static_cast<Code>(head >> (kCodesShift + i * kCodeBits) & 3);
}

bool has_digest(uint64_t head) {
  return static_cast<Type>(head >> kTypeShift & 15) != Type::kString;
}

size_t word_count(uint64_t head) {
  size_t count = 2;
  for (size_t i = 0; i < kStampCount; ++i) count += code_at(head, i) == kOwn ? 1 : 0;
  if ((head & kHasDeadline) != 0) ++count;
  if (has_digest(head)) count += 2;
  if ((head & kHasStamps) != 0) count += kStampsWords;
  if ((head & kHasFieldDeadlines) != 0) ++count;
  if ((head & kHasList) != 0) ++count;
  return count;
}

}  // namespace

bool BriefRecord::can_tell(const KeyRecord& record) {
  if (record.list != nullptr && !(record.list->dead.empty() && record.list->dying.empty())) {
    return false;
  }
  bool has_value_stamp = record.type != Type::kString || record.base != 0;
  return record.is_live && has_value_stamp && !record.lapsed && !record.awaits_collection &&
         record.gone == nullptr && record.counters == nullptr && record.sketch == nullptr &&
         record.shelved_deadlines == nullptr;
}

BriefRecord* BriefRecord::write(KeyRecord& record, BriefRecord* old) {
  std::array<uint64_t, kWordsMax> words;
  uint64_t head = static_cast<uint64_t>(record.db) | static_cast<uint64_t>(record.type)
                                                         << kTypeShift;
  size_t count = 2;
  words[1] = record.latest;
  unsigned shift = kCodesShift;
  for (Stamp* stamp : stamps_of(record)) {
    Code code = code_of(*stamp, record.latest, stamp == &record.base ? 0 : record.base);
    if (code == kOwn) words[count++] = *stamp;
    head |= code << shift;
    shift += kCodeBits;
  }
  if (record.deadline_ms != -1) {
    head |= kHasDeadline;
    words[count++] = static_cast<uint64_t>(record.deadline_ms);
  }
  if (has_digest(head)) {
    words[count++] = record.digest.low;
    words[count++] = record.digest.high;
  }
  size_t scalar_count = count;
  if (!record.stamps.empty()) head |= kHasStamps;
  if (record.field_deadlines != nullptr) head |= kHasFieldDeadlines;
  if (record.list != nullptr) head |= kHasList;
  words[0] = head;

  bool fits = old != nullptr && word_count(old->words()[0]) == word_count(head);
  if (!fits) release(old);
  void* at = fits ? old : memory::allocate(word_count(head) * sizeof(uint64_t));
  auto* brief = static_cast<BriefRecord*>(at);
  uint64_t* part = std::copy_n(words.begin(), scalar_count, brief->words());
  if ((head & kHasStamps) != 0) {
    new (part) StampMap(std::move(record.stamps));
    part += kStampsWords;
  }
  if ((head & kHasFieldDeadlines) != 0) {
    *part++ = reinterpret_cast<uintptr_t>(record.field_deadlines.release());
  }
  if ((head & kHasList) != 0) *part = reinterpret_cast<uintptr_t>(record.list.release());
  return brief;
}

void BriefRecord::read(KeyRecord* record) {
  const uint64_t head = words()[0];
  record->db = static_cast<int>(head & 15);
  record->type = static_cast<Type>(head >> kTypeShift & 15);
  record->is_live = true;
  record->latest = latest();
  uint64_t* part = words() + 2;
  size_t i = 0;
  for (Stamp* stamp : stamps_of(*record)) {
    Code code = code_at(head, i++);
    if (code == kAsLatest) *stamp = record->latest;
    if (code == kAsBase) *stamp = record->base;
    if (code == kOwn) *stamp = *part++;
  }
  if ((head & kHasDeadline) != 0) record->deadline_ms = static_cast<int64_t>(*part++);
  if (has_digest(head)) {
    record->digest = {part[0], part[1]};
    part += 2;
  }
  if ((head & kHasStamps) != 0) {
    record->stamps = std::move(*std::launder(reinterpret_cast<StampMap*>(part)));
    part += kStampsWords;
  }
  if ((head & kHasFieldDeadlines) != 0) {
    record->field_deadlines.reset(reinterpret_cast<StampMap*>(std::exchange(*part++, 0)));
  }
  if ((head & kHasList) != 0) {
    record->list.reset(reinterpret_cast<ListRecord*>(std::exchange(*part, 0)));
  }
}

void BriefRecord::release(BriefRecord* brief) {
  if (brief == nullptr) return;
  KeyRecord parts;
  brief->read(&parts);
  memory::release(brief);
}

}  // namespace dyno
