// SPDX-License-Identifier: Apache-2.0
//
// The counted B+tree against a std::set of (score, text): random insertions, removals and moves in
// several shapes of scores, with every kind of question asked in between.
#include "engine/types/btree.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/memory.h"

namespace dyno {
namespace {

struct Before {
  bool operator()(const Member* a, const Member* b) const {
    return a->score != b->score ? a->score < b->score : a->text() < b->text();
  }
};
using Model = std::set<Member*, Before>;

uint64_t model_rank(const Model& model, const Member* member) {
  return static_cast<uint64_t>(
      std::distance(model.begin(), model.find(const_cast<Member*>(member))));
}

void check_same(const BTree& tree, const Model& model) {
  tree.check();
  REQUIRE(tree.size() == model.size());
  auto expected = model.begin();
  tree.for_each(0, tree.size(), false, [&](Member* member) {
    REQUIRE(member == *expected++);
    return true;
  });
  auto backwards = model.rbegin();
  if (tree.size() > 0) {
    tree.for_each(tree.size() - 1, tree.size(), true, [&](Member* member) {
      REQUIRE(member == *backwards++);
      return true;
    });
  }
}

// Scores of several shapes: all equal, few distinct, spread over everything, near each other.
double draw_score(std::mt19937_64& random, int shape) {
  switch (shape) {
    case 0:
      return 0;
    case 1:
      return static_cast<double>(random() % 20) - 10;
    case 2:
      return (static_cast<double>(random() % 2000001) - 1000000) * 1e-3;
    case 3:
      return std::ldexp(static_cast<double>(random() % 1000) - 500,
                        static_cast<int>(random() % 1800) - 900);
    default:
      return 1.7e18 + static_cast<double>(random() % 4096);
  }
}

void run_random(int shape, uint64_t seed, size_t steps) {
  std::mt19937_64 random(seed);
  BTree tree;
  Model model;
  std::vector<Member*> all;
  uint64_t serial = 0;
  auto take = [&](size_t index) {
    Member* member = all[index];
    all[index] = all.back();
    all.pop_back();
    return member;
  };
  for (size_t step = 0; step < steps; ++step) {
    bool grows = (step / (steps / 4)) % 2 == 0;
    uint64_t choice = random() % 10;
    if (all.empty() || choice < (grows ? 7u : 2u)) {
      std::string text = std::to_string(random() % 1000) + "/" + std::to_string(serial++);
      Member* member = Member::make(draw_score(random, shape), text);
      tree.insert(member);
      model.insert(member);
      all.push_back(member);
    } else if (choice < 9) {
      Member* member = take(random() % all.size());
      REQUIRE(tree.rank(member) == model_rank(model, member));
      tree.erase(member);
      model.erase(member);
      memory::release(member);
    } else {
      Member* member = all[random() % all.size()];
      model.erase(member);
      double score = random() % 2 == 0 ? draw_score(random, shape) : member->score * 1.000001;
      tree.move(member, score);
      REQUIRE(member->score == score);
      model.insert(member);
    }
    if (step % (steps / 16) == 0) check_same(tree, model);
    if (step % 64 == 0 && !all.empty()) {
      Member* member = all[random() % all.size()];
      uint64_t rank = model_rank(model, member);
      CHECK(tree.at(rank) == member);
      double score = member->score;
      auto less = [&](const Member* other) { return other->score < score; };
      auto not_more = [&](const Member* other) { return other->score <= score; };
      CHECK(tree.count_below(ScoreBound{score, false}) ==
            static_cast<uint64_t>(std::count_if(model.begin(), model.end(), less)));
      CHECK(tree.count_below(ScoreBound{score, true}) ==
            static_cast<uint64_t>(std::count_if(model.begin(), model.end(), not_more)));
      CHECK(tree.count_below(MemberBound{score, member->text(), false}) == rank);
      CHECK(tree.count_below(MemberBound{score, member->text(), true}) == rank + 1);
    }
  }
  check_same(tree, model);
  while (tree.size() > 0) {
    uint64_t first = random() % tree.size();
    uint64_t count = 1 + random() % 200;
    Member* run[BTree::kLeafMembers];
    size_t taken = tree.erase_run(first, std::min(count, tree.size() - first), run);
    REQUIRE(taken >= 1);
    auto at = std::next(model.begin(), static_cast<int64_t>(first));
    for (size_t i = 0; i < taken; ++i) {
      REQUIRE(*at == run[i]);
      at = model.erase(at);
      memory::release(run[i]);
    }
    if (random() % 8 == 0) tree.check();
  }
  CHECK(tree.memory_bytes() == 0);
}

}  // namespace

TEST_CASE("btree: same as a model, whatever the scores") {
  for (int shape = 0; shape < 5; ++shape) {
    run_random(shape, 1000 + static_cast<uint64_t>(shape), 20000);
    run_random(shape, 2000 + static_cast<uint64_t>(shape), 300);
  }
}

TEST_CASE("btree: lexical bounds") {
  BTree tree;
  for (int i = 0; i < 1000; ++i) {
    char text[8];
    std::snprintf(text, sizeof(text), "%04d", i * 7 % 1000);
    tree.insert(Member::make(0, text));
  }
  tree.check();
  CHECK(tree.count_below(LexBound{"0500", false}) == 500);
  CHECK(tree.count_below(LexBound{"0500", true}) == 501);
  CHECK(tree.count_below(LexBound{"05", true}) == 500);
  CHECK(tree.count_below(LexBound{{}, false, LexBound::End::kLeast}) == 0);
  CHECK(tree.count_below(LexBound{{}, false, LexBound::End::kGreatest}) == 1000);
  while (!tree.free_some(100)) {
  }
}

TEST_CASE("btree: in order it stays full, at random within 14 bytes a member") {
  constexpr int kMembers = 200000;
  for (int order = 0; order < 3; ++order) {
    std::mt19937_64 random(7);
    BTree tree;
    for (int i = 0; i < kMembers; ++i) {
      double score = order == 0 ? i : order == 1 ? -i : static_cast<double>(random() % 1000000);
      tree.insert(Member::make(score, std::to_string(i)));
    }
    tree.check();
    double bytes = static_cast<double>(tree.memory_bytes()) / kMembers;
    CHECK(bytes <= (order == 2 ? 14.0 : 9.5));
    int calls = 0;
    while (!tree.free_some(1000)) ++calls;
    CHECK(calls >= kMembers / 1000 / 2);
    CHECK(tree.memory_bytes() == 0);
  }
}

}  // namespace dyno
