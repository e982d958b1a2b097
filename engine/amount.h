// SPDX-License-Identifier: Apache-2.0
//
// What increments sum up to: a whole part, exact whatever the order, and a floating part, for
// INCRBYFLOAT and its kin. The whole part has room for more than any 2^63 increments; sums that
// only a broken peer can have sent wrap around, the same in any order.
#pragma once

namespace dyno {

struct Amount {
  __int128 whole = 0;
  long double part = 0;

  friend Amount operator+(Amount a, Amount b) {
    return {static_cast<__int128>(Bits(a.whole) + Bits(b.whole)), a.part + b.part};
  }
  friend Amount operator-(Amount a, Amount b) {
    return {static_cast<__int128>(Bits(a.whole) - Bits(b.whole)), a.part - b.part};
  }
  friend bool operator==(const Amount& a, const Amount& b) = default;

 private:
  using Bits = unsigned __int128;
};

}  // namespace dyno
