// SPDX-License-Identifier: Apache-2.0
#include "ring/quorum.h"

#include <algorithm>

namespace dyno {

Quorum::Quorum(const Topology& topology, Level level, uint16_t dc_index) : topology_(&topology) {
  needed_.resize(topology.dcs().size());
  for (uint16_t dc = 0; dc < needed_.size(); ++dc) {
    bool counts = dc == dc_index || level == Level::kDcEachSafeQuorum;
    if (counts) needed_[dc] = level == Level::kDcOne ? 1 : topology.dcs()[dc].quorum();
  }
}

bool Quorum::counts(RackNumber rack) const {
  return needed_[topology_->rack(rack).dc_index] > 0;
}

bool Quorum::reached() const {
  for (uint16_t dc = 0; dc < needed_.size(); ++dc) {
    if (lacking_in(dc) > 0) return false;
  }
  return true;
}

bool Quorum::possible() const {
  for (uint16_t dc = 0; dc < needed_.size(); ++dc) {
    const std::vector<RackNumber>& racks = topology_->dcs()[dc].racks;
    auto failed = std::count_if(racks.begin(), racks.end(), [this](RackNumber rack) {
      return failed_.contains(rack) && !done_.contains(rack);
    });
    if (racks.size() - static_cast<size_t>(failed) < needed_[dc]) return false;
  }
  return true;
}

size_t Quorum::done_in(uint16_t dc_index) const {
  const std::vector<RackNumber>& racks = topology_->dcs()[dc_index].racks;
  return static_cast<size_t>(std::count_if(
      racks.begin(), racks.end(), [this](RackNumber rack) { return done_.contains(rack); }));
}

size_t Quorum::needed_in(uint16_t dc_index) const {
  return needed_[dc_index];
}

size_t Quorum::lacking_in(uint16_t dc_index) const {
  return needed_[dc_index] - std::min(needed_[dc_index], done_in(dc_index));
}

std::string Quorum::describe() const {
  size_t done = 0;
  size_t needed = 0;
  for (uint16_t dc = 0; dc < needed_.size(); ++dc) {
    done += needed_[dc] - lacking_in(dc);
    needed += needed_[dc];
  }
  return std::to_string(done) + " of " + std::to_string(needed);
}

}  // namespace dyno
