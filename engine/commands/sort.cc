// SPDX-License-Identifier: Apache-2.0
//
// SORT and SORT_RO: the elements of a list, set or sorted set in another order, or what keys and
// hash fields named after the elements hold.
//
// A pattern of BY or GET is "#" (the element), or a text whose first "*" stands for the element and
// that names a string, or with "->field" behind it a hash. The keys that patterns name are known
// only while the command runs, so with a pattern every slot is locked; without, those of its own
// keys.
//
// Texts are compared as bytes: there is no locale. Equal elements keep the order that they had.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <string>
#include <vector>

#include "engine/command.h"
#include "engine/context.h"
#include "engine/executor.h"
#include "engine/types/hash.h"
#include "engine/types/list.h"
#include "engine/types/set.h"
#include "engine/types/string.h"
#include "engine/types/zset.h"
#include "protocol/check.h"
#include "protocol/words.h"

namespace dyno {
namespace {

// Looks up what a pattern names for an element. The answer is valid until the next look-up.
class Pattern {
 public:
  explicit Pattern(std::string_view text) : is_element_(text == "#") {
    size_t star = text.find('*');
    names_nothing_ = star == std::string_view::npos;
    if (names_nothing_) return;
    prefix_ = text.substr(0, star);
    suffix_ = text.substr(star + 1);
    size_t arrow = suffix_.find("->");
    // An arrow with nothing behind it is part of the key's name.
    if (arrow == std::string_view::npos || arrow + 2 == suffix_.size()) return;
    field_ = suffix_.substr(arrow + 2);
    suffix_ = suffix_.substr(0, arrow);
  }

  // False with `value` untouched when there is no such key or field, or it is of another type.
  bool look_up(Context& c, std::string_view element, std::string_view* value) {
    if (is_element_) {
      *value = element;
      return true;
    }
    if (names_nothing_) return false;
    DYNO_CHECK(c.holds_all);
    name_key(element);
    Key key(c, name_, Key::Use::kRead);
    if (field_.empty()) {
      if (!key.is(Type::kString)) return false;
      *value = String(key).view(&text_buffer_);
      return true;
    }
    if (!key.is(Type::kHash)) return false;
    auto found = Hash(key).find(field_);
    if (!found) return false;
    *value = found.value().view(&item_buffer_);
    return true;
  }

  // Whether the value that look_up() would read is on disk; asks for it.
  bool is_cold(Context& c, std::string_view element) {
    if (is_element_ || names_nothing_) return false;
    name_key(element);
    return c.executor.cold_gate()->holds_key(c, name_, c.db);
  }

 private:
  void name_key(std::string_view element) { name_.assign(prefix_).append(element).append(suffix_); }

  bool is_element_;
  bool names_nothing_;
  std::string_view prefix_;
  std::string_view suffix_;
  std::string_view field_;
  std::string name_;
  String::Buffer text_buffer_;
  packed::Item::Buffer item_buffer_;
};

struct Options {
  bool descending = false;
  bool by_text = false;
  bool keeps_order = false;  // BY a text without a star.
  int64_t skipped = 0;
  int64_t limit = -1;
  std::vector<Pattern> by;  // At most one.
  std::vector<Pattern> get;
  std::string_view destination;
  bool has_destination = false;
};

bool read_limit(Context& c, std::string_view text, int64_t* value) {
  auto parsed = parse_int64(text);
  if (!parsed) {
    c.error(errors::kNotInteger);
    return false;
  }
  *value = *parsed;
  return true;
}

bool read_options(Context& c, bool may_store, Options* options) {
  for (size_t i = 2; i < c.args.size(); ++i) {
    std::string_view word = c.args[i];
    size_t left = c.args.size() - i - 1;
    if (is_word(word, "ASC")) {
      options->descending = false;
    } else if (is_word(word, "DESC")) {
      options->descending = true;
    } else if (is_word(word, "ALPHA")) {
      options->by_text = true;
    } else if (is_word(word, "LIMIT") && left >= 2) {
      if (!read_limit(c, c.args[i + 1], &options->skipped) ||
          !read_limit(c, c.args[i + 2], &options->limit)) {
        return false;
      }
      i += 2;
    } else if (is_word(word, "STORE") && left >= 1 && may_store) {
      options->destination = c.args[++i];
      options->has_destination = true;
    } else if (is_word(word, "BY") && left >= 1) {
      std::string_view pattern = c.args[++i];
      options->keeps_order |= pattern.find('*') == std::string_view::npos;
      options->by.assign(1, Pattern(pattern));
    } else if (is_word(word, "GET") && left >= 1) {
      options->get.emplace_back(c.args[++i]);
    } else {
      c.error(errors::kSyntax);
      return false;
    }
  }
  return true;
}

// An element and what it is sorted by.
struct Row {
  std::string_view element;
  double score = 0;
  std::string_view weight;  // With BY and ALPHA.
  bool has_weight = false;
  size_t index = 0;  // Where it stood.
};

// The elements of a collection, and the texts that have no other place to be.
struct Rows {
  std::vector<Row> rows;
  std::deque<std::string> texts;

  std::string_view keep(std::string_view text) { return texts.emplace_back(text); }
  void add(std::string_view element) { rows.push_back({element}); }
  void add(const packed::Item& item) {
    packed::Item::Buffer buffer;
    std::string_view text = item.view(&buffer);
    add(text.data() == buffer.bytes ? keep(text) : text);
  }
};

void load(Key& key, Rows* rows) {
  if (!key.exists()) return;
  if (key.type() == Type::kList) {
    List list(key);
    list.for_each(0, list.size(), [&](size_t, const packed::Item& item) {
      rows->add(item);
      return true;
    });
  } else if (key.type() == Type::kSet) {
    Set(key).members().for_each([&](const packed::Item& item) {
      rows->add(item);
      return true;
    });
  } else {
    ZSetView set(key);
    set.for_each(0, set.size(), false, [&](std::string_view member, double) {
      // Members of packed sets may be integers, whose text lives only during the visit.
      rows->add(set.is_large() ? member : rows->keep(member));
      return true;
    });
  }
}

// A number as strtod reads it, which must reach the end of the text.
bool read_score(std::string_view text, double* score) {
  int64_t integer;
  if (is_canonical_int64(text, &integer)) {
    *score = static_cast<double>(integer);
    return true;
  }
  std::string terminated(text);
  char* end;
  errno = 0;
  *score = std::strtod(terminated.c_str(), &end);
  return *end == 0 && errno != ERANGE && !std::isnan(*score);
}

// Finds what each element is sorted by; false when something is no number.
// True when values that the patterns name are on disk: the command is to be tried again.
bool lacks_values(Context& c, std::span<Pattern> patterns, std::span<const Row> rows) {
  if (c.executor.cold_gate() == nullptr) return false;
  bool lacks = false;
  for (const Row& row : rows) {
    for (Pattern& pattern : patterns) lacks |= pattern.is_cold(c, row.element);
  }
  if (lacks && c.in_exec && !c.failed) {
    // What ran before it in the transaction cannot run twice.
    c.session.awaits_disk = false;
    c.error("ERR SORT in a transaction needs values that are on disk: read them first");
  }
  return lacks;
}

bool weigh(Context& c, Options* options, Rows* rows) {
  bool all_numbers = true;
  bool has_pattern = !options->by.empty();
  for (Row& row : rows->rows) {
    std::string_view weight = row.element;
    if (has_pattern && !options->by[0].look_up(c, row.element, &weight)) continue;
    if (!options->by_text) {
      all_numbers &= read_score(weight, &row.score);
    } else if (has_pattern) {
      row.weight = rows->keep(weight);
      row.has_weight = true;
    }
  }
  return all_numbers;
}

int compare(const Row& a, const Row& b, const Options& options) {
  if (!options.by_text) {
    if (a.score != b.score) return a.score < b.score ? -1 : 1;
    return a.element.compare(b.element);
  }
  if (options.by.empty()) return a.element.compare(b.element);
  if (!a.has_weight || !b.has_weight) return static_cast<int>(a.has_weight) - b.has_weight;
  return a.weight.compare(b.weight);
}

// Puts the rows in order, at least those of [first, first + count).
void order(const Options& options, size_t first, size_t count, std::vector<Row>* rows) {
  for (size_t i = 0; i < rows->size(); ++i) (*rows)[i].index = i;
  auto before = [&](const Row& a, const Row& b) {
    int order = compare(a, b, options);
    if (order == 0) return a.index < b.index;
    return options.descending ? order > 0 : order < 0;
  };
  if (first + count < rows->size()) {
    std::partial_sort(rows->begin(), rows->begin() + static_cast<long>(first + count), rows->end(),
                      before);
  } else {
    std::sort(rows->begin(), rows->end(), before);
  }
}

void reply_rows(Context& c, Options* options, std::span<const Row> rows) {
  c.reply.array(rows.size() * std::max<size_t>(options->get.size(), 1));
  for (const Row& row : rows) {
    if (options->get.empty()) c.reply.bulk(row.element);
    for (Pattern& pattern : options->get) {
      std::string_view value;
      pattern.look_up(c, row.element, &value) ? c.reply.bulk(value) : c.reply.null();
    }
  }
}

void store_rows(Context& c, Options* options, std::span<const Row> rows) {
  // The destination may be the list that is sorted, so its elements are copied first.
  std::vector<std::string> values;
  for (const Row& row : rows) {
    if (options->get.empty()) values.emplace_back(row.element);
    for (Pattern& pattern : options->get) {
      std::string_view value;
      pattern.look_up(c, row.element, &value);
      values.emplace_back(value);
    }
  }
  Key key(c, options->destination, Key::Use::kWrite);
  if (values.empty()) {
    if (key.exists()) {
      key.erase();
      key.changed();
    }
  } else {
    key.begin_anew();
    std::vector<std::string_view> views(values.begin(), values.end());
    List(key).push(ListEnd::kTail, views);
    key.changed();
  }
  c.reply.integer(static_cast<int64_t>(values.size()));
}

void sort_with(Context& c, bool may_store) {
  Options options;
  if (!read_options(c, may_store, &options)) return;
  Key key(c, c.args[1], Key::Use::kRead);
  if (key.exists() && (key.type() == Type::kString || key.type() == Type::kHash)) {
    return c.error(errors::kWrongType);
  }
  if (options.keeps_order && options.has_destination && key.is(Type::kSet)) {
    // A set has no order of its own that a list could take over.
    options.keeps_order = false;
    options.by_text = true;
    options.by.clear();
  }
  Rows rows;
  load(key, &rows);
  auto size = static_cast<int64_t>(rows.rows.size());
  int64_t first = std::clamp<int64_t>(options.skipped, 0, size);
  int64_t count = size - first;
  if (options.limit >= 0) count = std::min(count, options.limit);
  auto from = static_cast<size_t>(first);
  auto wanted = static_cast<size_t>(count);
  if (!options.keeps_order) {
    if (lacks_values(c, options.by, rows.rows)) return;
    if (!weigh(c, &options, &rows)) {
      return c.error("ERR One or more scores can't be converted into double");
    }
    order(options, from, wanted, &rows.rows);
  } else if (options.descending && !key.is(Type::kSet)) {
    std::reverse(rows.rows.begin(), rows.rows.end());
  }
  std::span<const Row> chosen = std::span(rows.rows).subspan(from, wanted);
  if (lacks_values(c, options.get, chosen)) return;
  options.has_destination ? store_rows(c, &options, chosen) : reply_rows(c, &options, chosen);
}

void sort(Context& c) {
  sort_with(c, true);
}
void sort_ro(Context& c) {
  sort_with(c, false);
}

// The key that is sorted, and the last destination of STORE.
bool find_sort_keys(Args args, std::vector<int>* indexes) {
  indexes->push_back(1);
  int destination = 0;
  for (size_t i = 2; i < args.size(); ++i) {
    if (is_word(args[i], "LIMIT")) {
      i += 2;
    } else if (is_word(args[i], "GET") || is_word(args[i], "BY")) {
      ++i;
    } else if (is_word(args[i], "STORE") && i + 1 < args.size()) {
      destination = static_cast<int>(++i);
    }
  }
  if (destination != 0) indexes->push_back(destination);
  return true;
}

bool find_sorted_key(Args, std::vector<int>* indexes) {
  indexes->push_back(1);
  return true;
}

bool has_pattern(Args args) {
  for (size_t i = 3; i < args.size(); ++i) {
    if ((is_word(args[i - 1], "BY") || is_word(args[i - 1], "GET")) &&
        args[i].find('*') != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

constexpr std::string_view kComplexity =
    "O(N+M*log(M)) with N the number of elements and M the number of those answered";

// clang-format off
const CommandSpec kRows[] = {
    {"SORT", -2, kWrite | kDenyOom | kMovableKeys, {1, 1, 1}, CommandGroup::kGeneric, "1.0.0",
     kComplexity,
     "Answers or stores the elements of a list, set or sorted set in order. With a pattern it "
     "holds up every other command of the node while it runs.",
     "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] "
     "[STORE destination]", sort, find_sort_keys, has_pattern},
    {"SORT_RO", -2, kReadonly | kMovableKeys, {1, 1, 1}, CommandGroup::kGeneric, "7.0.0",
     kComplexity,
     "Answers the elements of a list, set or sorted set in order. With a pattern it holds up every "
     "other command of the node while it runs.",
     "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
     sort_ro, find_sorted_key, has_pattern},
};
// clang-format on

}  // namespace

const std::span<const CommandSpec> kSortCommands{kRows};

}  // namespace dyno
