// SPDX-License-Identifier: Apache-2.0
//
// The counters of a key under the names of their elements (key_record.h). A counter is an object
// only while a command or a merge has to do with it, or when more have written it than
// counter_bytes.h can tell of.
//
//   node := name_size:varint name latest:u64 near:varint counter
//
// near is the distance to latest of the first total's generation, or of the base without totals;
// the counter is told by these two stamps.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "engine/replica/shared_counter.h"
#include "engine/table.h"

namespace dyno {

// Its bytes are the object; made and released by the map alone.
struct CounterNode {
  [[nodiscard]] std::string_view name() const;
};

struct CounterTraits {
  using Node = CounterNode;
  using Key = std::string_view;
  [[nodiscard]] static bool equal(const CounterNode* node, std::string_view name) {
    return node->name() == name;
  }
  [[nodiscard]] static uint32_t position(const CounterNode* node);
};

// Not thread-safe.
class CounterMap {
 public:
  using Objects = std::map<std::string, SharedCounter, std::less<>>;

  CounterMap() = default;
  ~CounterMap();
  CounterMap(const CounterMap&) = delete;
  CounterMap& operator=(const CounterMap&) = delete;

  [[nodiscard]] size_t size() const;
  [[nodiscard]] bool empty() const { return size() == 0; }

  // The counter, which may be changed; null when there is none. Valid until pack().
  [[nodiscard]] SharedCounter* find(std::string_view name);
  // Whether there is one. It stays packed, so that all of a key's elements may be asked for.
  [[nodiscard]] bool has(std::string_view name) const;
  // One that is not there yet, of the type that its name says.
  SharedCounter& add(const std::string& name);
  // One that was found or added since pack().
  void erase(const std::string& name) { open().erase(name); }
  // All of them, to be changed and taken out. Counters that were found before stay where they are.
  [[nodiscard]] Objects& all();
  // Calls visit(name, const SharedCounter&) for all, in no particular order. The map is not to
  // change meanwhile, nor is anything to be found in it.
  template <class Visit>
  void for_each(Visit&& visit) const {
    packed_.for_each([&](const uint64_t* word) {
      const CounterNode* node = Table<CounterTraits>::node(*word);
      visit(node->name(), read(node));
      return true;
    });
    if (objects_ == nullptr) return;
    for (const auto& [name, counter] : objects_->open) visit(std::string_view(name), counter);
    for (const auto& [name, counter] : objects_->large) visit(std::string_view(name), counter);
  }
  // The changes are done.
  void pack();

 private:
  struct Unpacked {
    Objects open;   // Since the last pack().
    Objects large;  // What more have written.
  };

  [[nodiscard]] static SharedCounter read(const CounterNode* node);
  [[nodiscard]] static CounterNode* write(std::string_view name, const SharedCounter& counter);
  [[nodiscard]] Objects& open();

  Table<CounterTraits> packed_;
  std::unique_ptr<Unpacked> objects_;
};

}  // namespace dyno
