// SPDX-License-Identifier: Apache-2.0
// Splitting, compiling and rendering of command templates.
#include "bench/command_template.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <mutex>

namespace dyno::bench {

namespace {

constexpr unsigned kKeyDigits = 12;
constexpr size_t kPoolSlack = 64 * 1024;

struct DigitPairs {
  std::array<char, 200> text{};
  constexpr DigitPairs() {
    for (unsigned i = 0; i < 100; ++i) {
      text[2 * i] = static_cast<char>('0' + i / 10);
      text[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
  }
};
constexpr DigitPairs kPairs;

void write_twelve(char* at, uint64_t value) {
  auto high = static_cast<uint32_t>(value / 1'000'000 % 1'000'000);
  auto low = static_cast<uint32_t>(value % 1'000'000);
  for (int pair = 2; pair >= 0; --pair) {
    std::memcpy(at + 2 * pair, &kPairs.text[2 * (high % 100)], 2);
    std::memcpy(at + 6 + 2 * pair, &kPairs.text[2 * (low % 100)], 2);
    high /= 100;
    low /= 100;
  }
}

unsigned digits_of(uint64_t value) {
  unsigned digits = 1;
  while (value >= 10) {
    value /= 10;
    ++digits;
  }
  return digits;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string_view data_pool(size_t bytes) {
  static std::mutex lock;
  static std::vector<std::unique_ptr<std::string>> pools;  // older ones stay valid for their users
  const std::lock_guard guard(lock);
  if (pools.empty() || pools.back()->size() < bytes + kPoolSlack) {
    auto pool = std::make_unique<std::string>();
    pool->resize(bytes + kPoolSlack);
    Random random(0x64796e6f);
    for (char& c : *pool) {
      c = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[random.next() & 63];
    }
    pools.push_back(std::move(pool));
  }
  return *pools.back();
}

std::optional<std::vector<std::string>> CommandTemplate::split(std::string_view command,
                                                               std::string& why) {
  std::vector<std::string> words;
  size_t i = 0;
  while (true) {
    while (i < command.size() && (command[i] == ' ' || command[i] == '\t')) ++i;
    if (i == command.size()) return words;
    std::string word;
    char quote = 0;
    for (; i < command.size(); ++i) {
      const char c = command[i];
      if (quote == 0 && (c == ' ' || c == '\t')) break;
      if (quote == 0 && (c == '"' || c == '\'')) {
        quote = c;
      } else if (c == quote) {
        quote = 0;
      } else if (quote == '"' && c == '\\' && i + 1 < command.size()) {
        const char next = command[++i];
        if (next == 'x' && i + 2 < command.size() && hex_digit(command[i + 1]) >= 0 &&
            hex_digit(command[i + 2]) >= 0) {
          word += static_cast<char>(hex_digit(command[i + 1]) * 16 + hex_digit(command[i + 2]));
          i += 2;
        } else {
          word += next == 'n' ? '\n' : next == 'r' ? '\r' : next == 't' ? '\t' : next;
        }
      } else {
        word += c;
      }
    }
    if (quote != 0) {
      why = "unbalanced quote in '" + std::string(command) + "'";
      return std::nullopt;
    }
    words.push_back(std::move(word));
  }
}

std::optional<CommandTemplate> CommandTemplate::compile(std::string_view command,
                                                        const TemplateSettings& settings,
                                                        std::string& why) {
  const auto words = split(command, why);
  if (!words) return std::nullopt;
  return compile(*words, settings, why);
}

std::optional<CommandTemplate> CommandTemplate::compile(const std::vector<std::string>& words,
                                                        const TemplateSettings& settings,
                                                        std::string& why) {
  if (words.empty()) {
    why = "an empty command";
    return std::nullopt;
  }
  CommandTemplate result;
  result.value_size_ = settings.value_size;
  result.random_data_ = settings.random_data;
  result.group_ = settings.group;
  result.ttl_low_s_ = settings.ttl_low_s;
  result.ttl_high_s_ = settings.ttl_high_s;
  result.verb_ = words[0];
  result.segments_.push_back({});
  result.frame_ = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    if (!result.add_argument(word, settings, why)) return std::nullopt;
  }
  result.close_segment(Tail::kNone, 0);
  return result;
}

CommandTemplate CommandTemplate::inline_line(std::string_view line) {
  CommandTemplate result;
  result.verb_ = line;
  result.frame_ = std::string(line) + "\r\n";
  result.segments_.push_back({});
  result.close_segment(Tail::kNone, 0);
  return result;
}

void CommandTemplate::close_segment(Tail tail, uint32_t fixed_bytes) {
  Segment& open = segments_.back();
  open.end = static_cast<uint32_t>(frame_.size());
  open.last_spot = static_cast<uint32_t>(spots_.size());
  open.tail = tail;
  open.fixed_bytes = fixed_bytes;
  if (tail == Tail::kNone) return;
  Segment next;
  next.begin = open.end;
  next.first_spot = open.last_spot;
  segments_.push_back(next);
}

bool CommandTemplate::add_argument(const std::string& word, const TemplateSettings& settings,
                                   std::string& why) {
  if (word == "__ttl__") {
    if (ttl_high_s_ == 0) {
      why = "__ttl__ needs --expire SECONDS";
      return false;
    }
    close_segment(Tail::kTtl, 0);
    return true;
  }
  std::vector<Piece> pieces;
  for (size_t i = 0; i < word.size();) {
    const size_t begin = word.find("__", i);
    const size_t end = begin == std::string::npos ? begin : word.find("__", begin + 2);
    if (end == std::string::npos) {
      pieces.push_back({word.substr(i), std::nullopt, false});
      break;
    }
    if (begin > i) pieces.push_back({word.substr(i, begin - i), std::nullopt, false});
    if (!add_placeholder(word.substr(begin + 2, end - begin - 2), settings, pieces, why)) {
      return false;
    }
    i = end + 2;
  }
  size_t bytes = 0;
  size_t varying = 0;
  for (const Piece& piece : pieces) {
    bytes += piece.text.size();
    varying += piece.data ? 1 : 0;
  }
  if (varying > 1) {
    why = "an argument takes one __data__ of varying size only";
    return false;
  }
  if (varying == 0) {
    frame_ += "$" + std::to_string(bytes) + "\r\n";
  } else {
    close_segment(Tail::kHeader, static_cast<uint32_t>(bytes));
  }
  for (Piece& piece : pieces) {
    if (piece.spot) {
      piece.spot->at = static_cast<uint32_t>(frame_.size());
      spots_.push_back(*piece.spot);
    }
    frame_ += piece.text;
    if (piece.data) close_segment(Tail::kData, 0);
  }
  frame_ += "\r\n";
  return true;
}

bool CommandTemplate::add_placeholder(std::string_view name, const TemplateSettings& settings,
                                      std::vector<Piece>& pieces, std::string& why) {
  const auto spot = [&](Patch patch, unsigned width) {
    const Spot place{0, static_cast<uint8_t>(width), patch};
    pieces.push_back({std::string(width, '0'), place, false});
    if (patch != Patch::kDrawn && patch != Patch::kInt) uses_key_ = true;
  };
  if (name == "key") {
    pieces.push_back({settings.key_prefix, std::nullopt, false});
    spot(first_key_taken_ ? Patch::kDrawn : Patch::kFirst, kKeyDigits);
    first_key_taken_ = true;
  } else if (name == "id") {
    spot(Patch::kFirst, kKeyDigits);
  } else if (name == "rand_int") {
    spot(Patch::kDrawn, kKeyDigits);
  } else if (name == "number") {
    spot(Patch::kNumber, 10);
  } else if (name == "group") {
    spot(Patch::kGroup, kKeyDigits);
  } else if (name == "member") {
    spot(Patch::kMember, digits_of(settings.group - 1));
  } else if (name == "int") {
    spot(Patch::kInt, 9);
  } else if (name == "deadline") {
    pieces.push_back({std::to_string(settings.deadline_unix_ms), std::nullopt, false});
  } else if (name == "data" && settings.value_size.fixed() && !settings.random_data) {
    const uint32_t size = settings.value_size.largest();
    pieces.push_back({std::string(data_pool(size).substr(0, size)), std::nullopt, false});
  } else if (name == "data") {
    pool_ = data_pool(settings.value_size.largest());
    pieces.push_back({{}, std::nullopt, true});
  } else if (name == "ttl") {
    why = "__ttl__ must be an argument of its own";
  } else {
    why = "__" + std::string(name) + "__ is no placeholder; see --help workload";
  }
  return why.empty();
}

void CommandTemplate::patch(char* at, const Spot& spot, uint64_t key, RenderSource& source) const {
  switch (spot.patch) {
    case Patch::kFirst:
      write_twelve(at, key);
      break;
    case Patch::kDrawn:
      write_twelve(at, source.keys.draw(source.random, source.population));
      break;
    case Patch::kGroup:
      write_twelve(at, key / group_);
      break;
    case Patch::kMember:
      write_digits(at, spot.width, key % group_);
      break;
    case Patch::kNumber:
      write_digits(at, spot.width, 1'000'000'000 + key % 9'000'000'000);
      break;
    case Patch::kInt:
      write_digits(at, spot.width, 100'000'000 + source.random.below(900'000'000));
      break;
  }
}

void CommandTemplate::render(OutBuffer& out, uint64_t key, RenderSource& source) const {
  uint32_t size = 0;  // of this command's value: one draw serves header and body
  for (const Segment& segment : segments_) {
    const size_t bytes = segment.end - segment.begin;
    char* at = out.room(bytes + 32);
    std::memcpy(at, frame_.data() + segment.begin, bytes);
    for (uint32_t i = segment.first_spot; i < segment.last_spot; ++i) {
      patch(at + spots_[i].at - segment.begin, spots_[i], key, source);
    }
    out.commit(bytes);
    switch (segment.tail) {
      case Tail::kNone:
        break;
      case Tail::kHeader: {
        size = value_size_.draw(source.random);
        at += bytes;
        char* const begin = at;
        *at++ = '$';
        at = std::to_chars(at, at + 12, segment.fixed_bytes + size).ptr;
        *at++ = '\r';
        *at++ = '\n';
        out.commit(static_cast<size_t>(at - begin));
        break;
      }
      case Tail::kData: {
        const size_t from = random_data_ ? source.random.below(kPoolSlack) : 0;
        out.append(pool_.substr(from, size));
        break;
      }
      case Tail::kTtl: {
        const uint64_t ttl =
            ttl_low_s_ + source.random.below(uint64_t{ttl_high_s_} - ttl_low_s_ + 1);
        out.append("$" + std::to_string(digits_of(ttl)) + "\r\n" + std::to_string(ttl) + "\r\n");
        break;
      }
    }
  }
}

}  // namespace dyno::bench
