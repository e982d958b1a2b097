// SPDX-License-Identifier: Apache-2.0
//
// Cold keys: their values lie on disk, while their entries stay in memory with name, type, deadline
// and clock (Encoding::kCold), so that whatever does not look at values needs no disk. This is what
// the engine asks of whoever moves values between the two.
//
// A value that came back may have a copy on disk as long as nobody changes it (Entry::has_copy()),
// so that it need not be written when it leaves again.
//
// The slot of the key is locked in all calls; the callee locks no slot in them.
#pragma once

#include <string>
#include <string_view>

#include "protocol/token.h"

namespace dyno {

class ColdKeys {
 public:
  virtual ~ColdKeys() = default;

  // The value is to come back. False when that has been asked for already.
  virtual bool want(SlotIndex slot, int db, std::string_view name) = 0;
  // Why the value did not come back when it was last wanted; told once. Empty: no reason known.
  [[nodiscard]] virtual std::string take_failure(SlotIndex slot, int db, std::string_view name) = 0;
  // The key is gone, or its value is in memory and without a copy: what is on disk is of no use.
  virtual void forget(SlotIndex slot, int db, std::string_view name) = 0;
  // The same for all keys. All slots are locked.
  virtual void forget_all() = 0;

  // False while memory is beyond its limit and values are on their way out: what others have
  // written is then to wait. No slot is locked.
  [[nodiscard]] virtual bool has_room() { return true; }
};

}  // namespace dyno
