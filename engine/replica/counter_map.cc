// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/counter_map.h"

#include <array>
#include <cstring>
#include <utility>

#include "engine/keyspace.h"
#include "engine/memory.h"
#include "engine/replica/counter_bytes.h"

namespace dyno {
namespace {

Type type_of(std::string_view name) {
  return static_cast<Type>(name[0]);
}

}  // namespace

std::string_view CounterNode::name() const {
  uint64_t size;
  const uint8_t* at = read_varint(reinterpret_cast<const uint8_t*>(this), &size);
  return {reinterpret_cast<const char*>(at), size};
}

uint32_t CounterTraits::position(const CounterNode* node) {
  return element_position(node->name());
}

CounterMap::~CounterMap() {
  packed_.for_each([](const uint64_t* word) {
    memory::release(Table<CounterTraits>::node(*word));
    return true;
  });
  packed_.release();
}

size_t CounterMap::size() const {
  if (objects_ == nullptr) return packed_.size();
  return packed_.size() + objects_->open.size() + objects_->large.size();
}

CounterMap::Objects& CounterMap::open() {
  if (objects_ == nullptr) objects_ = std::make_unique<Unpacked>();
  return objects_->open;
}

SharedCounter* CounterMap::find(std::string_view name) {
  if (objects_ != nullptr) {
    auto at = objects_->open.find(name);
    if (at != objects_->open.end()) return &at->second;
    auto large = objects_->large.find(name);
    if (large != objects_->large.end()) {
      return &objects_->open.insert(objects_->large.extract(large)).position->second;
    }
  }
  const uint32_t position = element_position(name);
  uint64_t* word = packed_.find(position, name);
  if (word == nullptr) return nullptr;
  CounterNode* node = Table<CounterTraits>::node(*word);
  SharedCounter& counter = open().try_emplace(std::string(name), read(node)).first->second;
  packed_.erase(position, word);
  memory::release(node);
  return &counter;
}

bool CounterMap::has(std::string_view name) const {
  if (packed_.find(element_position(name), name) != nullptr) return true;
  return objects_ != nullptr && (objects_->open.contains(name) || objects_->large.contains(name));
}

SharedCounter& CounterMap::add(const std::string& name) {
  return open().try_emplace(name, type_of(name)).first->second;
}

CounterMap::Objects& CounterMap::all() {
  Objects& all = open();
  all.merge(objects_->large);
  packed_.for_each([&](const uint64_t* word) {
    CounterNode* node = Table<CounterTraits>::node(*word);
    all.try_emplace(std::string(node->name()), read(node));
    memory::release(node);
    return true;
  });
  packed_.release();
  return all;
}

void CounterMap::pack() {
  if (objects_ == nullptr) return;
  Objects& open = objects_->open;
  while (!open.empty()) {
    auto first = open.begin();
    const std::string& name = first->first;
    if (!CounterBytes::can_tell(first->second)) {
      objects_->large.insert(open.extract(first));
      continue;
    }
    packed_.insert(element_position(name), write(name, first->second));
    open.erase(first);
  }
  if (objects_->large.empty()) objects_.reset();
}

SharedCounter CounterMap::read(const CounterNode* node) {
  const std::string_view name = node->name();
  const auto* at = reinterpret_cast<const uint8_t*>(name.data() + name.size());
  StampCode stamps;
  std::memcpy(&stamps.latest, at, sizeof(stamps.latest));
  uint64_t distance;
  at = read_varint(at + sizeof(stamps.latest), &distance);
  stamps.near = stamps.latest - distance;
  SharedCounter counter(type_of(name));
  CounterBytes::read(at, stamps, &counter);
  return counter;
}

CounterNode* CounterMap::write(std::string_view name, const SharedCounter& counter) {
  StampCode stamps;
  stamps.latest = counter.latest();
  stamps.near =
      counter.totals().empty() ? counter.base().stamp : counter.totals().front().generation;
  std::array<uint8_t, sizeof(Stamp) + 10 + CounterBytes::kBytesMax> bytes;
  std::memcpy(bytes.data(), &stamps.latest, sizeof(stamps.latest));
  uint8_t* end = write_varint(bytes.data() + sizeof(stamps.latest), stamps.latest - stamps.near);
  end = CounterBytes::write(end, counter, stamps);
  const auto size = static_cast<size_t>(end - bytes.data());

  void* node = memory::allocate_tight(varint_bytes(name.size()) + name.size() + size);
  uint8_t* at = write_varint(static_cast<uint8_t*>(node), name.size());
  std::memcpy(at, name.data(), name.size());
  std::memcpy(at + name.size(), bytes.data(), size);
  return static_cast<CounterNode*>(node);
}

}  // namespace dyno
