// SPDX-License-Identifier: Apache-2.0
//
// Both ends of a stream, joined by a link that the tests break. Random histories are compared with
// what was appended: each frame arrives once and in order, or its slot is dirty.
#include <doctest/doctest.h>

#include <random>
#include <set>

#include "ring/stream_receiver.h"
#include "ring/stream_sender.h"

namespace dyno {
namespace {

constexpr StreamLimits kSmall{1000, 300, 200};

SharedFrame frame(Stamp stamp, Token token, size_t size = 10) {
  return std::make_shared<const Frame>(Frame{stamp, {token}, std::string(size, 'x')});
}

// What the receiver of one memory saw.
struct Receiver {
  StreamReceiver stream;
  std::vector<Stamp> applied;
  std::optional<StreamReceiver::Mark> mark;

  // Takes messages; false when one was refused.
  bool take(std::string_view bytes) {
    PeerDecoder decoder;
    PeerMessage message;
    while (decoder.next(&bytes, &message) == PeerDecoder::Result::kMessage) {
      if (message.kind == MessageKind::kReset) {
        Reset reset;
        if (!read_body(message.body, &reset) || !stream.reset(reset)) return false;
        continue;
      }
      Batch batch;
      if (message.kind != MessageKind::kBatch || !read_body(message.body, &batch)) return false;
      for (const auto& [number, item] : stream.receive(batch)) {
        stream.applied(number);
        applied.push_back(item.stamp);
      }
      if (auto taken = stream.take_mark()) mark = taken;
    }
    return bytes.empty();
  }
};

TEST_CASE("frames arrive in order, once, and are acknowledged together") {
  StreamSender sender(kSmall);
  Receiver receiver;
  REQUIRE(sender.link_up(receiver.stream.next()));
  for (Stamp stamp = 1; stamp <= 3; ++stamp) CHECK(sender.append(frame(stamp, 0)) == stamp);
  sender.set_mark(3, 2);
  std::string out;
  CHECK(sender.fill(&out));
  CHECK(receiver.take(out));
  CHECK(receiver.take(out));
  CHECK(receiver.applied == std::vector<Stamp>{1, 2, 3});
  REQUIRE(receiver.mark);
  CHECK(receiver.mark->watermark == 3);
  CHECK(receiver.mark->published == 2);
  receiver.stream.note_dominated(2, 99);
  auto ack = receiver.stream.take_ack();
  REQUIRE(ack);
  auto result = sender.acknowledge(*ack);
  CHECK(result.valid);
  CHECK(result.first == 1);
  CHECK(result.through == 3);
  REQUIRE(result.dominated.size() == 1);
  CHECK(result.dominated[0].number == 2);
  CHECK(result.dominated[0].stamp == 99);
  CHECK(sender.log_bytes() == 0);
  CHECK_FALSE(receiver.stream.take_ack());
  std::string rest;
  CHECK_FALSE(sender.fill(&rest));
}

TEST_CASE("what is not acknowledged waits in the log and is sent again on the next link") {
  StreamSender sender(kSmall);
  Receiver receiver;
  sender.append(frame(1, 0));
  std::string lost;
  CHECK_FALSE(sender.fill(&lost));
  REQUIRE(sender.link_up(0));
  CHECK(sender.fill(&lost));
  sender.link_down();
  sender.append(frame(2, 0));
  REQUIRE(sender.link_up(receiver.stream.next()));
  std::string out;
  CHECK(sender.fill(&out));
  CHECK(receiver.take(out));
  CHECK(receiver.applied == std::vector<Stamp>{1, 2});
}

TEST_CASE("the window bounds what is on its way") {
  StreamSender sender(kSmall);
  REQUIRE(sender.link_up(0));
  for (Stamp stamp = 1; stamp <= 9; ++stamp) sender.append(frame(stamp, 0, 30));
  std::string out;
  CHECK(sender.fill(&out));
  CHECK(sender.describe() == "acked 0 sent 4 last 9 bytes 846");
  CHECK_FALSE(sender.fill(&out));
  CHECK(sender.acknowledge({4, false, {}}).valid);
  CHECK(sender.fill(&out));
  CHECK(sender.describe() == "acked 4 sent 8 last 9 bytes 470");
}

TEST_CASE("a log that grows past its bound becomes dirty slots, and marks wait for the pull") {
  StreamSender sender(kSmall);
  Receiver receiver;
  for (Stamp stamp = 1; stamp <= 15; ++stamp) {
    sender.append(frame(stamp, static_cast<Token>(stamp) << 18));
  }
  CHECK(sender.collapses() == 1);
  CHECK(sender.dirty().size() == 14);
  CHECK(sender.log_bytes() < kSmall.log_bytes_max);
  sender.set_mark(15, 15);
  REQUIRE(sender.link_up(receiver.stream.next()));
  std::string out;
  CHECK(sender.fill(&out));
  CHECK(receiver.take(out));
  // The peer knew nothing, so that every slot is dirty to it.
  CHECK(receiver.stream.dirty().size() == kSlotCount);
  CHECK_FALSE(receiver.mark);
  uint64_t epoch = receiver.stream.epoch();
  CHECK_FALSE(receiver.stream.cleaned(epoch + 1));
  CHECK(receiver.stream.cleaned(epoch));
  sender.clean(epoch - 1);
  CHECK_FALSE(sender.dirty().empty());
  sender.clean(epoch);
  CHECK(sender.dirty().empty());
  out.clear();
  CHECK(sender.fill(&out));
  CHECK(receiver.take(out));
  REQUIRE(receiver.mark);
  CHECK(receiver.mark->watermark == 15);
}

TEST_CASE("a peer that lost its memory is dirty in all slots, unless nothing was lost") {
  StreamSender sender(kSmall);
  {
    Receiver receiver;
    sender.append(frame(1, 0));
    REQUIRE(sender.link_up(0));
    std::string out;
    CHECK(sender.fill(&out));
    CHECK(receiver.take(out));
    CHECK(sender.acknowledge(*receiver.stream.take_ack()).valid);
  }
  sender.link_down();
  sender.append(frame(2, 0));
  Receiver receiver;
  REQUIRE(sender.link_up(receiver.stream.next()));
  std::string out;
  CHECK(sender.fill(&out));
  CHECK(receiver.take(out));
  CHECK(receiver.applied.empty());
  CHECK(receiver.stream.dirty().size() == kSlotCount);
  CHECK(receiver.stream.next() == 3);
}

TEST_CASE("what a peer cannot know is refused") {
  StreamSender sender(kSmall);
  sender.append(frame(1, 0));
  CHECK_FALSE(sender.link_up(3));
  REQUIRE(sender.link_up(1));
  CHECK_FALSE(sender.acknowledge({1, false, {}}).valid);
  Receiver receiver;
  std::string out;
  CHECK(sender.fill(&out));
  CHECK(receiver.take(out));
  CHECK_FALSE(receiver.stream.reset({0, 1, {}}));
  CHECK_FALSE(receiver.stream.reset({1, 1, {}}));
  CHECK_FALSE(receiver.stream.reset({9, 1, "short"}));
  Batch last{~uint64_t{0}, {{1, "x"}}, false, 0, 0};
  CHECK(receiver.stream.receive(last).empty());
  auto ack = receiver.stream.take_ack();
  REQUIRE(ack);
  CHECK(ack->through == 1);
  CHECK(ack->gap);
}

TEST_CASE("random histories lose nothing that is not dirty") {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    StreamSender sender(kSmall);
    Receiver receiver;
    Stamp stamp = 0;
    std::set<Stamp> pulled;  // What a memory got by pulling instead.
    bool up = false;
    for (int step = 0; step < 400; ++step) {
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          ++stamp;
          sender.append(frame(stamp, static_cast<Token>(stamp % 64) << 18, random() % 60));
          sender.set_mark(stamp, 1);
          break;
        case 3:
          sender.link_down();
          up = sender.link_up(receiver.stream.next());
          REQUIRE(up);
          break;
        case 4:
          if (random() % 3 == 0) {
            sender.link_down();
            up = false;
          }
          break;
        case 5:
          if (random() % 20 == 0) {
            sender.link_down();
            up = false;
            receiver = {};
            pulled.clear();
          }
          break;
        case 6:
          if (up && !receiver.stream.dirty().empty()) {
            for (Stamp s = 1; s <= stamp; ++s) {
              if (receiver.stream.dirty().contains(static_cast<SlotIndex>(s % 64))) {
                pulled.insert(s);
              }
            }
            uint64_t epoch = receiver.stream.epoch();
            if (receiver.stream.cleaned(epoch)) sender.clean(epoch);
          }
          break;
        default: {
          std::string out;
          if (!up || !sender.fill(&out)) break;
          REQUIRE(receiver.take(out));
          if (auto ack = receiver.stream.take_ack()) REQUIRE(sender.acknowledge(*ack).valid);
        }
      }
      if (receiver.mark) {
        std::set<Stamp> has(receiver.applied.begin(), receiver.applied.end());
        CHECK(has.size() == receiver.applied.size());
        has.insert(pulled.begin(), pulled.end());
        for (Stamp s = 1; s <= receiver.mark->watermark; ++s) {
          CAPTURE(seed);
          REQUIRE(has.contains(s));
        }
      }
    }
  }
}

}  // namespace
}  // namespace dyno
