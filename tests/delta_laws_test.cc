// SPDX-License-Identifier: Apache-2.0
//
// Laws of the format of deltas: reading undoes writing, writing undoes reading, and nothing but a
// whole frame is a frame.
#include <doctest/doctest.h>

#include "tests/delta_generators.h"

namespace dyno {
namespace {

// A fact with the key and the database it belongs to, since successive deltas of one key are one.
struct Placed {
  int db;
  std::string_view key;
  Fact fact;

  bool operator==(const Placed&) const = default;
};

std::vector<Placed> placed(const std::vector<Delta>& deltas) {
  std::vector<Placed> all;
  for (const Delta& delta : deltas) {
    for (const Fact& fact : delta.facts) all.push_back({delta.db, delta.key, fact});
  }
  return all;
}

std::vector<Delta> views(const std::vector<OwnedDelta>& owned) {
  std::vector<Delta> deltas;
  for (const OwnedDelta& each : owned) deltas.push_back(each.delta());
  return deltas;
}

std::string write(const std::vector<Delta>& deltas) {
  FrameWriter writer;
  for (const Placed& each : placed(deltas)) writer.add(each.db, each.key, each.fact);
  return std::string(writer.finish());
}

bool is_refused(std::string_view frame) {
  std::vector<Delta> deltas;
  const bool refused = !read_frame(frame, &deltas).empty();
  RC_ASSERT(!refused || deltas.empty());
  return refused;
}

}  // namespace

TEST_CASE("reading undoes writing, and writing undoes reading") {
  CHECK(rc::check([] {
    const std::vector<OwnedDelta> owned = *gen_deltas(wide_domain());
    const std::vector<Delta> given = views(owned);
    const std::string frame = write(given);
    std::vector<Delta> deltas;
    RC_ASSERT(read_frame(frame, &deltas) == "");
    RC_ASSERT(placed(deltas) == placed(given));
    RC_ASSERT(write(deltas) == frame);
    RC_ASSERT(frame_bytes(std::string_view(frame).substr(0, kFrameHeadBytesMax)) == frame.size());
  }));
}

TEST_CASE("a delta reads as it was, whatever the stamps in it") {
  CHECK(rc::check([] {
    for (const FactDomain& domain : {wide_domain(), narrow_domain()}) {
      const OwnedDelta owned = *gen_delta(domain);
      const std::string frame = write({owned.delta()});
      std::vector<Delta> deltas;
      RC_ASSERT(read_frame(frame, &deltas) == "");
      RC_ASSERT(deltas == std::vector<Delta>{owned.delta()});
      RC_ASSERT(describe(deltas[0]) == describe(owned.delta()));
    }
  }));
}

TEST_CASE("a part of a frame, and a frame with another byte, are refused") {
  CHECK(rc::check([] {
    const std::string frame = write(views(*gen_deltas(wide_domain())));
    const size_t at = *rc::gen::inRange<size_t>(0, frame.size());
    RC_ASSERT(is_refused(frame.substr(0, at)));
    RC_ASSERT(is_refused(frame + frame.substr(0, at + 1)));
    std::string changed = frame;
    changed[at] = static_cast<char>(changed[at] ^ *rc::gen::inRange(1, 256));
    RC_ASSERT(is_refused(changed));
  }));
}

TEST_CASE("the text of a delta has a line for each fact, whatever their bytes") {
  CHECK(rc::check([] {
    const OwnedDelta owned = *gen_delta(wide_domain());
    const std::string text = describe(owned.delta());
    const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    RC_ASSERT(lines == 1 + owned.facts.size());
    RC_ASSERT(std::all_of(text.begin(), text.end(),
                          [](char c) { return c == '\n' || (c >= 0x20 && c < 0x7f); }));
  }));
}

TEST_CASE("facts of the narrow domain meet, and those of one stamp say the same") {
  size_t met = 0;
  CHECK(rc::check([&met] {
    const FactDomain domain = narrow_domain();
    std::map<std::string, std::string> said;
    for (const OwnedFact& each :
         *rc::gen::container<std::vector<OwnedFact>>(50, gen_fact(domain))) {
      if (each.parts.kind != FactKind::kField) continue;
      const std::string place = each.element + "@" + std::to_string(each.parts.stamp);
      const auto& [found, is_new] = said.emplace(place, each.value);
      met += is_new ? 0 : 1;
      RC_ASSERT(found->second == each.value);
    }
  }));
  CHECK(met > 0);
}

}  // namespace dyno
