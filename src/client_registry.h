// SPDX-License-Identifier: Apache-2.0
//
// All connected clients by id, for CLIENT LIST, KILL and their kin, which reach clients of other
// threads. Thread-safe. A client is in here from its first to its last moment.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

#include "src/client.h"

namespace dyno {

class ClientRegistry {
 public:
  // Gives out the next id and stores it in the facts.
  uint64_t add(ClientFacts& facts, NetworkThread& thread);
  void remove(uint64_t id);

  // Calls visit(facts, thread) for each client in order of id, under the registry's lock: it must
  // not call back into the registry.
  void for_each(const std::function<void(const ClientFacts&, NetworkThread&)>& visit) const;
  // The same for one client; false when it is gone.
  bool with(uint64_t id,
            const std::function<void(const ClientFacts&, NetworkThread&)>& visit) const;

  [[nodiscard]] size_t count() const;

 private:
  struct Place {
    ClientFacts* facts;
    NetworkThread* thread;
  };
  mutable std::mutex mutex_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, Place> places_;
};

}  // namespace dyno
