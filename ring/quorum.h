// SPDX-License-Identifier: Apache-2.0
//
// Counts which racks have done something for a request: pure arithmetic. A rack has done it when
// all of its nodes that are concerned have. A data center has when a majority of its racks has.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ring/request.h"
#include "ring/topology.h"

namespace dyno {

class Quorum {
 public:
  // What `level` asks for, seen from data center `dc_index`. DC_ONE asks for one rack of it.
  Quorum(const Topology& topology, Level level, uint16_t dc_index);
  Quorum() = default;

  // The rack belongs to a data center that counts.
  [[nodiscard]] bool counts(RackNumber rack) const;
  void done(RackNumber rack) { done_.insert(rack); }
  void failed(RackNumber rack) { failed_.insert(rack); }
  [[nodiscard]] bool is_done(RackNumber rack) const { return done_.contains(rack); }
  [[nodiscard]] bool is_failed(RackNumber rack) const { return failed_.contains(rack); }

  [[nodiscard]] bool reached() const;
  // Enough racks are done or may still be.
  [[nodiscard]] bool possible() const;
  // Racks of the data center that are done, and that are to be.
  [[nodiscard]] size_t done_in(uint16_t dc_index) const;
  [[nodiscard]] size_t needed_in(uint16_t dc_index) const;
  // How many more racks of the data center are to be done.
  [[nodiscard]] size_t lacking_in(uint16_t dc_index) const;
  // "1 of 2", over all data centers that count.
  [[nodiscard]] std::string describe() const;

 private:
  const Topology* topology_ = nullptr;
  std::vector<size_t> needed_;  // By data center.
  RackSet done_;
  RackSet failed_;
};

}  // namespace dyno
