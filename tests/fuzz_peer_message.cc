// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target of the peer wire format: the input is a link's bytes, and then, since a checksum
// keeps chance out, the body of a message of each kind. Whatever is read is written back as it was.
#include <cstdint>
#include <string>

#include "protocol/check.h"
#include "protocol/peer_message.h"

namespace dyno {
namespace {

template <class Body>
void read_and_write(std::string_view bytes) {
  Body body;
  if (!read_body(bytes, &body)) return;
  std::string out;
  BodyWriter writer(&out);
  body.visit(writer);
  // What follows the fields are extensions.
  DYNO_CHECK(out.size() <= bytes.size() && bytes.starts_with(out));
}

void read_link(std::string_view bytes, bool allow_compressed) {
  PeerDecoder decoder;
  if (allow_compressed) decoder.allow_compressed();
  PeerMessage message;
  while (decoder.next(&bytes, &message) == PeerDecoder::Result::kMessage) {
    std::string out;
    write_message_bytes(message.kind, 0, message.id, message.body, &out);
    DYNO_CHECK(out.ends_with(message.body));
  }
}

// The input as the body of a message with the right checksum, and the same cut into parts.
void read_sealed(std::string_view body) {
  std::string out;
  write_message_bytes(MessageKind::kBatch, 0, 1, body, &out);
  write_message_bytes(MessageKind::kAck, kMore, 2, body.substr(0, body.size() / 2), &out);
  write_message_bytes(MessageKind::kAck, 0, 2, body.substr(body.size() / 2), &out);
  std::string_view rest = out;
  PeerDecoder decoder;
  PeerMessage message;
  DYNO_CHECK(decoder.next(&rest, &message) == PeerDecoder::Result::kMessage);
  DYNO_CHECK(message.body == body);
  DYNO_CHECK(decoder.next(&rest, &message) == PeerDecoder::Result::kMessage);
  DYNO_CHECK(message.body == body && rest.empty());
}

// The input as a piece, and as what a piece becomes.
void read_compressed(std::string_view bytes) {
  Compressed piece{static_cast<uint32_t>(2 * bytes.size()), bytes};
  std::string out;
  write_message(MessageKind::kCompressed, 0, piece, &out);
  read_link(out, true);
  std::string messages(bytes);
  Compression compression;
  compress_messages(&compression, &messages);
  read_link(messages, true);
}

}  // namespace
}  // namespace dyno

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  dyno::read_link(bytes, false);
  dyno::read_compressed(bytes);
  dyno::read_sealed(bytes);
  dyno::read_and_write<dyno::Hello>(bytes);
  dyno::read_and_write<dyno::Refusal>(bytes);
  dyno::read_and_write<dyno::Heartbeat>(bytes);
  dyno::read_and_write<dyno::Batch>(bytes);
  dyno::read_and_write<dyno::Ack>(bytes);
  dyno::read_and_write<dyno::Reset>(bytes);
  dyno::read_and_write<dyno::Clean>(bytes);
  dyno::read_and_write<dyno::Forward>(bytes);
  dyno::read_and_write<dyno::ForwardReply>(bytes);
  dyno::read_and_write<dyno::Compare>(bytes);
  dyno::read_and_write<dyno::CompareAnswer>(bytes);
  dyno::read_and_write<dyno::Hold>(bytes);
  dyno::read_and_write<dyno::Held>(bytes);
  dyno::read_and_write<dyno::Digests>(bytes);
  dyno::read_and_write<dyno::DigestsAnswer>(bytes);
  dyno::read_and_write<dyno::Ranges>(bytes);
  dyno::read_and_write<dyno::ListKeys>(bytes);
  dyno::read_and_write<dyno::ListAnswer>(bytes);
  dyno::read_and_write<dyno::Pull>(bytes);
  dyno::read_and_write<dyno::PullAnswer>(bytes);
  dyno::read_and_write<dyno::Relay>(bytes);
  dyno::read_and_write<dyno::Relayed>(bytes);
  dyno::read_and_write<dyno::Unrelayed>(bytes);
  return 0;
}
