// SPDX-License-Identifier: Apache-2.0
//
// Where the values of cold keys lie: what spill.h moves values with. One kind writes them when they
// leave (scratch_values.h), the other has them anyway (kept_values.h).
//
// Thread-safe, as far as the slots of the keys are locked where they have to be.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/context.h"
#include "engine/disk/rocks_store.h"
#include "protocol/token.h"

namespace dyno {

// A key, as it is told apart on a node.
struct ColdName {
  SlotIndex slot = 0;
  int db = 0;
  std::string text;
  bool operator==(const ColdName&) const = default;
};
struct ColdNameHash {
  [[nodiscard]] size_t operator()(const ColdName& name) const {
    return std::hash<std::string>()(name.text) ^ (size_t{name.slot} << 20) ^
           (static_cast<size_t>(name.db) << 40);
  }
};

class ValueStore {
 public:
  // A value on its way to disk.
  struct Leaving {
    ColdName name;
    std::string mark;  // Equal as long as the value is; may be empty.
  };

  virtual ~ValueStore() = default;

  // Appends the mark of the value of a key that is not cold. False when it is to stay in memory.
  // The slot is locked.
  [[nodiscard]] virtual bool mark(Key& key, std::string* mark) = 0;
  // The values that had these marks are on disk when it returns, and survive what other values
  // survive there. Called by one thread; with none, too, from time to time. Returns why they are
  // not.
  [[nodiscard]] virtual std::string write(const std::vector<Leaving>& values) = 0;
  // Reads what there is of cold keys.
  virtual void read(std::span<RocksStore::KeyRead> keys) = 0;
  // Gives a cold key the value that was read. False when it is none of this key; then nothing
  // changes. The slot is locked.
  [[nodiscard]] virtual bool restore(Key& key, std::string_view bytes) = 0;
  // As in cold_keys.h.
  virtual void forget(const ColdName& name) = 0;
  virtual void forget_all() = 0;
};

}  // namespace dyno
