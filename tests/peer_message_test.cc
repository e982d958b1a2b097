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
