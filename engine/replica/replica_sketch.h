// SPDX-License-Identifier: Apache-2.0
//
// HyperLogLogs among replicas: registers only grow, so that concurrent additions are united
// exactly.
//
//   raised := (index:u16 little-endian rank:u8)*      as effects and deltas carry them
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/replica/key_state.h"

namespace dyno {

// Remembers registers that were raised at `stamp`, until no clear older than that is on its way.
void note_raised(KeyState& state, std::string_view raised, Stamp stamp);

// Forgets those that are older than `floor`.
void forget_raised(SketchRecord& sketch, Stamp floor);

// Raises a sketch's registers; false when `sketch` is none.
[[nodiscard]] bool raise_all(std::string* sketch, std::string_view raised, size_t sparse_bytes_max);
[[nodiscard]] bool raise_all(std::string* sketch, const SketchRecord& recent,
                             size_t sparse_bytes_max);

// All registers of a sketch that are not 0, as `raised`; none when it is no sketch.
[[nodiscard]] std::string raised_of(std::string_view sketch);
// One group of `recent` with the same stamp, from `begin` on; `end` is where the next one begins.
[[nodiscard]] std::string raised_of(const SketchRecord& recent, size_t begin, size_t* end);

// Stands for the registers in digests; never 0. Equal registers have equal hashes, in whatever
// encoding the sketch is.
[[nodiscard]] uint64_t hash_of_registers(std::string_view sketch);

}  // namespace dyno
