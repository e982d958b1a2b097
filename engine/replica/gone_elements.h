// SPDX-License-Identifier: Apache-2.0
//
// Elements of a key that were removed, and when, with a digest over them that is kept with every
// change: reads compare it, however many there are.
//
// An element is named as in key_record.h. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "engine/replica/slot_digest.h"
#include "engine/replica/stamp.h"

namespace dyno {

class GoneElements {
 public:
  [[nodiscard]] size_t size() const { return stamps_.size(); }
  [[nodiscard]] bool empty() const { return stamps_.empty(); }
  // 0: it is not among them.
  [[nodiscard]] Stamp find(std::string_view name) const {
    auto at = stamps_.find(name);
    return at == stamps_.end() ? 0 : at->second;
  }
  [[nodiscard]] auto begin() const { return stamps_.begin(); }
  [[nodiscard]] auto end() const { return stamps_.end(); }
  // Equal where the same elements were removed at the same time, whatever the key is.
  [[nodiscard]] Digest digest() const { return digest_; }

  // The element was removed at the stamp, if not later. `hash` is the cluster's. Returns whether it
  // is new among them.
  bool add(const DigestHash& hash, std::string name, Stamp stamp) {
    auto [at, is_new] = stamps_.try_emplace(std::move(name), stamp);
    if (!is_new) digest_ -= term(hash, *at);
    at->second = std::max(at->second, stamp);
    digest_ += term(hash, *at);
    return is_new;
  }
  bool erase(const DigestHash& hash, std::string_view name) {
    auto at = stamps_.find(name);
    if (at == stamps_.end()) return false;
    digest_ -= term(hash, *at);
    stamps_.erase(at);
    return true;
  }
  // Those that were removed at the stamp or before. Returns how many there were.
  size_t erase_until(const DigestHash& hash, Stamp stamp) {
    return std::erase_if(stamps_, [&](const auto& each) {
      if (each.second > stamp) return false;
      digest_ -= term(hash, each);
      return true;
    });
  }

 private:
  using Stamps = std::map<std::string, Stamp, std::less<>>;

  static Digest term(const DigestHash& hash, const Stamps::value_type& each) {
    return hash.term(0, hash.element(each.first), each.second);
  }

  Stamps stamps_;
  Digest digest_;
};

}  // namespace dyno
