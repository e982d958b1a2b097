// SPDX-License-Identifier: Apache-2.0
//
// How the machines of the ring reach the data of their node. The process implements it over the
// engine, the simulator too; tests have a small one of their own.
//
// All calls return at once. What needs values that are on disk, or room that memory has not, says
// that it is not yet, after it has asked for them, and is called again when the disk has moved.
//
// Calls come from every lane's thread at a time: the implementation locks slots as commands do.
// Commands are not run through this: the coordinator asks for them by an output (outbox.h), since
// they may block.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/replica/stamp.h"
#include "ring/request.h"
#include "ring/stream_sender.h"
#include "ring/topology.h"

namespace dyno {

// 128 bits that are the same for the same state and, but for chance, differ for different ones.
struct Version {
  uint64_t low = 0;
  uint64_t high = 0;

  friend bool operator==(const Version&, const Version&) = default;
};

// Sums over the keys of a slot. `live` covers what commands can see, `dead` what is kept of the
// removed until it may be forgotten.
struct SlotDigest {
  Version live;
  Version dead;

  friend bool operator==(const SlotDigest&, const SlotDigest&) = default;
};

struct KeyDigest {
  uint64_t hash = 0;  // Of database and name: the same on all nodes, unlike for different keys.
  Version version;
};

class Store {
 public:
  enum class Refusal : uint8_t {
    kNone = 0,
    kBroken,    // Not a frame, or one that no writer may have written.
    kTooEarly,  // A stamp lies too far in the future: the sender's link is to be fenced.
    kNotYet,    // Nothing of this frame was merged; what stood before it was.
  };
  struct Applied {
    Refusal refusal = Refusal::kNone;
    // The latest stamp of a write to one of its keys that overrode something of the frame; 0: none.
    Stamp dominated = 0;
    // Keys whose writes say how a value changed that is not the one here: their state is to be
    // pulled from whoever sent the frames.
    std::vector<std::pair<uint8_t, std::string>> to_pull;
    size_t taken = 0;  // Bytes of the frames that were merged before one that is not yet.
  };

  virtual ~Store() = default;

  // These frames are about to be applied, one by one: a hint.
  virtual void expect(std::span<const std::string_view> /*frames*/) {}
  // These stand behind one that is not yet: what they need from disk shall come, too. A hint.
  virtual void ask_ahead(std::string_view /*frame*/) {}
  // Merges frames, one after the other: all of each or nothing. Keys that this node does not own
  // are passed over. `applied.dominated` is meant for one frame.
  virtual Applied apply(std::string_view frames) = 0;
  // The same for states that were asked for, which tell nothing of what their writes replaced.
  virtual Applied apply_state(std::string_view frames) { return apply(frames); }

  // Of a key that is not there and never was: zero. What is kept of what was removed counts with
  // `traces`; without, it need not.
  virtual Version version(const RequestKey& key, bool traces) = 0;
  // Appends the key's whole state as frames, what is kept of the removed included. False: not yet.
  [[nodiscard]] virtual bool export_key(const RequestKey& key, std::string* frames) = 0;

  // `live_only`: without `dead`, which takes longer.
  virtual SlotDigest digest(SlotIndex slot, TokenRange range, bool live_only) = 0;
  // Every key with any state, also one of which only removed things are kept.
  virtual void list(SlotIndex slot, TokenRange range, std::vector<KeyDigest>* keys) = 0;
  // Appends the states of the keys with these hashes, until there are `bytes_max`, and at least of
  // one. Returns how many of the hashes were answered; none: not yet.
  virtual size_t export_hashes(SlotIndex slot, TokenRange range, std::span<const uint64_t> hashes,
                               size_t bytes_max, std::string* frames) = 0;

  // The facts of a frame of this node under a new stamp that is above `stamp`, which won over it
  // elsewhere, merged here already. None when that would say something else (a counter's totals
  // keep their own stamps), or when what won may have been written by one who saw the frame, as
  // whatever this data center wrote: it would be undone.
  virtual std::optional<Frame> restamp(const Frame& frame, Stamp stamp) = 0;

  // The node knows every write up to `known`, and what was removed up to `horizon`, which is not
  // larger, may be forgotten: to be kept with the data. Returns up to where the node would know
  // every write after a restart as well; where nothing outlives the process, `known`.
  virtual Stamp keep_known(Stamp known, Stamp /*horizon*/) { return known; }
  // Everything up to `limit` is to be dropped, with its traces, and nothing later. Asked for again
  // and again, until it is true that it was done.
  virtual bool drop_until(Stamp limit) = 0;

  // A stamp at or above that of every write of this lane's thread that was handed to the ring, and
  // below that of every other write that the thread ran, runs or will run. Goes on with time when
  // nothing is written.
  virtual Stamp watermark() = 0;
  // A peer's clock was heard of; false when it is too far ahead.
  virtual bool observe(Stamp stamp) = 0;
  // Now: the largest stamp drawn or seen, and not before this node's time. Later stamps are larger.
  virtual Stamp clock() = 0;
};

}  // namespace dyno
