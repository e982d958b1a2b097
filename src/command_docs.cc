// SPDX-License-Identifier: Apache-2.0
#include "src/command_docs.h"

#include <algorithm>

#include "protocol/check.h"

namespace dyno {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool is_token(std::string_view word) {
  return std::none_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

std::string type_of(std::string_view name) {
  if (name.starts_with("key") || name.starts_with("newkey") || name.starts_with("destination") ||
      name == "source") {
    return "key";
  }
  if (contains(name, "pattern")) return "pattern";
  if (contains(name, "unix-time")) return "unix-time";
  for (auto part : {"score", "longitude", "latitude", "radius", "width", "height", "weight"}) {
    if (contains(name, part)) return "double";
  }
  for (auto part : {"seconds", "count", "index", "offset", "start", "stop", "end", "num", "cursor",
                    "timeout", "rank", "len", "limit", "db", "bit", "client-id"}) {
    if (contains(name, part)) return "integer";
  }
  return "string";
}

std::vector<std::string> words_of(std::string_view syntax) {
  std::vector<std::string> words;
  std::string word;
  for (size_t i = 0; i <= syntax.size(); ++i) {
    char c = i < syntax.size() ? syntax[i] : ' ';
    bool special = std::string_view("[]<>()|").find(c) != std::string_view::npos;
    if (c != ' ' && !special) {
      word += c;
      continue;
    }
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
    if (special) words.emplace_back(1, c);
  }
  return words;
}

class SyntaxParser {
 public:
  explicit SyntaxParser(std::string_view syntax) : words_(words_of(syntax)) {}

  // The whole syntax; a bar outside of all groups makes one choice of it.
  std::vector<ArgumentDoc> all() {
    std::vector<std::vector<ArgumentDoc>> options = {sequence()};
    while (at_ < words_.size() && words_[at_] == "|") {
      ++at_;
      options.push_back(sequence());
    }
    DYNO_CHECK(at_ == words_.size());
    if (options.size() == 1) return std::move(options[0]);
    return {one_of(std::move(options))};
  }

 private:
  [[nodiscard]] bool at_end() const {
    if (at_ == words_.size()) return true;
    const std::string& word = words_[at_];
    return word == "]" || word == ">" || word == ")" || word == "|";
  }

  std::vector<ArgumentDoc> sequence() {
    std::vector<ArgumentDoc> items;
    while (!at_end()) {
      const std::string& word = words_[at_++];
      if (word == "[") {
        repeats_ = false;
        ArgumentDoc inner = choice("]");
        if (repeats_) {
          repeat(&items, inner);
        } else {
          inner.optional = true;
          items.push_back(std::move(inner));
        }
        repeats_ = false;
      } else if (word == "<" || word == "(") {
        items.push_back(choice(word == "<" ? ">" : ")"));
      } else if (word == "...") {
        repeats_ = true;
      } else {
        items.push_back(word_item(word));
      }
    }
    return items;
  }

  // A token takes what follows it as its argument, up to the end of the sequence.
  ArgumentDoc word_item(const std::string& word) {
    if (!is_token(word)) return {word, type_of(word), "", false, false, {}};
    std::string name = word;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    ArgumentDoc item{name, "pure-token", word, false, false, {}};
    std::vector<ArgumentDoc> following;
    while (!at_end() && !is_token(words_[at_]) && words_[at_] != "...") {
      following.push_back({words_[at_], type_of(words_[at_]), "", false, false, {}});
      ++at_;
    }
    if (following.size() == 1) {
      item = following[0];
      item.token = word;
    } else if (following.size() > 1) {
      item.type = "block";
      item.arguments = std::move(following);
    }
    return item;
  }

  ArgumentDoc choice(std::string_view closing) {
    std::vector<std::vector<ArgumentDoc>> options;
    for (;;) {
      options.push_back(sequence());
      DYNO_CHECK(at_ < words_.size());
      const std::string& word = words_[at_++];
      if (word == closing) break;
      DYNO_CHECK(word == "|");
    }
    if (options.size() > 1) return one_of(std::move(options));
    return options[0].size() == 1 ? std::move(options[0][0]) : block(std::move(options[0]));
  }

  static ArgumentDoc one_of(std::vector<std::vector<ArgumentDoc>> options) {
    ArgumentDoc one{"", "oneof", "", false, false, {}};
    for (std::vector<ArgumentDoc>& items : options) {
      one.arguments.push_back(items.size() == 1 ? std::move(items[0]) : block(std::move(items)));
      if (!one.name.empty()) one.name += "-or-";
      one.name += one.arguments.back().name;
    }
    return one;
  }

  static ArgumentDoc block(std::vector<ArgumentDoc> items) {
    ArgumentDoc made{"", "block", "", false, false, std::move(items)};
    for (const ArgumentDoc& item : made.arguments) {
      if (!made.name.empty()) made.name += "-";
      made.name += item.name;
    }
    return made;
  }

  // "x y [x y ...]": the items just read repeat; without them in front, "[x ...]" is optional too.
  static void repeat(std::vector<ArgumentDoc>* items, const ArgumentDoc& inner) {
    size_t size = inner.type == "block" && inner.token.empty() ? inner.arguments.size() : 1;
    bool same = items->size() >= size;
    for (size_t i = 0; same && i < size; ++i) {
      const ArgumentDoc& expected = size == 1 ? inner : inner.arguments[i];
      same = (*items)[items->size() - size + i].name == expected.name;
    }
    ArgumentDoc repeated = inner;
    repeated.multiple = true;
    if (same) {
      items->resize(items->size() - size);
    } else {
      repeated.optional = true;
    }
    items->push_back(std::move(repeated));
  }

  std::vector<std::string> words_;
  size_t at_ = 0;
  bool repeats_ = false;
};

}  // namespace

std::vector<ArgumentDoc> parse_syntax(std::string_view syntax) {
  return SyntaxParser(syntax).all();
}

}  // namespace dyno
