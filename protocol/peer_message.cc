// SPDX-License-Identifier: Apache-2.0
#include "protocol/peer_message.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/check.h"

namespace dyno {
namespace {

constexpr size_t kCheckedFrom = 8;  // After size and check.

struct Head {
  uint32_t size = 0;
  uint32_t check = 0;
  uint8_t kind = 0;
  uint8_t flags = 0;
  uint16_t zero = 0;
  uint64_t id = 0;
};

Head read_head(std::string_view bytes) {
  Head head;
  std::memcpy(&head.size, bytes.data(), 4);
  std::memcpy(&head.check, bytes.data() + 4, 4);
  std::memcpy(&head.kind, bytes.data() + 8, 1);
  std::memcpy(&head.flags, bytes.data() + 9, 1);
  std::memcpy(&head.zero, bytes.data() + 10, 2);
  std::memcpy(&head.id, bytes.data() + 12, 8);
  return head;
}

uint32_t check_of(std::string_view checked) {
  return static_cast<uint32_t>(XXH3_64bits(checked.data(), checked.size()));
}

}  // namespace

std::string_view kind_name(MessageKind kind) {
  static constexpr std::string_view kNames[] = {"none",          "hello",
                                                "welcome",       "refusal",
                                                "heartbeat",     "heartbeat-answer",
                                                "batch",         "ack",
                                                "reset",         "clean",
                                                "forward",       "reply",
                                                "compare",       "compare-answer",
                                                "hold",          "held",
                                                "digests",       "digests-answer",
                                                "list",          "list-answer",
                                                "pull",          "pull-answer",
                                                "relay",         "relayed",
                                                "unrelayed",     "ranges",
                                                "ranges-answer", "compressed",
                                                "doubt",         "lease"};
  auto index = static_cast<size_t>(kind);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

void write_message_bytes(MessageKind kind, uint8_t flags, uint64_t id, std::string_view body,
                         std::string* out) {
  size_t start = out->size();
  out->resize(start + kMessageHeadBytes);
  out->append(body);
  finish_message(kind, flags, id, start, out);
}

void finish_message(MessageKind kind, uint8_t flags, uint64_t id, size_t start, std::string* out) {
  DYNO_CHECK(out->size() >= start + kMessageHeadBytes);
  size_t body_bytes = out->size() - start - kMessageHeadBytes;
  DYNO_CHECK(body_bytes <= kMessageBytesMax);
  char* head = out->data() + start;
  auto size = static_cast<uint32_t>(body_bytes);
  std::memcpy(head, &size, 4);
  head[8] = static_cast<char>(kind);
  head[9] = static_cast<char>(flags);
  head[10] = head[11] = 0;
  std::memcpy(head + 12, &id, 8);
  uint32_t check = check_of(std::string_view(*out).substr(start + kCheckedFrom));
  std::memcpy(out->data() + start + 4, &check, 4);
}

void compress_messages(Compression* compression, std::string* messages) {
  std::string smaller;
  std::string piece;
  std::string_view rest = *messages;
  while (!rest.empty()) {
    size_t size = std::min(rest.size(), Compression::kPieceBytesMax);
    piece.clear();
    compression->shrink(rest.substr(0, size), &piece);
    rest.remove_prefix(size);
    Compressed body{static_cast<uint32_t>(size), piece};
    write_message(MessageKind::kCompressed, 0, body, &smaller);
  }
  if (smaller.size() < messages->size()) *messages = std::move(smaller);
}

PeerDecoder::Result PeerDecoder::refuse(std::string why) {
  error_ = std::move(why);
  return Result::kBroken;
}

void PeerDecoder::allow_compressed() {
  compression_ = std::make_unique<Compression>();
}

PeerDecoder::Result PeerDecoder::next(std::string_view* bytes, PeerMessage* message) {
  whole_.clear();
  while (true) {
    bool is_inner = !restored_.empty();
    if (is_inner) {
      std::string_view rest = std::string_view(restored_).substr(restored_at_);
      Result result = cut(&rest, message);
      restored_at_ = restored_.size() - rest.size();
      if (result == Result::kMessage && message->kind == MessageKind::kCompressed) {
        return refuse("a compressed message within another");
      }
      if (result != Result::kNeedMore) return result;
      restored_.erase(0, std::exchange(restored_at_, 0));
      bool is_large = restored_.capacity() > 2 * Compression::kPieceBytesMax;
      if (restored_.empty() && is_large) restored_ = {};
    }
    Result result = cut(bytes, message);
    if (result != Result::kMessage) return result;
    bool is_compressed = compression_ && message->kind == MessageKind::kCompressed;
    if (!is_compressed && restored_.empty()) return result;
    if (!is_compressed) return refuse("a message between the pieces of another");
    if (restore(message->body) == Result::kBroken) return Result::kBroken;
  }
}

// Puts a piece behind what was there.
PeerDecoder::Result PeerDecoder::restore(std::string_view body) {
  Compressed compressed;
  if (!read_body(body, &compressed) ||
      !compression_->restore(compressed.piece, compressed.size, &restored_)) {
    return refuse("a broken compressed piece");
  }
  return Result::kMessage;
}

// Takes the next message from the front of the bytes.
PeerDecoder::Result PeerDecoder::cut(std::string_view* bytes, PeerMessage* message) {
  while (true) {
    if (bytes->size() < 4) return Result::kNeedMore;
    uint32_t size = 0;
    std::memcpy(&size, bytes->data(), 4);
    if (size > kMessageBytesMax) {
      return refuse("a message of " + std::to_string(size) + " bytes: expected at most " +
                    std::to_string(kMessageBytesMax));
    }
    if (bytes->size() < kMessageHeadBytes) return Result::kNeedMore;
    Head head = read_head(*bytes);
    if (head.zero != 0 || (head.flags & ~(kSkip | kMore)) != 0 || head.kind == 0) {
      return refuse("not the head of a message");
    }
    if (bytes->size() < kMessageHeadBytes + size) return Result::kNeedMore;
    std::string_view checked = bytes->substr(kCheckedFrom, kMessageHeadBytes - kCheckedFrom + size);
    if (check_of(checked) != head.check) return refuse("a message with a wrong checksum");
    std::string_view body = bytes->substr(kMessageHeadBytes, size);
    bytes->remove_prefix(kMessageHeadBytes + size);
    auto kind = static_cast<MessageKind>(head.kind);
    bool is_piece = kind == MessageKind::kCompressed && head.flags == 0;
    if (is_piece && compression_) {
      *message = {kind, head.flags, head.id, body};
      return Result::kMessage;
    }
    if (in_parts_ && (kind != part_kind_ || head.id != part_id_)) {
      return refuse("a message between the parts of another");
    }
    if (!in_parts_ && (head.flags & kMore) == 0) {
      *message = {kind, head.flags, head.id, body};
      return Result::kMessage;
    }
    if (parts_.size() + body.size() > kBodyBytesMax) return refuse("a body that is too large");
    parts_.append(body);
    in_parts_ = (head.flags & kMore) != 0;
    part_kind_ = kind;
    part_id_ = head.id;
    if (!in_parts_) {
      whole_ = std::exchange(parts_, {});
      *message = {kind, head.flags, head.id, whole_};
      return Result::kMessage;
    }
  }
}

}  // namespace dyno
