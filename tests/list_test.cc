// SPDX-License-Identifier: Apache-2.0
//
// Lists: the nodes of a large one against a deque of strings, every command against the same model,
// encodings at and around their limits, and errors in Redis' order.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "engine/reclaimer.h"
#include "engine/types/list_nodes.h"
#include "engine/value.h"
#include "tests/engine_client.h"

namespace dyno {
namespace {

constexpr std::string_view kOk = "+OK\r\n";
constexpr std::string_view kNull = "$-1\r\n";
constexpr std::string_view kNullArray = "*-1\r\n";
constexpr std::string_view kSyntaxError = "-ERR syntax error\r\n";
constexpr std::string_view kIntegerError = "-ERR value is not an integer or out of range\r\n";
constexpr std::string_view kTypeError =
    "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

using Model = std::deque<std::string>;

std::string integer_reply(int64_t value) {
  return ":" + std::to_string(value) + "\r\n";
}

std::string array_reply(const std::vector<std::string>& elements) {
  std::string reply = "*" + std::to_string(elements.size()) + "\r\n";
  for (const std::string& element : elements) reply += bulk_reply(element);
  return reply;
}

// Elements of every kind of item: integers of all widths, short, middling and long texts.
std::string random_element(std::mt19937_64& random, size_t bytes_max) {
  switch (random() % 8) {
    case 0:
      return std::to_string(static_cast<int64_t>(random()) >> (random() % 64));
    case 1:
      return std::to_string(random() % 64);
    case 2:
      return "";
    case 3:
      return std::string(random() % bytes_max, 'x');
    default:
      return std::string(random() % 40, static_cast<char>('a' + random() % 3));
  }
}

std::string text_of(const uint8_t* item) {
  packed::Item::Buffer buffer;
  return std::string(packed::read(item).view(&buffer));
}

void check_nodes(ListNodes* nodes, const Model& model) {
  REQUIRE(nodes->size() == model.size());
  size_t index = 0;
  size_t bytes = 0;
  nodes->for_each(0, model.size(), [&](const uint8_t* item) {
    REQUIRE(text_of(item) == model[index++]);
    bytes += static_cast<size_t>(next_item(item) - item);
    return true;
  });
  CHECK(index == model.size());
  CHECK(nodes->items_bytes() == bytes);
  if (model.empty()) return;
  nodes->for_each_backwards(model.size() - 1, model.size(), [&](const uint8_t* item) {
    REQUIRE(text_of(item) == model[--index]);
    return true;
  });
  CHECK(text_of(nodes->front()) == model.front());
  CHECK(text_of(nodes->back()) == model.back());
}

void erase_equal_nodes(ListNodes* nodes, Model* model, std::mt19937_64& random,
                       const std::string& element) {
  std::string wanted = model->empty() ? element : (*model)[random() % model->size()];
  size_t limit = random() % 3 == 0 ? SIZE_MAX : random() % 4;
  bool from_tail = random() % 2 == 0;
  Model replayed = *model;
  size_t erased = nodes->erase_equal(packed::Encoded(wanted), limit, from_tail, [&](size_t at) {
    REQUIRE(replayed[at] == wanted);
    replayed.erase(replayed.begin() + static_cast<long>(at));
  });
  auto equal = static_cast<size_t>(std::count(model->begin(), model->end(), wanted));
  CHECK(erased == std::min(limit, equal));
  for (size_t n = erased; n > 0; --n) {
    auto at = from_tail ? std::find(model->rbegin(), model->rend(), wanted).base() - 1
                        : std::find(model->begin(), model->end(), wanted);
    model->erase(at);
  }
  CHECK(replayed == *model);
}

void change_nodes(ListNodes* nodes, Model* model, std::mt19937_64& random, size_t bytes_max) {
  std::string element = random_element(random, bytes_max);
  packed::Encoded item(element);
  size_t size = model->size();
  switch (random() % 12) {
    case 0:
    case 1:
    case 2:
      nodes->push_back(item);
      model->push_back(element);
      break;
    case 3:
    case 4:
      nodes->push_front(item);
      model->push_front(element);
      break;
    case 5: {
      size_t index = random() % (size + 1);
      nodes->insert(index, item);
      model->insert(model->begin() + static_cast<long>(index), element);
      break;
    }
    case 6: {
      if (size == 0) break;
      size_t index = random() % size;
      nodes->replace(index, item);
      (*model)[index] = element;
      break;
    }
    case 7: {
      // Now and then much is erased; for the most part lists grow to many nodes.
      if (size == 0 || random() % 4 != 0) break;
      size_t first = random() % size;
      size_t count = random() % (std::min<size_t>(size - first, random() % 64 == 0 ? size : 8) + 1);
      nodes->erase(first, count);
      model->erase(model->begin() + static_cast<long>(first),
                   model->begin() + static_cast<long>(first + count));
      break;
    }
    case 8:
      for (size_t n = random() % 3; n > 0 && !model->empty(); --n) {
        CHECK(text_of(nodes->back()) == model->back());
        nodes->pop_back();
        model->pop_back();
      }
      break;
    case 9:
      for (size_t n = random() % 3; n > 0 && !model->empty(); --n) {
        nodes->pop_front();
        model->pop_front();
      }
      break;
    case 10: {
      if (size == 0) break;
      size_t index = random() % size;
      CHECK(text_of(nodes->at(index)) == (*model)[index]);
      break;
    }
    default:
      if (random() % 8 == 0) erase_equal_nodes(nodes, model, random, element);
  }
}

TEST_CASE("nodes hold what a deque holds") {
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    size_t bytes_max = seed % 3 == 0 ? 4000 : seed % 3 == 1 ? 700 : 90;
    int64_t used_before = memory::used_bytes();
    ListNodes* nodes = ListNodes::make();
    Model model;
    for (int step = 0; step < 3000; ++step) {
      change_nodes(nodes, &model, random, bytes_max);
      if (step % 100 == 0) check_nodes(nodes, model);
    }
    check_nodes(nodes, model);
    ListNodes* copied = nodes->copy();
    check_nodes(copied, model);
    for (int step = 0; step < 200; ++step) change_nodes(copied, &model, random, bytes_max);
    check_nodes(copied, model);
    while (!ListNodes::destroy_some(copied, 10)) {
    }
    while (!ListNodes::destroy_some(nodes, 1000)) {
    }
    CHECK(memory::used_bytes() == used_before);
  }
}

TEST_CASE("a million elements cost a byte each, and a walk to the middle is short") {
  constexpr size_t kCount = 200'000;
  ListNodes* nodes = ListNodes::make();
  std::string element(32, 'e');
  for (size_t i = 0; i < kCount; ++i) nodes->push_back(packed::Encoded(element));
  CHECK(nodes->memory_bytes(0) < kCount * 34);
  CHECK(nodes->memory_bytes(10) < kCount * 34);
  for (size_t i = 0; i < kCount; ++i) nodes->push_front(packed::Encoded(static_cast<int64_t>(i)));
  CHECK(text_of(nodes->at(0)) == std::to_string(kCount - 1));
  CHECK(text_of(nodes->at(kCount)) == element);
  CHECK(text_of(nodes->at(kCount - 1)) == "0");
  for (size_t i = 0; i < 2 * kCount; ++i) nodes->pop_back();
  CHECK(nodes->size() == 0);
  CHECK(ListNodes::destroy_some(nodes, 1));
}

struct Lists {
  EngineClient client{kListCommands, kStringCommands, kGenericCommands};

  std::string operator()(std::string_view line) { return client(line); }
  std::string encoding(const std::string& key) { return client.run({"OBJECT", "ENCODING", key}); }
  std::string all(const std::string& key) { return client.run({"LRANGE", key, "0", "-1"}); }
};

TEST_CASE_FIXTURE(Lists, "pushes, pops and lengths") {
  Lists& run = *this;
  CHECK(run("LPUSHX l a") == ":0\r\n");
  CHECK(run("EXISTS l") == ":0\r\n");
  CHECK(run("RPUSH l a b c") == ":3\r\n");
  CHECK(run("LPUSH l x y") == ":5\r\n");
  CHECK(all("l") == array_reply({"y", "x", "a", "b", "c"}));
  CHECK(run("RPUSHX l d") == ":6\r\n");
  CHECK(run("LLEN l") == ":6\r\n");
  CHECK(run("LPOP l") == bulk_reply("y"));
  CHECK(run("RPOP l 2") == array_reply({"d", "c"}));
  CHECK(run("LPOP l 0") == "*0\r\n");
  CHECK(run("LPOP l 9223372036854775807") == array_reply({"x", "a", "b"}));
  CHECK(run("EXISTS l") == ":0\r\n");
  CHECK(run("LPOP l") == kNull);
  CHECK(run("LPOP l 0") == kNullArray);
  CHECK(run("RPOP l -1") == "-ERR value is out of range, must be positive\r\n");
  CHECK(run("RPOP l x") == "-ERR value is out of range, must be positive\r\n");
  CHECK(run("RPOP l 1 2") == "-ERR wrong number of arguments for 'rpop' command\r\n");
  CHECK(run("LLEN l") == ":0\r\n");
}

TEST_CASE_FIXTURE(Lists, "errors come in Redis' order") {
  Lists& run = *this;
  run("SET s 1");
  for (std::string_view line :
       {"LPUSH s a", "RPUSHX s a", "LLEN s", "LPOP s", "LPOP s 0", "RPOP s 1", "LINDEX s x",
        "LSET s x a", "LINSERT s BEFORE a b", "LRANGE s 0 1", "LTRIM s 0 1", "LREM s 0 a",
        "LPOS s a", "LMOVE s l LEFT LEFT", "RPOPLPUSH s l", "LMPOP 2 l s LEFT", "BLPOP l s 0",
        "BLMOVE s l LEFT LEFT 0", "BLMPOP 0 2 l s LEFT"}) {
    CAPTURE(line);
    CHECK(run(line) == kTypeError);
  }
  CHECK(run("LINDEX l x") == kNull);
  CHECK(run("LSET l x a") == "-ERR no such key\r\n");
  CHECK(run("LINSERT s UP a b") == kSyntaxError);
  CHECK(run("LINSERT l AFTER a b") == ":0\r\n");
  CHECK(run("LRANGE s x 1") == kIntegerError);
  CHECK(run("LTRIM s 0 x") == kIntegerError);
  CHECK(run("LREM s x a") == kIntegerError);
  CHECK(run("LTRIM l 0 1") == kOk);
  CHECK(run("LMOVE s l LEFT UP") == kSyntaxError);
  CHECK(run("LMOVE l s LEFT LEFT") == kNull);
  run("RPUSH l a b");
  CHECK(run("LMOVE l s LEFT LEFT") == kTypeError);
  CHECK(run("LLEN l") == ":2\r\n");
  CHECK(run("LINDEX l x") == kIntegerError);
  CHECK(run("LINDEX l 4294967297") == kNull);
  CHECK(run("LINDEX l -9223372036854775808") == kNull);
  CHECK(run("LSET l x v") == kIntegerError);
  CHECK(run("LSET l 4294967296 v") == "-ERR index out of range\r\n");
  CHECK(run("LSET l -9223372036854775808 v") == "-ERR index out of range\r\n");
  CHECK(run("LSET l -1 v") == kOk);
  CHECK(run("LINSERT l BEFORE none x") == ":-1\r\n");
  CHECK(run("LRANGE l -9223372036854775808 9223372036854775807") == array_reply({"a", "v"}));
  CHECK(run("LRANGE l 9223372036854775807 -9223372036854775808") == "*0\r\n");
  CHECK(run("LREM l -9223372036854775808 none") == ":0\r\n");
  CHECK(run("LTRIM l -9223372036854775808 9223372036854775807") == kOk);
  CHECK(run("LLEN l") == ":2\r\n");
  for (std::string_view line : {"LMPOP 0 l LEFT", "LMPOP -1 l LEFT", "LMPOP x l LEFT"}) {
    CHECK(run(line) == "-ERR numkeys should be greater than 0\r\n");
  }
  for (std::string_view line :
       {"LMPOP 1 l UP", "LMPOP 2 l LEFT", "LMPOP 9223372036854775807 l LEFT",
        "LMPOP 1 l LEFT COUNT", "LMPOP 1 l LEFT COUNT 1 COUNT 1", "LMPOP 1 l LEFT x"}) {
    CAPTURE(line);
    CHECK(run(line) == kSyntaxError);
  }
  CHECK(run("LMPOP 1 l LEFT COUNT 0") == "-ERR count should be greater than 0\r\n");
  CHECK(run("BLPOP l x") == "-ERR timeout is not a float or out of range\r\n");
  CHECK(run("BLPOP l -1") == "-ERR timeout is negative\r\n");
}

TEST_CASE_FIXTURE(Lists, "LPOS") {
  Lists& run = *this;
  run("RPUSH l a b c 1 2 3 c c");
  CHECK(run("LPOS l c") == ":2\r\n");
  CHECK(run("LPOS l 3") == ":5\r\n");
  CHECK(run("LPOS l c RANK 2") == ":6\r\n");
  CHECK(run("LPOS l c RANK -1") == ":7\r\n");
  CHECK(run("LPOS l c COUNT 0") == "*3\r\n:2\r\n:6\r\n:7\r\n");
  CHECK(run("LPOS l c COUNT 2 RANK -1") == "*2\r\n:7\r\n:6\r\n");
  CHECK(run("LPOS l c COUNT 1 RANK 3") == "*1\r\n:7\r\n");
  CHECK(run("LPOS l c COUNT 1 RANK 4") == "*0\r\n");
  CHECK(run("LPOS l c RANK 4") == kNull);
  CHECK(run("LPOS l c MAXLEN 2") == kNull);
  CHECK(run("LPOS l c MAXLEN 3") == ":2\r\n");
  CHECK(run("LPOS l a MAXLEN 7 RANK -1") == kNull);
  CHECK(run("LPOS none c") == kNull);
  CHECK(run("LPOS none c COUNT 0") == "*0\r\n");
  CHECK(run("LPOS none c COUNT") == kSyntaxError);
  CHECK(run("LPOS none c COUNT -1") == "-ERR COUNT can't be negative\r\n");
  CHECK(run("LPOS none c MAXLEN x") == "-ERR MAXLEN can't be negative\r\n");
  CHECK(run("LPOS none c RANK x") == kIntegerError);
  CHECK(run("LPOS none c RANK 0").starts_with("-ERR RANK can't be zero: use 1 to start from"));
  CHECK(run("LPOS none c RANK -9223372036854775808") ==
        "-ERR value is out of range, value must between -9223372036854775807 and "
        "9223372036854775807\r\n");
}

TEST_CASE_FIXTURE(Lists, "moves") {
  Lists& run = *this;
  run("RPUSH a 1 2 3");
  CHECK(run("RPOPLPUSH a b") == bulk_reply("3"));
  CHECK(run("LMOVE a b LEFT RIGHT") == bulk_reply("1"));
  CHECK(all("b") == array_reply({"3", "1"}));
  CHECK(run("LMOVE a b RIGHT LEFT") == bulk_reply("2"));
  CHECK(run("EXISTS a") == ":0\r\n");
  CHECK(run("RPOPLPUSH b b") == bulk_reply("1"));
  CHECK(all("b") == array_reply({"1", "2", "3"}));
  CHECK(run("LMOVE b b LEFT LEFT") == bulk_reply("1"));
  CHECK(run("LMOVE b b RIGHT RIGHT") == bulk_reply("3"));
  CHECK(run("LMOVE b b LEFT RIGHT") == bulk_reply("1"));
  CHECK(all("b") == array_reply({"2", "3", "1"}));
  CHECK(run("LMPOP 2 a b RIGHT COUNT 2") == "*2\r\n" + bulk_reply("b") + array_reply({"1", "3"}));
  CHECK(run("LMOVE b b LEFT RIGHT") == bulk_reply("2"));
  CHECK(run("BLMOVE b a LEFT RIGHT 0") == bulk_reply("2"));
  CHECK(run("BRPOPLPUSH a b 0") == bulk_reply("2"));
  CHECK(run("BLMPOP 0 2 a b LEFT") == "*2\r\n" + bulk_reply("b") + array_reply({"2"}));
  CHECK(run("LMPOP 2 a b LEFT") == kNullArray);
  run("RPUSH a x y");
  CHECK(run("BLPOP b a 0") == array_reply({"a", "x"}));
  CHECK(run("BRPOP b a 0") == array_reply({"a", "y"}));
  CHECK(run("EXISTS a b") == ":0\r\n");
}

TEST_CASE_FIXTURE(Lists, "encodings change at Redis' sizes") {
  Lists& run = *this;
  // Redis' listpack of these takes 7 bytes and 34 for each: 240 fit 8 KiB.
  std::string element(32, 'e');
  for (int i = 0; i < 240; ++i) client.run({"RPUSH", "l", element});
  CHECK(encoding("l") == bulk_reply("listpack"));
  client.run({"RPUSH", "l", element});
  CHECK(encoding("l") == bulk_reply("quicklist"));
  // Back at half the size.
  client.run({"LPOP", "l", "120"});
  CHECK(encoding("l") == bulk_reply("quicklist"));
  client.run({"LPOP", "l", "1"});
  CHECK(encoding("l") == bulk_reply("listpack"));
  for (int i = 0; i < 120; ++i) client.run({"LPUSH", "l", element});
  CHECK(encoding("l") == bulk_reply("listpack"));
  client.run({"LPUSH", "l", element});
  CHECK(encoding("l") == bulk_reply("quicklist"));
  client.run({"RPUSH", "one", std::string(8192 - 7, 'x')});
  CHECK(encoding("one") == bulk_reply("listpack"));
  client.run({"RPUSH", "one more", std::string(8192 - 6, 'x')});
  CHECK(encoding("one more") == bulk_reply("quicklist"));
  client.limits().list_packed_size = 2;
  run("RPUSH few a b");
  CHECK(encoding("few") == bulk_reply("listpack"));
  run("RPUSH few c");
  CHECK(encoding("few") == bulk_reply("quicklist"));
  run("LPOP few 2");
  CHECK(encoding("few") == bulk_reply("listpack"));
  CHECK(all("few") == array_reply({"c"}));
}

// What the effects of commands make of a list.
class Replayed : public EffectRecorder {
 public:
  void record(const Effect& effect) override {
    if (effect.key != "l") return;
    auto at = list.begin() + effect.position;
    if (effect.kind == EffectKind::kErase) {
      list.clear();
    } else if (effect.kind == EffectKind::kEmptied) {
      CHECK(list.empty());
    } else if (effect.kind == EffectKind::kListInsert) {
      list.insert(at, std::string(effect.element));
    } else if (effect.kind == EffectKind::kListSet) {
      *at = effect.element;
    } else if (effect.kind == EffectKind::kListErase) {
      list.erase(at, at + effect.count);
    } else {
      FAIL("no effect of a list");
    }
  }

  Model list;
};

struct ModelList {
  Lists& run;
  Model model;

  std::string range(int64_t start, int64_t stop) const {
    auto size = static_cast<int64_t>(model.size());
    if (start < 0) start = std::max<int64_t>(0, start + size);
    if (stop < 0) stop += size;
    std::vector<std::string> elements;
    for (int64_t i = start; i <= stop && i < size; ++i)
      elements.push_back(model[static_cast<size_t>(i)]);
    return array_reply(elements);
  }
  void push(std::mt19937_64& random, size_t bytes_max) {
    bool head = random() % 2 == 0;
    std::vector<std::string> words{head ? "LPUSH" : "RPUSH", "l"};
    for (size_t n = random() % 5 + 1; n > 0; --n) {
      words.push_back(random_element(random, bytes_max));
      head ? model.push_front(words.back()) : model.push_back(words.back());
    }
    REQUIRE(run.client.run(words) == integer_reply(static_cast<int64_t>(model.size())));
  }
  void pop(std::mt19937_64& random) {
    bool head = random() % 2 == 0;
    size_t count = random() % 6 + 1;
    std::vector<std::string> popped;
    for (; count > popped.size() && !model.empty();) {
      popped.push_back(head ? model.front() : model.back());
      head ? model.pop_front() : model.pop_back();
    }
    std::string reply = run.client.run({head ? "LPOP" : "RPOP", "l", std::to_string(count)});
    REQUIRE(reply == (popped.empty() ? std::string(kNullArray) : array_reply(popped)));
  }
  void edit(std::mt19937_64& random, size_t bytes_max) {
    if (model.empty()) return;
    std::string element = random_element(random, bytes_max);
    size_t index = random() % model.size();
    if (random() % 2 == 0) {
      REQUIRE(run.client.run({"LSET", "l", std::to_string(index), element}) == kOk);
      model[index] = element;
      return;
    }
    bool after = random() % 2 == 0;
    std::string pivot = model[index];
    auto at = std::find(model.begin(), model.end(), pivot) + after;
    model.insert(at, element);
    REQUIRE(run.client.run({"LINSERT", "l", after ? "after" : "before", pivot, element}) ==
            integer_reply(static_cast<int64_t>(model.size())));
  }
  void remove(std::mt19937_64& random) {
    if (model.empty()) return;
    std::string element = model[random() % model.size()];
    bool from_tail = random() % 2 == 0;
    REQUIRE(run.client.run({"LREM", "l", from_tail ? "-1" : "1", element}) == integer_reply(1));
    auto found = from_tail ? std::find(model.rbegin(), model.rend(), element).base() - 1
                           : std::find(model.begin(), model.end(), element);
    model.erase(found);
  }
  void rotate(std::mt19937_64& random) {
    if (model.empty()) return;
    bool left = random() % 2 == 0;
    std::string moved = left ? model.front() : model.back();
    REQUIRE(run.client.run({"LMOVE", "l", "l", left ? "LEFT" : "RIGHT", left ? "RIGHT" : "LEFT"}) ==
            bulk_reply(moved));
    left ? model.pop_front() : model.pop_back();
    left ? model.push_back(moved) : model.push_front(moved);
  }
  void trim(std::mt19937_64& random) {
    auto size = static_cast<int64_t>(model.size());
    int64_t cut_head = static_cast<int64_t>(random() % 4);
    int64_t cut_tail = static_cast<int64_t>(random() % 4);
    REQUIRE(run.client.run(
                {"LTRIM", "l", std::to_string(cut_head), std::to_string(-1 - cut_tail)}) == kOk);
    if (cut_head + cut_tail >= size) return model.clear();
    model.erase(model.begin(), model.begin() + cut_head);
    model.erase(model.end() - cut_tail, model.end());
  }
};

TEST_CASE_FIXTURE(Lists, "any sequence of commands does what it does to a deque") {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    client.limits().list_packed_size = seed % 4 == 0 ? 5 : -2;
    Replayed replayed;
    client.executor().set_recorder(&replayed);
    client("DEL l");
    ModelList list{*this, {}};
    size_t bytes_max = seed % 2 == 0 ? 60 : 3000;
    for (int step = 0; step < 1500; ++step) {
      // First it grows, then it shrinks.
      uint64_t kind = random() % 12;
      if (step < 900 ? kind < 5 : kind < 2) {
        list.push(random, bytes_max);
      } else if (kind < 7) {
        list.pop(random);
      } else if (kind < 9) {
        list.edit(random, bytes_max);
      } else if (kind < 10) {
        list.trim(random);
      } else if (kind < 11) {
        list.remove(random);
      } else {
        list.rotate(random);
      }
      REQUIRE(client("LLEN l") == integer_reply(static_cast<int64_t>(list.model.size())));
      if (step % 50 != 0) continue;
      REQUIRE(all("l") == list.range(0, -1));
      REQUIRE(replayed.list == list.model);
      auto start = static_cast<int64_t>(random() % 40) - 20;
      auto stop = static_cast<int64_t>(random() % 40) - 20;
      REQUIRE(client.run({"LRANGE", "l", std::to_string(start), std::to_string(stop)}) ==
              list.range(start, stop));
      REQUIRE(client("COPY l copied REPLACE").starts_with(list.model.empty() ? ":0" : ":1"));
      if (!list.model.empty()) REQUIRE(all("copied") == list.range(0, -1));
    }
    client.executor().set_recorder(nullptr);
  }
}

TEST_CASE_FIXTURE(Lists, "deleting a large list gives all memory back") {
  int64_t used_before = memory::used_bytes();
  for (int i = 0; i < 5000; ++i)
    client.run({"RPUSH", "l", std::to_string(i), std::string(50, 'x')});
  CHECK(client("LREM l 0 " + std::string(50, 'x')) == ":5000\r\n");
  CHECK(client("LINDEX l 4321") == bulk_reply("4321"));
  CHECK(client("LREM l -1 4999") == ":1\r\n");
  CHECK(client("LTRIM l 100 199") == kOk);
  CHECK(client("LRANGE l 0 1") == array_reply({"100", "101"}));
  CHECK(client("LTRIM l 1 0") == kOk);
  CHECK(client("EXISTS l") == ":0\r\n");
  // What is trimmed from a very large one is freed in slices, whichever side is the larger.
  for (int i = 0; i < 20000; ++i)
    client.run({"RPUSH", "l", std::to_string(i), std::string(50, 'x')});
  CHECK(client("LTRIM l 100 -101") == kOk);
  CHECK(client("LINDEX l -1") == bulk_reply(std::string(50, 'x')));
  CHECK(client("LTRIM l 30000 -1") == kOk);
  CHECK(client("LLEN l") == ":9800\r\n");
  CHECK(client("LRANGE l 0 2") == array_reply({"15050", std::string(50, 'x'), "15051"}));
  CHECK(client("LTRIM l 0 9") == kOk);
  CHECK(all("l").starts_with("*10\r\n"));
  CHECK(client("LPOS l 15054") == ":8\r\n");
  CHECK(client("LPOP l 10").starts_with("*10\r\n"));
  client.keyspace().reclaimer().finish();
  CHECK(memory::used_bytes() - used_before < 64 * 1024);
}

}  // namespace
}  // namespace dyno
