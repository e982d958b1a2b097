// SPDX-License-Identifier: Apache-2.0
//
// Effects as short texts, in the order in which they were recorded, for tests of what commands
// record: database, kind, key, element and value, as far as there are any, then
//
//   a deadline's position; a list's @position, and *count of what goes; =score; +amount; "new";
//   "keeps deadline"
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/effect.h"
#include "protocol/number.h"

namespace dyno {

class RecordedEffects : public EffectRecorder {
 public:
  // Writes "begin" and "commit" between the effects, too.
  bool shows_commands = false;

  void record(const Effect& effect) override { texts_.push_back(describe(effect)); }
  void begin_command(int64_t) override {
    if (shows_commands) texts_.emplace_back("begin");
  }
  void commit() override {
    if (shows_commands) texts_.emplace_back("commit");
  }
  // What was recorded since the last call.
  [[nodiscard]] std::vector<std::string> take() { return std::exchange(texts_, {}); }

  [[nodiscard]] static std::string describe(const Effect& effect) {
    std::string text = std::to_string(effect.db) + " " + name(effect.kind);
    for (std::string_view part : {effect.key, effect.element, effect.value}) {
      if (!part.empty()) text.append(" ").append(part);
    }
    switch (effect.kind) {
      case EffectKind::kDeadline:
      case EffectKind::kFieldDeadline:
        text += " " + std::to_string(effect.position);
        break;
      case EffectKind::kPatch:
      case EffectKind::kListInsert:
      case EffectKind::kListSet:
        text += " @" + std::to_string(effect.position);
        break;
      case EffectKind::kListErase:
        text += " @" + std::to_string(effect.position) + "*" + std::to_string(effect.count);
        break;
      case EffectKind::kScore:
      case EffectKind::kScoreIncrement:
        text += " =" + format_double(effect.score);
        break;
      default:
        break;
    }
    if (effect.amount != Amount{}) {
      text += " +" + (effect.amount.whole != 0
                          ? std::to_string(static_cast<int64_t>(effect.amount.whole))
                          : format_long_double(effect.amount.part));
    }
    if (effect.is_new) text += " new";
    if (effect.keeps_deadline) text += " keeps deadline";
    return text;
  }

 private:
  static const char* name(EffectKind kind) {
    switch (kind) {
      case EffectKind::kErase:
        return "erase";
      case EffectKind::kEmptied:
        return "emptied";
      case EffectKind::kExpired:
        return "expired";
      case EffectKind::kEvicted:
        return "evicted";
      case EffectKind::kFlush:
        return "flush";
      case EffectKind::kDeadline:
        return "deadline";
      case EffectKind::kString:
        return "string";
      case EffectKind::kIncrement:
        return "increment";
      case EffectKind::kPatch:
        return "patch";
      case EffectKind::kRegisters:
        return "registers";
      case EffectKind::kField:
        return "field";
      case EffectKind::kFieldIncrement:
        return "field-increment";
      case EffectKind::kFieldErase:
        return "field-erase";
      case EffectKind::kFieldExpired:
        return "field-expired";
      case EffectKind::kFieldDeadline:
        return "field-deadline";
      case EffectKind::kMember:
        return "member";
      case EffectKind::kMemberErase:
        return "member-erase";
      case EffectKind::kScore:
        return "score";
      case EffectKind::kScoreIncrement:
        return "score-increment";
      case EffectKind::kScoreErase:
        return "score-erase";
      case EffectKind::kListInsert:
        return "list-insert";
      case EffectKind::kListSet:
        return "list-set";
      case EffectKind::kListErase:
        return "list-erase";
    }
    return "?";
  }

  std::vector<std::string> texts_;
};

}  // namespace dyno
