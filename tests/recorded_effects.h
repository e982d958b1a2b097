// SPDX-License-Identifier: Apache-2.0
//
// Effects as short texts, in the order in which they were recorded, for tests of what commands
// record.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/effect.h"

namespace dyno {

class RecordedEffects : public EffectRecorder {
 public:
  void record(const Effect& effect) override {
    static constexpr const char* kNames[] = {
        "",      "erase",       "string",         "patch",    "deadline",
        "field", "field-erase", "field-deadline", "member",   "member-erase",
        "score", "score-erase", "list-insert",    "list-set", "list-erase",
        "flush",
    };
    std::string text = std::to_string(effect.db) + " " + kNames[static_cast<int>(effect.kind)];
    if (!effect.key.empty()) text += " " + std::string(effect.key);
    if (!effect.element.empty()) text += " " + std::string(effect.element);
    if (!effect.value.empty()) text += " " + std::string(effect.value);
    if (effect.kind == EffectKind::kDeadline || effect.kind == EffectKind::kFieldDeadline) {
      text += " " + std::to_string(effect.position);
    }
    texts_.push_back(text);
  }
  // What was recorded since the last call.
  [[nodiscard]] std::vector<std::string> take() { return std::exchange(texts_, {}); }

 private:
  std::vector<std::string> texts_;
};

}  // namespace dyno
