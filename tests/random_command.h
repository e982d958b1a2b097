// SPDX-License-Identifier: Apache-2.0
//
// Writes random commands from the command table: the arguments follow the row's syntax, their
// values are drawn by name from small pools, so that commands meet the same keys and members again
// and again, and from extremes. Now and then an argument is lost, doubled or strange.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "protocol/number.h"

namespace dyno {

class RandomCommand {
 public:
  // `draw(n)` gives a number below n; the same draws give the same command.
  using Draw = std::function<uint32_t(uint32_t)>;

  RandomCommand(const CommandSpec& spec, int64_t now_ms, const Draw& draw)
      : spec_(spec), now_ms_(now_ms), draw_(draw) {}

  std::vector<std::string> write() {
    size_t bar = spec_.name.find('|');
    words_.emplace_back(spec_.name.substr(0, bar));
    if (bar != std::string_view::npos) words_.emplace_back(spec_.name.substr(bar + 1));
    split();
    size_t at = 0;
    write_sequence(&at, true);
    count_keys();
    if (draw_(40) == 0 && words_.size() > 1) disturb();
    return std::move(words_);
  }

 private:
  // The syntax as words and brackets.
  void split() {
    std::string word;
    auto finish = [&] {
      if (!word.empty()) tokens_.push_back(std::move(word));
      word.clear();
    };
    for (char c : spec_.syntax) {
      if (c == ' ') {
        finish();
      } else if (c == '[' || c == ']' || c == '(' || c == ')') {
        finish();
        tokens_.emplace_back(1, c);
      } else {
        word += c;
      }
    }
    finish();
  }

  [[nodiscard]] bool ends(size_t at) const {
    return at >= tokens_.size() || tokens_[at] == "]" || tokens_[at] == ")";
  }

  // The end of the item at `at`: a word, or a group with its brackets.
  [[nodiscard]] size_t behind_item(size_t at) const {
    int depth = 0;
    do {
      const std::string& token = tokens_[at++];
      depth += token == "[" || token == "(" ? 1 : token == "]" || token == ")" ? -1 : 0;
    } while (depth > 0 && at < tokens_.size());
    return at;
  }

  // Writes what stands at `at` up to the end of its group. Outside of groups a bar separates single
  // words, inside it separates sequences.
  void write_sequence(size_t* at, bool outside) {
    if (!outside) {
      std::vector<size_t> starts = {*at};
      size_t end = *at;
      while (!ends(end)) {
        if (tokens_[end] == "|") starts.push_back(end + 1);
        end = behind_item(end);
      }
      size_t chosen = starts[draw_(static_cast<uint32_t>(starts.size()))];
      while (!ends(chosen) && tokens_[chosen] != "|") chosen = write_item(chosen);
      *at = end;
      return;
    }
    while (!ends(*at)) {
      std::vector<size_t> choices = {*at};
      size_t end = behind_item(*at);
      while (end < tokens_.size() && tokens_[end] == "|") {
        choices.push_back(end + 1);
        end = behind_item(end + 1);
      }
      size_t behind = write_item(choices[draw_(static_cast<uint32_t>(choices.size()))]);
      *at = choices.size() == 1 ? behind : end;
    }
  }

  // Returns where the item ends.
  size_t write_item(size_t at) {
    const std::string& token = tokens_[at];
    size_t behind = behind_item(at);
    if (token == "...") return behind;
    if (token == "[" || token == "(") {
      bool repeats = behind >= 2 && tokens_[behind - 2] == "...";
      uint32_t times = token == "(" ? 1 : repeats ? draw_(draw_(8) == 0 ? 60 : 5) : draw_(3) == 0;
      for (uint32_t i = 0; i < times; ++i) {
        size_t inside = at + 1;
        write_sequence(&inside, false);
      }
      return behind;
    }
    bool literal =
        std::all_of(token.begin(), token.end(), [](char c) { return c < 'a' || c > 'z'; });
    words_.push_back(literal ? token : value(token));
    if (token.starts_with("num")) counted_at_ = words_.size() - 1;
    return behind;
  }

  // Most often the number of what follows is right.
  void count_keys() {
    if (counted_at_ == 0 || draw_(20) == 0) return;
    size_t count = 0;
    for (size_t i = counted_at_ + 1; i < words_.size(); ++i) {
      bool option = std::all_of(words_[i].begin(), words_[i].end(),
                                [](char c) { return c >= 'A' && c <= 'Z'; });
      if (option && !words_[i].empty()) break;
      ++count;
    }
    words_[counted_at_] = std::to_string(count);
  }

  void disturb() {
    size_t at = 1 + draw_(static_cast<uint32_t>(words_.size() - 1));
    switch (draw_(4)) {
      case 0:
        words_.erase(words_.begin() + static_cast<ptrdiff_t>(at));
        break;
      case 1:
        words_.insert(words_.begin() + static_cast<ptrdiff_t>(at), std::string(words_[at]));
        break;
      case 2:
        words_[at] = extreme();
        break;
      default:
        words_.push_back(element());
    }
  }

  template <size_t N>
  std::string one_of(const std::array<std::string_view, N>& pool) {
    return std::string(pool[draw_(static_cast<uint32_t>(N))]);
  }

  // Keys are told apart by the group of the command, so that types rarely clash.
  std::string key() {
    auto group = static_cast<uint32_t>(spec_.group);
    if (spec_.group == CommandGroup::kBitmap) group = static_cast<uint32_t>(CommandGroup::kString);
    if (spec_.group == CommandGroup::kGeo) group = static_cast<uint32_t>(CommandGroup::kSortedSet);
    if (draw_(12) == 0 || spec_.group == CommandGroup::kGeneric) group = draw_(8);
    return "k" + std::to_string(group) + ":" + std::to_string(draw_(3));
  }

  std::string element() {
    switch (draw_(10)) {
      case 0:
        return std::string(60 + draw_(12), static_cast<char>('a' + draw_(3)));
      case 1:
        return std::to_string(static_cast<int64_t>(draw_(4000)) * (draw_(2) == 0 ? 1 : 1'000'003));
      case 2:
        return draw_(3) == 0 ? std::string() : std::string(1, static_cast<char>(draw_(256)));
      case 3:
      case 4:
        return std::to_string(draw_(20));
      default:
        return "m" + std::to_string(draw_(draw_(2) == 0 ? 30 : 6));
    }
  }

  std::string extreme() {
    return one_of(std::array<std::string_view, 14>{"9223372036854775807", "-9223372036854775808",
                                                   "4294967296", "-1", "0", "18446744073709551615",
                                                   "1e400", "nan", "-0", "", "abc", "\r\n",
                                                   "4611686018427387904", "0x10"});
  }

  std::string integer(int64_t low, uint32_t span) {
    if (draw_(60) == 0) return extreme();
    return std::to_string(low + draw_(span));
  }

  std::string number() {
    if (draw_(40) == 0) return extreme();
    return one_of(std::array<std::string_view, 14>{"0", "1", "2", "3", "-1", "1.5", "-2.25", "inf",
                                                   "-inf", "1e17", "0.1", "3.0", "1e-7", "100"});
  }

  // An end of a range, as the command or its options want it: by rank, score or bytes.
  std::string bound() {
    bool is_zset = spec_.group == CommandGroup::kSortedSet;
    auto named = [&](std::string_view part) { return spec_.name.find(part) != spec_.name.npos; };
    if (bounds_ == Bounds::kUndecided) {
      bounds_ = Bounds::kRank;
      if (is_zset && (named("BYSCORE") || spec_.name == "ZCOUNT")) bounds_ = Bounds::kScore;
      if (is_zset && (named("BYLEX") || named("LEXCOUNT"))) bounds_ = Bounds::kText;
      if (spec_.name == "ZRANGE" || spec_.name == "ZRANGESTORE") bounds_ = Bounds(1 + draw_(3));
    }
    if (draw_(25) == 0) return any_bound();
    if (bounds_ == Bounds::kRank) return integer(-12, 30);
    if (bounds_ == Bounds::kScore) {
      return one_of(std::array<std::string_view, 12>{"-inf", "+inf", "0", "1", "(1", "(2", "3",
                                                     "-2", "5", "10", "(inf", "1.5"});
    }
    return one_of(std::array<std::string_view, 10>{"-", "+", "[m1", "(m2", "[m3", "[", "(", "[m2",
                                                   "[1", "(aaa"});
  }

  std::string any_bound() {
    return one_of(std::array<std::string_view, 16>{"-inf", "+inf", "0", "1", "(1", "(2", "3", "-",
                                                   "+", "[m1", "(m2", "[m3", "[", "(", "5", "100"});
  }

  std::string value(std::string_view name) {
    auto is = [&](std::initializer_list<std::string_view> names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (is({"key", "key1", "key2", "newkey", "destkey", "sourcekey", "destination", "source", "dst",
            "src"})) {
      return key();
    }
    if (is({"min", "max", "start", "stop", "end"})) return bound();
    if (is({"decrement"})) return integer(-5, 20);
    if (is({"score", "weight", "increment"})) return draw_(3) != 0 ? integer(-5, 20) : number();
    if (spec_.group == CommandGroup::kBitmap && is({"value"})) return integer(0, 2);
    if (is({"seconds"})) return integer(-1, 60);
    if (is({"milliseconds"})) return integer(-10, 60000);
    if (is({"unix-time-seconds"})) return std::to_string(now_ms_ / 1000 - 1 + draw_(60));
    if (is({"unix-time-milliseconds"})) return std::to_string(now_ms_ - 100 + draw_(60000));
    if (is({"timeout"})) return one_of(std::array<std::string_view, 3>{"0", "0.01", "-1"});
    if (is({"offset", "index", "rank", "count", "limit", "len", "num-matches", "min-match-len",
            "index1", "index2"})) {
      return integer(-3, 30);
    }
    if (is({"longitude", "latitude"})) return std::to_string(static_cast<int>(draw_(200)) - 100);
    if (is({"radius", "width", "height"})) return integer(-1, 5000);
    if (is({"bit"})) return integer(0, 2);
    if (is({"cursor"})) return integer(0, 2);
    if (is({"db", "destination-db"})) return integer(0, 2);
    if (is({"pattern"})) {
      return one_of(std::array<std::string_view, 5>{"*", "m*", "k?:*", "[m1", "*1*"});
    }
    if (is({"encoding"})) {
      return one_of(
          std::array<std::string_view, 8>{"i8", "u8", "u4", "i64", "u63", "i1", "u64", "i5"});
    }
    if (is({"type"})) {
      return one_of(std::array<std::string_view, 5>{"string", "list", "set", "zset", "hash"});
    }
    if (is({"subcommand"})) {
      return one_of(std::array<std::string_view, 4>{"GETREG", "DECODE", "ENCODING", "TODENSE"});
    }
    return element();
  }

  enum class Bounds : uint8_t { kUndecided, kRank, kScore, kText };

  const CommandSpec& spec_;
  Bounds bounds_ = Bounds::kUndecided;
  int64_t now_ms_;
  const Draw& draw_;
  std::vector<std::string> tokens_;
  std::vector<std::string> words_;
  size_t counted_at_ = 0;
};

}  // namespace dyno
