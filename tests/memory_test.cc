// SPDX-License-Identifier: Apache-2.0
//
// The allocator of the data set: objects do not overlap, are aligned, and are counted, also when
// threads free what others allocated. Counts are compared before and after, since the process has
// objects of its own.
#include "engine/memory.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace dyno {
namespace {

struct Block {
  uint8_t* at;
  size_t size;
  uint8_t mark;
};

Block make_block(size_t size, uint8_t mark) {
  Block block{static_cast<uint8_t*>(memory::allocate(size)), size, mark};
  std::memset(block.at, mark, size);
  return block;
}

bool intact(const Block& block) {
  for (size_t i = 0; i < block.size; ++i) {
    if (block.at[i] != block.mark) return false;
  }
  return true;
}

// The number in the line that begins with `name` of a file of the system, in kB there.
int64_t system_bytes(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name)) return 1024 * std::stoll(line.substr(name.size()));
  }
  return 0;
}

int64_t resident_bytes() {
  return system_bytes("/proc/self/smaps_rollup", "Rss:");
}

int64_t huge_page_bytes() {
  return system_bytes("/proc/self/smaps_rollup", "AnonHugePages:");
}

bool has_huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string modes;
  return std::getline(file, modes) && modes.find("[never]") == std::string::npos;
}

TEST_CASE("sizes are rounded up by little, and blocks are aligned") {
  int64_t before = memory::used_bytes();
  std::vector<Block> blocks;
  size_t rounded_before = 0;
  for (size_t size = 0; size <= 5000; ++size) {
    Block block = make_block(size, 0);
    auto address = reinterpret_cast<uintptr_t>(block.at);
    CHECK(address % 8 == 0);
    if (size != 0 && size % 64 == 0) CHECK(address % 64 == 0);
    size_t usable = memory::usable_bytes(block.at);
    CHECK(usable >= size);
    size_t rounded = memory::rounded_bytes(size);
    CHECK(rounded >= size);
    CHECK(rounded >= rounded_before);
    if (size <= memory::kSmallBytesMax && memory::span_bytes() != 0) {
      CHECK(usable == rounded);
      CHECK(usable <= size + std::max<size_t>(8, size / 8));
    }
    rounded_before = rounded;
    blocks.push_back(block);
  }
  CHECK(memory::used_bytes() - before >= 5000 * 5001 / 2);
  for (const Block& block : blocks) memory::release(block.at);
  CHECK(memory::used_bytes() == before);
  memory::release(nullptr);
  CHECK(memory::used_bytes() == before);
}

TEST_CASE("tight blocks are rounded up by less, and aligned to four") {
  int64_t before = memory::used_bytes();
  std::vector<Block> blocks;
  for (size_t size = 0; size <= 300; ++size) {
    auto* at = static_cast<uint8_t*>(memory::allocate_tight(size));
    std::memset(at, static_cast<int>(size), size);
    CHECK(reinterpret_cast<uintptr_t>(at) % 4 == 0);
    size_t usable = memory::usable_bytes(at);
    CHECK(usable >= size);
    if (memory::span_bytes() != 0) {
      CHECK(usable == memory::rounded_tight_bytes(size));
      if (size >= 8 && size <= 64) CHECK(usable < size + 4);
    }
    blocks.push_back({at, size, static_cast<uint8_t>(size)});
  }
  for (const Block& block : blocks) {
    CHECK(intact(block));
    memory::release(block.at);
  }
  CHECK(memory::used_bytes() == before);
}

TEST_CASE("what is left in spans that lost most of their blocks can be moved together") {
  std::mt19937 random(4);
  int64_t spans_before = memory::span_bytes();
  int64_t used_before = memory::used_bytes();
  for (size_t size : {52u, 320u, 5000u}) {
    std::vector<Block> kept;
    std::vector<void*> dropped;
    for (int i = 0; i < 20000; ++i) {
      Block block = make_block(size, static_cast<uint8_t>(i));
      if (random() % 20 == 0) {
        kept.push_back(block);
      } else {
        dropped.push_back(block.at);
      }
    }
    for (void* block : dropped) memory::release(block);
    memory::purge();
    int64_t sparse = memory::span_bytes() - spans_before;
    size_t moves = 0;
    for (int round = 0; round < 8 && memory::choose_thin_spans() != 0; ++round) {
      for (Block& block : kept) {
        if (!memory::in_thin_span(block.at)) continue;
        block.at = static_cast<uint8_t*>(memory::move(block.at));
        ++moves;
      }
    }
    memory::purge();
    if (memory::span_bytes() != 0) {
      CHECK(moves > kept.size() / 2);
      CHECK(memory::span_bytes() - spans_before < sparse / 4 + (1 << 20));
    }
    for (const Block& block : kept) {
      REQUIRE(intact(block));
      memory::release(block.at);
    }
  }
  CHECK(memory::used_bytes() == used_before);
}

TEST_CASE("what a thread does not use goes back after a while") {
  int64_t before = memory::span_bytes();
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) blocks.push_back(memory::allocate(1700));
  for (void* block : blocks) memory::release(block);
  memory::return_idle();
  memory::return_idle();
  CHECK(memory::span_bytes() <= before);
}

TEST_CASE("huge pages are made of what has filled up, and keep what is in them") {
  std::vector<Block> blocks;
  for (int i = 0; i < 50000; ++i) blocks.push_back(make_block(100, static_cast<uint8_t>(i)));
  if (memory::span_bytes() != 0) CHECK(memory::make_huge_page());
  while (memory::make_huge_page()) {
  }
  for (const Block& block : blocks) {
    REQUIRE(intact(block));
    memory::release(block.at);
  }
}

TEST_CASE("memory that grows finds huge pages, and gives back those it did not come to use") {
  if (memory::span_bytes() == 0) return;  // A sanitizer's build has no spans.
  constexpr int kCount = 400000;
  std::vector<Block> blocks(kCount);
  int64_t resident_before = resident_bytes();
  int64_t huge_before = huge_page_bytes();
  bool grew = false;
  for (int i = 0; i < kCount; ++i) {
    blocks[i] = make_block(100, static_cast<uint8_t>(i));
    if (i % 500 == 0) grew |= memory::prepare_pages();
  }
  CHECK(grew);
  // The system may be short of huge pages, or have none.
  if (has_huge_pages()) CHECK(huge_page_bytes() - huge_before >= 8 << 20);
  memory::prepare_pages();
  CHECK(!memory::prepare_pages());
  for (int i = 0; i < 20; ++i) memory::return_spare_pages();
  CHECK(resident_bytes() - resident_before < kCount * 100 + (6 << 20));
  for (const Block& block : blocks) {
    REQUIRE(intact(block));
    memory::release(block.at);
  }
  memory::purge();
  CHECK(resident_bytes() - resident_before < 4 << 20);
}

TEST_CASE("blocks keep what is in them while their pages change") {
  constexpr int kThreads = 2;
  std::atomic<int> working{kThreads};
  std::atomic<int> damaged{0};
  std::vector<std::thread> threads;
  for (int id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      std::mt19937 random(static_cast<uint32_t>(id));
      for (int round = 0; round < 20; ++round) {
        std::vector<Block> own;
        size_t size = 40 + random() % 900;
        for (size_t total = 0; total < 12 << 20; total += size) {
          own.push_back(make_block(size, static_cast<uint8_t>(total)));
        }
        for (const Block& block : own) {
          if (!intact(block)) ++damaged;
          memory::release(block.at);
        }
        memory::return_idle();
      }
      --working;
    });
  }
  while (working != 0) {
    memory::prepare_pages();
    memory::return_spare_pages();
    memory::make_huge_page();
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(damaged == 0);
}

TEST_CASE("live blocks never overlap") {
  std::mt19937 random(18);
  int64_t before = memory::used_bytes();
  std::map<uint8_t*, Block> live;
  for (int round = 0; round < 60000; ++round) {
    bool growing = round / 10000 % 2 == 0;
    if (live.empty() || random() % 10 < (growing ? 7 : 3)) {
      size_t size = random() % 20 == 0 ? random() % 5000 : random() % 200;
      Block block = make_block(size, static_cast<uint8_t>(round));
      auto above = live.upper_bound(block.at);
      if (above != live.end()) REQUIRE(block.at + memory::usable_bytes(block.at) <= above->first);
      if (above != live.begin()) {
        auto below = std::prev(above);
        REQUIRE(below->first + memory::usable_bytes(below->first) <= block.at);
      }
      live[block.at] = block;
    } else {
      auto victim = live.lower_bound(
          std::next(live.begin(), random() % std::min<size_t>(live.size(), 20))->first);
      REQUIRE(intact(victim->second));
      memory::release(victim->first);
      live.erase(victim);
    }
  }
  for (auto& [at, block] : live) {
    REQUIRE(intact(block));
    memory::release(at);
  }
  CHECK(memory::used_bytes() == before);
}

TEST_CASE("spans whose blocks are all free serve other sizes and go back") {
  int64_t bytes_before = memory::span_bytes();
  std::vector<void*> blocks;
  constexpr size_t kTotal = 32 << 20;
  int64_t high = 0;
  for (size_t size : {40u, 200u, 1000u, 64u}) {
    for (size_t total = 0; total < kTotal; total += size) blocks.push_back(memory::allocate(size));
    high = std::max(high, memory::span_bytes());
    for (void* block : blocks) memory::release(block);
    blocks.clear();
  }
  if (memory::span_bytes() == 0) return;  // A sanitizer's build has no spans.
  // What one size took serves the next.
  CHECK(high - bytes_before < static_cast<int64_t>(kTotal) * 5 / 4);
  // What is left is in this thread's lists.
  CHECK(memory::span_bytes() - bytes_before < 4 << 20);
  memory::purge();
  blocks.push_back(memory::allocate(100));
  std::memset(blocks[0], 1, 100);
  memory::release(blocks[0]);
}

TEST_CASE("threads free what other threads allocated") {
  int64_t before = memory::used_bytes();
  constexpr int kThreads = 4;
  constexpr int kRounds = 300;
  std::mutex mutex;
  std::vector<Block> passing;
  std::vector<std::thread> threads;
  std::atomic<int> damaged{0};
  for (int id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      std::mt19937 random(static_cast<uint32_t>(id));
      std::vector<Block> own;
      for (int round = 0; round < kRounds; ++round) {
        for (int i = 0; i < 100; ++i) {
          own.push_back(make_block(random() % 10 == 0 ? random() % 4000 : random() % 150,
                                   static_cast<uint8_t>(random())));
        }
        {
          std::lock_guard lock(mutex);
          passing.insert(passing.end(), own.begin(), own.end());
          own.clear();
          for (int i = 0; i < 90 && !passing.empty(); ++i) {
            size_t pick = random() % passing.size();
            own.push_back(passing[pick]);
            passing[pick] = passing.back();
            passing.pop_back();
          }
        }
        for (const Block& block : own) {
          if (!intact(block)) ++damaged;
          memory::release(block.at);
        }
        own.clear();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Block& block : passing) {
    if (!intact(block)) ++damaged;
    memory::release(block.at);
  }
  CHECK(damaged == 0);
  CHECK(memory::used_bytes() == before);
  // Threads that come later take over what the finished ones had in their lists.
  int64_t spans = memory::span_bytes();
  for (int i = 0; i < 50; ++i) {
    std::thread([] { memory::release(memory::allocate(100)); }).join();
  }
  CHECK(memory::span_bytes() <= spans + (64 << 10));
  CHECK(memory::used_bytes() == before);
}

TEST_CASE("large blocks are counted too") {
  int64_t before = memory::used_bytes();
  Block block = make_block(100 << 20, 7);
  CHECK(memory::used_bytes() - before >= 100 << 20);
  CHECK(memory::usable_bytes(block.at) >= 100u << 20);
  memory::release(block.at);
  CHECK(memory::used_bytes() == before);
}

}  // namespace
}  // namespace dyno
