// SPDX-License-Identifier: Apache-2.0
//
// What nodes say to each other, as bytes. docs/PROTOCOL.md is the norm; this is its grammar.
//
//   link     := message*
//   message  := size:u32 check:u32 kind:u8 flags:u8 zero:u16 id:u64 body[size]
//               check: low half of the XXH3 of everything after it
//   flags    := 1 skip: a receiver that does not know the kind passes the message over
//               2 more: the body goes on in the next message of this kind and id
//   body     := the fields of its struct below, in their order, then extension*
//   extension := tag:u8 size:u32 byte[size]     tags from 128 on are passed over when not known,
//                                               with any other the message is refused
//   bool     := 0:u8 | 1:u8        bytes := size:u32 byte[size]        list := count:u32 item*
//
// All numbers are little-endian and of fixed size. A struct's visit() names its fields once, for
// writing and for reading; views in what was read point into the bytes it was read from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/compression.h"

namespace dyno {

// Read as text in a dump: "DYNO".
inline constexpr uint32_t kPeerMagic = 0x4f4e5944;
// A node speaks with those of its own version and its neighbours.
inline constexpr uint16_t kPeerVersion = 1;
inline constexpr size_t kMessageHeadBytes = 20;
inline constexpr size_t kMessageBytesMax = size_t{16} << 20;
// Of a body that comes in parts.
inline constexpr size_t kBodyBytesMax = size_t{1} << 30;

enum MessageFlag : uint8_t { kSkip = 1, kMore = 2 };

// Frozen: numbers are never given anew.
enum class MessageKind : uint8_t {
  kHello = 1,
  kWelcome = 2,
  kRefusal = 3,
  kHeartbeat = 4,
  kHeartbeatAnswer = 5,
  kBatch = 6,
  kAck = 7,
  kReset = 8,
  kClean = 9,
  kForward = 10,
  kReply = 11,
  kCompare = 12,
  kCompareAnswer = 13,
  kHold = 14,
  kHeld = 15,
  kDigests = 16,
  kDigestsAnswer = 17,
  kList = 18,
  kListAnswer = 19,
  kPull = 20,
  kPullAnswer = 21,
  kRelay = 22,
  kRelayed = 23,
  kUnrelayed = 24,
  kRanges = 25,
  kRangesAnswer = 26,
  kCompressed = 27,
  // 28 was a doubt; a lease says more.
  kLease = 29,  // After the answer to a heartbeat: its id is that one's `sent_us`.
};
[[nodiscard]] std::string_view kind_name(MessageKind kind);

// Of Hello::features: what a node does beside what all do.
enum Feature : uint64_t {
  kRelays = 1,      // It passes on what a kRelay brings.
  kSumsRanges = 2,  // It answers kRanges.
  kRestores = 4,    // It takes kCompressed.
};

// First message of the dialer on a link. The acceptor answers with the same as a kWelcome, or with
// a kRefusal.
struct Hello {
  uint32_t magic = kPeerMagic;
  uint16_t version = kPeerVersion;
  std::string_view cluster;
  uint8_t hash_kind = 0;  // 0: XXH3
  uint64_t hash_seed = 0;
  std::string_view dc;
  std::string_view rack;
  std::vector<uint32_t> tokens;
  uint32_t incarnation = 0;
  uint16_t lane = 0;   // The dialer's thread that this link and its stream belong to.
  uint16_t lanes = 1;  // How many the sender of this has.
  uint64_t topology = 0;
  uint64_t features = 0;
  // In a welcome: the number of the frame that the acceptor expects next in the stream of this
  // incarnation and lane of the dialer; 0: it knows nothing of that stream.
  uint64_t next = 0;

  void visit(auto& codec) {
    codec(magic, version, cluster, hash_kind, hash_seed, dc, rack, tokens);
    codec(incarnation, lane, lanes, topology, features, next);
  }
};

struct Refusal {
  std::string_view reason;
  void visit(auto& codec) { codec(reason); }
};

// Every 100 ms on lane 0, both ways round: the dialer's, and the acceptor's answer to it.
struct Heartbeat {
  uint64_t number = 0;
  int64_t sent_us = 0;  // The dialer's own clock; comes back as it was.
  int64_t unix_ms = 0;  // The sender's wall clock.
  uint64_t stamp = 0;   // The sender's hybrid clock.
  uint8_t state = 0;    // ring/view.h: NodeState
  // Of the sender: see ring/completeness.h.
  uint64_t complete = 0;
  uint64_t sound = 0;
  uint64_t horizon = 0;

  void visit(auto& codec) {
    codec(number, sent_us, unix_ms, stamp, state, complete, sound, horizon);
  }
};

struct StreamFrame {
  uint64_t stamp = 0;  // The smallest in the frame.
  std::string_view bytes;
  void visit(auto& codec) { codec(stamp, bytes); }
};

// Successive frames of a stream, the first of which has the number `first`. A mark says how far the
// stream is complete, and how far its node is: see ring/frontier.h. It holds once all frames before
// first + frames.size() were applied.
struct Batch {
  uint64_t first = 0;
  std::vector<StreamFrame> frames;
  bool has_mark = false;
  uint64_t watermark = 0;
  uint64_t published = 0;
  void visit(auto& codec) { codec(first, frames, has_mark, watermark, published); }
};

// A frame that some key's later write was known for; `stamp` is the latest such.
struct DominatedFrame {
  uint64_t number = 0;
  uint64_t stamp = 0;
  void visit(auto& codec) { codec(number, stamp); }
};
struct Ack {
  uint64_t through = 0;  // Every frame up to this one was applied.
  bool gap = false;      // Frames are missing: send again from through + 1.
  std::vector<DominatedFrame> dominated;
  void visit(auto& codec) { codec(through, gap, dominated); }
};

// The stream goes on at `next`, and what was before is not going to be sent: the keys in the dirty
// slots are to be pulled. `epoch` numbers the sets of dirty slots.
struct Reset {
  uint64_t next = 0;
  uint64_t epoch = 0;
  std::string_view dirty;  // A bit per slot, low bits first, 2048 bytes; or nothing: all slots.
  void visit(auto& codec) { codec(next, epoch, dirty); }
};
// The dirty slots of that epoch were pulled.
struct Clean {
  uint64_t epoch = 0;
  void visit(auto& codec) { codec(epoch); }
};

// Batches for several nodes of the acceptor's data center, which passes them on: the frames that
// they share cross the distance once. The streams are the dialer's, of the lane of this link.
struct RelayTarget {
  uint16_t node = 0;
  uint64_t first = 0;  // As Batch::first; the frames are those that name this target.
  bool has_mark = false;
  uint64_t watermark = 0;
  uint64_t published = 0;
  void visit(auto& codec) { codec(node, first, has_mark, watermark, published); }
};
struct RelayFrame {
  uint64_t stamp = 0;
  uint64_t targets = 0;  // A bit per target, the lowest is the first's.
  std::string_view bytes;
  void visit(auto& codec) { codec(stamp, targets, bytes); }
};
struct Relay {
  std::vector<RelayTarget> targets;  // 64 at most.
  std::vector<RelayFrame> frames;
  void visit(auto& codec) { codec(targets, frames); }
};
// A batch as it was passed on, of the stream of another node than the dialer.
struct Relayed {
  uint16_t origin = 0;
  uint32_t incarnation = 0;
  uint16_t lane = 0;
  Batch batch;
  void visit(auto& codec) { codec(origin, incarnation, lane, batch); }
};
// What was to be passed on to this node was dropped: there is no link to it.
struct Unrelayed {
  uint16_t node = 0;
  void visit(auto& codec) { codec(node); }
};

struct KeyName {
  uint8_t db = 0;
  std::string_view key;
  void visit(auto& codec) { codec(db, key); }
};

// A client's request, for a node that owns its keys. `hops` counts how often it was forwarded.
struct Forward {
  uint8_t hops = 0;
  uint8_t level = 0;
  bool write = false;
  uint32_t timeout_ms = 0;
  std::vector<KeyName> keys;
  std::string_view context;  // What the command needs to know of its session; src/ owns the format.
  std::string_view command;  // As the client sent it.
  void visit(auto& codec) { codec(hops, level, write, timeout_ms, keys, context, command); }
};
enum class Outcome : uint8_t {
  kDone = 0,        // The reply is the command's own.
  kNotApplied = 1,  // Refused, and nothing was or will be applied.
  kUnknown = 2,     // It may have been applied, here or elsewhere.
  kElsewhere = 3,   // Not applied: the node runs no such requests at this time; others may.
};
struct ForwardReply {
  uint8_t outcome = 0;
  std::string_view bytes;  // RESP
  void visit(auto& codec) { codec(outcome, bytes); }
};

// Which keys differ? `low` and `high` are the asker's version of the key.
struct KeyVersion {
  KeyName name;
  uint64_t low = 0;
  uint64_t high = 0;
  void visit(auto& codec) { codec(name, low, high); }
};
struct Compare {
  bool traces = false;  // Versions tell of traces of what was removed, too.
  std::vector<KeyVersion> keys;
  void visit(auto& codec) { codec(traces, keys); }
};
// For each key in the same order: the answerer's version, and its state when the versions differ.
struct KeyAnswer {
  uint64_t low = 0;
  uint64_t high = 0;
  std::string_view state;  // Frames; none: the versions are the same.
  void visit(auto& codec) { codec(low, high, state); }
};
struct CompareAnswer {
  std::vector<KeyAnswer> keys;
  void visit(auto& codec) { codec(keys); }
};

// Pull these keys from the sender, then answer with kHeld: a read is about to show their state.
struct Hold {
  std::vector<KeyName> keys;
  void visit(auto& codec) { codec(keys); }
};
struct Held {
  bool held = false;
  void visit(auto& codec) { codec(held); }
};

// Which slots differ? A slot counts with the keys whose tokens are within first_token and
// last_token only.
struct SlotSums {
  uint16_t slot = 0;
  uint64_t live_low = 0, live_high = 0;
  uint64_t dead_low = 0, dead_high = 0;
  void visit(auto& codec) { codec(slot, live_low, live_high, dead_low, dead_high); }
};
struct Digests {
  bool live_only = false;  // `dead` is not compared.
  uint32_t first_token = 0;
  uint32_t last_token = 0;
  std::vector<SlotSums> slots;
  void visit(auto& codec) { codec(live_only, first_token, last_token, slots); }
};
// Which ranges differ? `live` and `dead` are sums over the slots of the range, as in SlotSums.
struct RangeSums {
  uint32_t first_token = 0;
  uint32_t last_token = 0;
  uint64_t live_low = 0, live_high = 0;
  uint64_t dead_low = 0, dead_high = 0;
  void visit(auto& codec) {
    codec(first_token, last_token, live_low, live_high, dead_low, dead_high);
  }
};
struct Ranges {
  bool live_only = false;
  std::vector<RangeSums> ranges;
  void visit(auto& codec) { codec(live_only, ranges); }
};
struct KnownNode {
  uint16_t node = 0;
  uint32_t incarnation = 0;
  void visit(auto& codec) { codec(node, incarnation); }
};
// Of kDigests and kRanges.
struct DigestsAnswer {
  std::vector<uint16_t> differ;  // Slots, or indexes of ranges.
  // Of every node that the answerer ever spoke with, the incarnation that it listens to.
  std::vector<KnownNode> known;
  void visit(auto& codec) { codec(differ, known); }
};

// The keys of a slot within a range of tokens, by hash.
struct ListKeys {
  uint16_t slot = 0;
  uint32_t first_token = 0;
  uint32_t last_token = 0;
  void visit(auto& codec) { codec(slot, first_token, last_token); }
};
struct ListedKey {
  uint64_t hash = 0;
  uint64_t low = 0, high = 0;
  void visit(auto& codec) { codec(hash, low, high); }
};
struct ListAnswer {
  std::vector<ListedKey> keys;
  void visit(auto& codec) { codec(keys); }
};

// The state of the keys of a slot that have these hashes, beginning with the `skip`th of them.
struct Pull {
  uint16_t slot = 0;
  uint32_t first_token = 0;
  uint32_t last_token = 0;
  std::vector<uint64_t> hashes;
  uint32_t skip = 0;
  void visit(auto& codec) { codec(slot, first_token, last_token, hashes, skip); }
};
struct PullAnswer {
  uint32_t next_skip = 0;   // Of the hashes asked for, how many are now answered.
  std::string_view states;  // Frames.
  void visit(auto& codec) { codec(next_skip, states); }
};

// The next bytes of the link, compressed (protocol/compression.h): whole messages once all pieces
// that follow one another are put together, none of them compressed again.
struct Compressed {
  uint32_t size = 0;  // Of the bytes.
  std::string_view piece;
  void visit(auto& codec) { codec(size, piece); }
};

// Puts compressed pieces in the place of whole messages, if that makes them smaller.
void compress_messages(Compression* compression, std::string* messages);

// Appends a message, in parts when it is large. `body` is one of the structs above.
template <class Body>
void write_message(MessageKind kind, uint64_t id, Body& body, std::string* out);
void write_message_bytes(MessageKind kind, uint8_t flags, uint64_t id, std::string_view body,
                         std::string* out);
// Completes the head of a message, whose body is what `out` has behind `start` and the head's room.
void finish_message(MessageKind kind, uint8_t flags, uint64_t id, size_t start, std::string* out);

// Reads the whole body or nothing; false when it is not one.
template <class Body>
[[nodiscard]] bool read_body(std::string_view bytes, Body* body);

// A message as it came.
struct PeerMessage {
  MessageKind kind{};
  uint8_t flags = 0;
  uint64_t id = 0;
  std::string_view body;
};

// Cuts the bytes of one link into messages, and puts bodies together that came in parts. Not
// thread-safe.
class PeerDecoder {
 public:
  enum class Result : uint8_t { kMessage, kNeedMore, kBroken };

  // Takes the next message from the front of `*bytes`. Of a kMessage, views point into the bytes or
  // into the decoder, until the next call. After kBroken the link is to be closed; error() says
  // why. Nothing is allocated for a size before it was checked and its bytes are there; what comes
  // compressed becomes at most Compression::kPieceBytesMax more than one whole message.
  [[nodiscard]] Result next(std::string_view* bytes, PeerMessage* message);
  // The handshake is over: from now on compressed pieces are put back. Before, they are messages
  // like any other.
  void allow_compressed();
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  Result refuse(std::string why);
  Result cut(std::string_view* bytes, PeerMessage* message);
  Result restore(std::string_view body);

  std::unique_ptr<Compression> compression_;  // Null: not allowed.
  std::string restored_;                      // Messages that came compressed.
  size_t restored_at_ = 0;                    // How much of them was handed out.
  std::string parts_;                         // The body so far.
  std::string whole_;                         // The body that was handed out.
  MessageKind part_kind_{};
  uint64_t part_id_ = 0;
  bool in_parts_ = false;
  std::string error_;
};

}  // namespace dyno

#include "protocol/peer_codec.h"
