// SPDX-License-Identifier: Apache-2.0
#include "src/client_registry.h"

namespace dyno {

uint64_t ClientRegistry::add(ClientFacts& facts, NetworkThread& thread) {
  std::lock_guard lock(mutex_);
  facts.id = next_id_++;
  places_.emplace(facts.id, Place{&facts, &thread});
  return facts.id;
}

void ClientRegistry::remove(uint64_t id) {
  std::lock_guard lock(mutex_);
  places_.erase(id);
}

void ClientRegistry::for_each(
    const std::function<void(const ClientFacts&, NetworkThread&)>& visit) const {
  std::lock_guard lock(mutex_);
  for (const auto& [_, place] : places_) visit(*place.facts, *place.thread);
}

bool ClientRegistry::with(
    uint64_t id, const std::function<void(const ClientFacts&, NetworkThread&)>& visit) const {
  std::lock_guard lock(mutex_);
  auto found = places_.find(id);
  if (found == places_.end()) return false;
  visit(*found->second.facts, *found->second.thread);
  return true;
}

size_t ClientRegistry::count() const {
  std::lock_guard lock(mutex_);
  return places_.size();
}

}  // namespace dyno
