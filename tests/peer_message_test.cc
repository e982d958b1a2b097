// SPDX-License-Identifier: Apache-2.0
//
// Messages between nodes: what is written is read, and what nobody wrote is refused.
#include "protocol/peer_message.h"

#include <doctest/doctest.h>

namespace dyno {
namespace {

using Result = PeerDecoder::Result;

std::string hello_bytes() {
  Hello hello;
  hello.cluster = "dyn_o";
  hello.dc = "dc1";
  hello.rack = "r1";
  hello.tokens = {0, 4294967295};
  hello.incarnation = 7;
  std::string out;
  write_message(MessageKind::kHello, 3, hello, &out);
  return out;
}

TEST_CASE("what was written is read") {
  std::string bytes = hello_bytes();
  std::string_view rest = bytes;
  PeerDecoder decoder;
  PeerMessage message;
  REQUIRE(decoder.next(&rest, &message) == Result::kMessage);
  CHECK(rest.empty());
  CHECK(message.kind == MessageKind::kHello);
  CHECK(message.id == 3);
  Hello hello;
  REQUIRE(read_body(message.body, &hello));
  CHECK(hello.magic == kPeerMagic);
  CHECK(hello.cluster == "dyn_o");
  CHECK(hello.tokens == std::vector<uint32_t>{0, 4294967295});
  CHECK(hello.incarnation == 7);
}

TEST_CASE("the bytes of a message are frozen") {
  Ack ack{258, true, {{1, 2}}};
  std::string out;
  write_message(MessageKind::kAck, 5, ack, &out);
  std::string body(out, kMessageHeadBytes);
  CHECK(body ==
        std::string("\x02\x01\0\0\0\0\0\0\x01\x01\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0", 29));
  CHECK(out.substr(0, 4) == std::string("\x1d\0\0\0", 4));
  CHECK(out.substr(8, 12) == std::string("\x07\0\0\0\x05\0\0\0\0\0\0\0", 12));
}

TEST_CASE("any prefix needs more, any flipped bit is refused") {
  std::string bytes = hello_bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    PeerDecoder decoder;
    PeerMessage message;
    std::string_view rest = std::string_view(bytes).substr(0, size);
    CHECK(decoder.next(&rest, &message) == Result::kNeedMore);
    CHECK(rest.size() == size);
  }
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string bad = bytes;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    PeerDecoder decoder;
    PeerMessage message;
    std::string_view rest = bad;
    CHECK(decoder.next(&rest, &message) != Result::kMessage);
  }
}

TEST_CASE("sizes are checked before anything is kept") {
  PeerDecoder decoder;
  PeerMessage message;
  std::string_view huge("\xff\xff\xff\xff", 4);
  CHECK(decoder.next(&huge, &message) == Result::kBroken);
  CHECK(decoder.error() == "a message of 4294967295 bytes: expected at most 16777216");
  std::string_view resp = "*1\r\n$4\r\nPING\r\n";
  CHECK(decoder.next(&resp, &message) == Result::kBroken);
}

TEST_CASE("a large body comes in parts, and nothing comes between them") {
  std::string large(kMessageBytesMax + 5, 'x');
  ForwardReply reply{0, large};
  std::string out;
  write_message(MessageKind::kReply, 9, reply, &out);
  std::string tail;
  Held held{true};
  write_message(MessageKind::kHeld, 10, held, &tail);
  std::string bytes = out + tail;
  PeerDecoder decoder;
  PeerMessage message;
  std::string_view rest = bytes;
  REQUIRE(decoder.next(&rest, &message) == Result::kMessage);
  ForwardReply read;
  REQUIRE(read_body(message.body, &read));
  CHECK(read.bytes == large);
  REQUIRE(decoder.next(&rest, &message) == Result::kMessage);
  CHECK(message.kind == MessageKind::kHeld);
  std::string first = out.substr(0, kMessageHeadBytes + kMessageBytesMax);
  std::string mixed = first + tail;
  rest = mixed;
  PeerDecoder other;
  CHECK(other.next(&rest, &message) == Result::kBroken);
}

// Messages of which one is larger than a compressed piece.
std::string many_messages() {
  std::string out;
  Held held{true};
  write_message(MessageKind::kHeld, 1, held, &out);
  std::string large(3 * Compression::kPieceBytesMax, 'x');
  ForwardReply reply{0, large};
  write_message(MessageKind::kReply, 2, reply, &out);
  write_message(MessageKind::kHeld, 3, held, &out);
  return out;
}

// The ids of the messages that are read, byte after byte, and how it ends.
std::string read_ids(const std::string& bytes, bool allow = true) {
  PeerDecoder decoder;
  if (allow) decoder.allow_compressed();
  PeerMessage message;
  std::string ids;
  std::string kept;
  for (size_t at = 0; at < bytes.size();) {
    size_t size = std::min<size_t>(bytes.size() - at, 1000);
    kept.append(bytes, at, size);
    at += size;
    std::string_view rest = kept;
    Result result = decoder.next(&rest, &message);
    for (; result == Result::kMessage; result = decoder.next(&rest, &message)) {
      ids += std::to_string(message.id);
    }
    if (result == Result::kBroken) return ids + " " + decoder.error();
    kept.erase(0, kept.size() - rest.size());
  }
  return ids;
}

std::string piece_of(std::string_view bytes, uint32_t size) {
  Compression compression;
  std::string piece;
  compression.shrink(bytes, &piece);
  Compressed body{size, piece};
  std::string out;
  write_message(MessageKind::kCompressed, 0, body, &out);
  return out;
}

TEST_CASE("compressed messages are put back, in pieces or mixed with others") {
  std::string whole = many_messages();
  Compression compression;
  std::string small = whole;
  compress_messages(&compression, &small);
  CHECK(small.size() < whole.size() / 100);
  CHECK(read_ids(small) == "123");
  CHECK(read_ids(whole + small + whole) == "123123123");
  std::string one;
  Held held{true};
  write_message(MessageKind::kHeld, 7, held, &one);
  std::string same = one;
  compress_messages(&compression, &same);
  CHECK(same == one);  // It would be larger.
}

TEST_CASE("a compressed piece is as large as it says, and bounded") {
  std::string whole = many_messages();
  auto size = static_cast<uint32_t>(100);
  std::string_view some = std::string_view(whole).substr(0, size);
  CHECK(read_ids(piece_of(some, size)) == "1");
  for (uint32_t wrong : {uint32_t{0}, size - 1, size + 1, uint32_t{1} << 20, uint32_t{1} << 31}) {
    CHECK(read_ids(piece_of(some, wrong)) == " a broken compressed piece");
  }
  // A bomb: it claims little, and becomes much.
  std::string zeros(Compression::kPieceBytesMax, '\0');
  CHECK(read_ids(piece_of(zeros, 10)) == " a broken compressed piece");
  Compressed junk{10, "no piece at all"};
  std::string bytes;
  write_message(MessageKind::kCompressed, 0, junk, &bytes);
  CHECK(read_ids(bytes) == " a broken compressed piece");
}

TEST_CASE("nothing is compressed twice, or comes between the pieces of a message") {
  std::string whole = many_messages();
  std::string once = piece_of(std::string_view(whole).substr(0, 200), 200);
  auto size = static_cast<uint32_t>(once.size());
  CHECK(read_ids(piece_of(once, size)) == " a compressed message within another");
  CHECK(read_ids(once + whole) == "1 a message between the pieces of another");
}

TEST_CASE("before the handshake a compressed piece is a message like others") {
  std::string whole = many_messages();
  CHECK(read_ids(piece_of(std::string_view(whole).substr(0, 100), 100), false) == "0");
}

TEST_CASE("extensions may be passed over when their tag says so") {
  Held held{true};
  std::string out;
  write_message(MessageKind::kHeld, 1, held, &out);
  std::string body(out, kMessageHeadBytes);
  Held read;
  CHECK(read_body(body + std::string("\x80\x02\0\0\0ab", 7), &read));
  CHECK_FALSE(read_body(body + std::string("\x7f\x02\0\0\0ab", 7), &read));
  CHECK_FALSE(read_body(body + std::string("\x80\x03\0\0\0ab", 7), &read));
  CHECK_FALSE(read_body("", &read));
  CHECK_FALSE(read_body("\x02", &read));
}

TEST_CASE("counts that the bytes cannot hold are refused") {
  std::string body("\xff\xff\xff\xff", 4);
  Compare compare;
  CHECK_FALSE(read_body(body, &compare));
  CHECK(compare.keys.empty());
}

}  // namespace
}  // namespace dyno
