// SPDX-License-Identifier: Apache-2.0
//
// Folding: several frames of one key into one that says the same, without a data set to apply them
// to. It is how the log on disk forgets what was overwritten (rocks_store.h): RocksDB folds what it
// finds of a key whenever it reads or compacts.
//
// Merging the folded frame into any replica gives what merging all of them would have given
// (merge.h); tests/delta_fold_laws_test.cc checks that. A fact goes when another of the frames
// beats it under every state that it may meet: an element's older fact, what a clear or a flush has
// passed, an item that is gone. What the lost fact said of the key's type stays, as kType.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "engine/replica/delta.h"

namespace dyno {

// What is known beside the frames.
struct FoldBounds {
  // Every replica has every write up to here: traces of what was gone by then may go. 0: keep all.
  Stamp horizon = 0;
  // The key's database was flushed then; 0: never.
  Stamp flushed = 0;
  // The frames are all that is known of the key. Only then traces go.
  bool is_all = false;
};

// Appends the folded frame to `out`; nothing when nothing needs to be remembered. The frames are of
// one key and may come in any order. Returns why they were refused, empty when they were not.
// Thread-safe.
[[nodiscard]] std::string fold(std::span<const std::string_view> frames, const FoldBounds& bounds,
                               std::string* out);

}  // namespace dyno
