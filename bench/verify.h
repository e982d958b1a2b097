// SPDX-License-Identifier: Apache-2.0
// Verify mode: every write carries what it takes to recognise it, every read is checked, and at the
// end all that was acknowledged is read back from every endpoint.
//
// The key space is a set of *cells* of six kinds: a string, a hash field, a set member, a sorted
// set member, a counter, a list. A cell belongs to one client, which alone writes it, so that what
// it must hold is certain: cell c belongs to client c % clients. Each write of a cell has the next
// *version*; a value is the text
//
//     dyno:CCCCCCCCCCCC:VVVVVVVVVV:HHHHHHHH:padding      (cell, version, hash of both with the run)
//
// whose padding also follows from cell and version. A write that was answered with OK is
// acknowledged; one that was answered with an error, or lost with its connection, may or may not
// have happened (*unknown*), now or later, and either is accepted. What must never be seen: an
// acknowledged write missing (loss), a deleted value again (resurrection), a version that was never
// sent or a value of another cell (corruption), a counter that is below what was acknowledged or
// above what was sent, or two endpoints that differ when all is quiet (disagreement).
//
// The ledger takes 16 bytes per cell and does not grow with the length of a run, but for unknown
// writes, which are bounded per cell.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bench/out_buffer.h"
#include "bench/plan.h"
#include "bench/random.h"
#include "bench/reply_parser.h"
#include "bench/workload.h"

namespace dyno::bench {

enum class CellKind : uint8_t { kString, kHash, kSet, kZset, kCounter, kList };

struct VerifySettings {
  uint64_t run = 0;         // makes keys and values of this run its own
  uint64_t cells = 10'000;  // rounded up to a multiple of `clients`
  unsigned clients = 1;
  unsigned threads = 1;
  uint32_t value_bytes = 64;
  double read_share = 0.5;
  double delete_share = 0.05;
  std::vector<CellKind> kinds;
};

/// Reads "string,hash,…"; on failure `why` says what is known.
bool parse_cell_kinds(std::string_view text, std::vector<CellKind>& kinds, std::string& why);

/// What went wrong, counted, with the first of each listed.
struct VerifyFindings {
  enum Kind { kStale, kLost, kResurrected, kCorrupt, kCounter, kDuplicate, kDisagreement, kKinds };
  static constexpr std::array<const char*, kKinds> kNames{
      "stale reads",    "lost writes", "resurrections", "corrupt values",
      "wrong counters", "duplicates",  "disagreements"};
  static constexpr size_t kListedMax = 20;  // of each kind

  std::array<uint64_t, kKinds> counts{};
  std::array<std::vector<std::string>, kKinds> listed;
  uint64_t reads_checked = 0;
  uint64_t writes_acknowledged = 0;
  uint64_t writes_unknown = 0;
  uint64_t cells_read_back = 0;          // times endpoints
  std::vector<std::string> unreachable;  // endpoints that could not be read back

  void add(Kind kind, const std::string& text);
  void merge(const VerifyFindings& other);
  uint64_t total() const;
};

/// One worker's part of the ledger. Used by its thread while that runs, by anyone afterwards.
class VerifyLane {
 public:
  static constexpr size_t kValueMax = 1 << 20;
  static constexpr uint32_t kValueMin = 40;

  struct Issued {
    uint32_t operation;
    uint64_t cell;
    uint32_t tag;  // the version written; of a read 0
  };

  VerifyLane(const VerifySettings& settings, unsigned lane);

  /// Draws what client number `client` does next to a cell near `drawn`, and renders it.
  Issued issue(uint32_t client, uint64_t drawn, Random& random, OutBuffer& out);
  void on_reply(uint32_t operation, uint64_t cell, uint32_t tag, const Reply& reply,
                uint16_t endpoint, uint64_t now);
  /// The connection broke before the reply.
  void on_lost(uint32_t operation, uint64_t cell, uint32_t tag);

  VerifyFindings& findings() { return findings_; }
  /// The workload whose operations issue() numbers; it exists for names and counting only.
  static Workload workload();

 private:
  friend class ReadBack;
  enum Action : uint32_t { kWrite, kRead, kDelete };
  struct Unknown {
    uint32_t version;
    bool present;
  };
  struct Cell {
    uint32_t sent = 0;     // the last version given out
    uint32_t acked = 0;    // the version acknowledged last; a counter: how many increments were
    uint32_t extra = 0;    // a counter: unknown increments; a list: the last acknowledged DEL
    bool present = false;  // the acknowledged write was no delete
    bool blurred = false;  // too many unknown writes: everything that was sent is accepted
  };
  struct Seen {
    bool present = false;
    bool versioned = true;  // a set member is there or not, and tells no version
    bool broken = false;    // not a value of this cell
    int64_t version = 0;
  };

  CellKind kind_of(uint64_t cell) const;
  Cell& cell_at(uint64_t cell);
  std::string key_of(uint64_t cell) const;
  std::string value_of(uint64_t cell, uint32_t version) const;
  void render(uint64_t cell, Action action, uint32_t version, OutBuffer& out) const;
  void render_read_back(uint64_t cell, OutBuffer& out) const;
  Seen interpret(uint64_t cell, const Reply& reply) const;
  Seen interpret_value(uint64_t cell, std::string_view text) const;
  void note_unknown(uint64_t cell, uint32_t version, bool present);
  /// True when `seen` is what an acknowledged or an unknown write leaves.
  bool acceptable(uint64_t cell, const Seen& seen);
  void judge_read(uint64_t cell, const Reply& reply, uint16_t endpoint);
  std::string describe(uint64_t cell, const Seen& seen);

  const VerifySettings& settings_;
  std::vector<Cell> cells_;
  unsigned lane_clients_;
  std::unordered_map<uint64_t, std::vector<Unknown>> unknown_;
  VerifyFindings findings_;
};

/// Reads every cell that was written back from every endpoint and judges it.
class ReadBack {
 public:
  ReadBack(const VerifySettings& settings, std::vector<VerifyLane*> lanes,
           const ServerAccess& access)
      : settings_(settings), lanes_(std::move(lanes)), access_(access) {}
  VerifyFindings run();

 private:
  struct State {
    bool read = false;
    VerifyLane::Seen seen;
    uint64_t digest = 0;  // of a list
  };
  bool read_endpoint(size_t endpoint, VerifyFindings& findings);
  void judge(uint64_t cell, const Reply& reply, const std::vector<std::string>& leaves,
             size_t endpoint, VerifyFindings& findings);
  void judge_list(uint64_t cell, const std::vector<std::string>& leaves, const std::string& where,
                  VerifyFindings& findings);
  VerifyLane& lane_of(uint64_t cell);

  const VerifySettings& settings_;
  std::vector<VerifyLane*> lanes_;
  const ServerAccess& access_;
  std::vector<State> first_;  // what the first endpoint that could be read holds
};

}  // namespace dyno::bench
