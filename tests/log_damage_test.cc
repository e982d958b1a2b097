// SPDX-License-Identifier: Apache-2.0
//
// Torn ends and damage of a log that RocksDB wrote: what is cut is torn, what is flipped before the
// last record is damage.
#include "engine/disk/log_damage.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "engine/disk/rocks_store.h"

namespace dyno {
namespace {

// The bytes of a log of `count` records, each of about `size` bytes.
struct WrittenLog {
  WrittenLog(int count, size_t size) {
    RocksStore store;
    RocksStore::Options options;
    options.path = folder + "/db";
    REQUIRE(store.open(options).empty());
    for (int i = 0; i < count; ++i) {
      RocksStore::Batch batch;
      batch.put("name" + std::to_string(i), std::string(size, static_cast<char>('a' + i % 26)));
      REQUIRE(store.write(batch, false).empty());
    }
    for (const auto& each : std::filesystem::directory_iterator(options.path)) {
      if (each.path().extension() != ".log") continue;
      std::ifstream file(each.path(), std::ios::binary);
      bytes.assign(std::istreambuf_iterator<char>(file), {});
    }
    REQUIRE(bytes.size() > static_cast<size_t>(count) * size);
  }
  ~WrittenLog() { std::filesystem::remove_all(folder); }

  std::optional<LogDamage> look(const std::string& content, LogPart part) const {
    std::string path = folder + "/log";
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    return find_log_damage(path, part);
  }

  std::string folder =
      std::filesystem::temp_directory_path() / ("dyno-log-damage-" + std::to_string(::getpid()));
  std::string bytes;
};

TEST_CASE("a log is whole, and torn wherever it is cut") {
  WrittenLog log(40, 100);
  for (size_t size = 0; size <= log.bytes.size(); size += 7) {
    CHECK_FALSE(log.look(log.bytes.substr(0, size), LogPart::kLastBlock));
    CHECK_FALSE(log.look(log.bytes.substr(0, size), LogPart::kAll));
  }
}

TEST_CASE("a record over several blocks may be torn in each of them") {
  WrittenLog log(3, 50000);
  for (size_t size = 0; size <= log.bytes.size(); size += 3001) {
    CHECK_FALSE(log.look(log.bytes.substr(0, size), LogPart::kLastBlock));
    CHECK_FALSE(log.look(log.bytes.substr(0, size), LogPart::kAll));
  }
}

TEST_CASE("a bit that is flipped before the last record is found where it is") {
  WrittenLog log(40, 100);
  size_t record = log.bytes.size() / 40;
  for (size_t at = 0; at < log.bytes.size() - 2 * record; at += 5) {
    std::string flipped = log.bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    auto damage = log.look(flipped, LogPart::kLastBlock);
    REQUIRE(damage);
    CHECK(damage->offset <= at);
    CHECK(at - damage->offset < 2 * record);
  }
}

TEST_CASE("damage in an earlier block is found when all is looked at") {
  WrittenLog log(1000, 100);
  std::string flipped = log.bytes;
  flipped[5] = static_cast<char>(flipped[5] ^ 1);
  CHECK_FALSE(log.look(flipped, LogPart::kLastBlock));
  auto damage = log.look(flipped, LogPart::kAll);
  REQUIRE(damage);
  CHECK(damage->offset == 0);
}

TEST_CASE("a log that cannot be read says so") {
  auto damage = find_log_damage("/nowhere/000001.log", LogPart::kAll);
  REQUIRE(damage);
  CHECK_FALSE(damage->reason.empty());
}

}  // namespace
}  // namespace dyno
