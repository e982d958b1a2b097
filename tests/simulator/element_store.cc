// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/element_store.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "protocol/check.h"

namespace dyno::simulator {
namespace {

void put(std::string* out, std::string_view text) {
  *out += text;
  *out += '\0';
}

bool get(std::string_view* in, std::string* text) {
  size_t end = in->find('\0');
  if (end == std::string_view::npos) return false;
  *text = in->substr(0, end);
  in->remove_prefix(end + 1);
  return true;
}

template <class Number>
bool get_number(std::string_view* in, Number* number) {
  if (in->size() < sizeof *number) return false;
  std::memcpy(number, in->data(), sizeof *number);
  in->remove_prefix(sizeof *number);
  return true;
}

Version hash_of(const std::string& key, const std::string& element, Stamp stamp, bool alive) {
  std::string bytes = key + '\0' + element + '\0' + std::to_string(stamp) + (alive ? "+" : "-");
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

void add(Version* sum, const Version& term) {
  sum->low += term.low;
  sum->high += term.high;
}

uint64_t key_hash(const std::string& key) {
  return XXH3_64bits(key.data(), key.size());
}

}  // namespace

std::string ElementStore::command_of(const Op& op) {
  std::string command(1, static_cast<char>('0' + static_cast<int>(op.kind)));
  put(&command, op.key);
  put(&command, op.element);
  put(&command, op.value);
  return command + std::to_string(op.id);
}

void ElementStore::write_frame(const std::vector<NamedCell>& cells, std::string* out) {
  std::string body;
  for (const NamedCell& named : cells) {
    put(&body, named.key);
    put(&body, named.element);
    body.append(reinterpret_cast<const char*>(&named.cell.stamp), sizeof named.cell.stamp);
    body += named.cell.alive ? '\1' : '\0';
    put(&body, named.cell.value);
  }
  auto size = static_cast<uint32_t>(body.size());
  out->append(reinterpret_cast<const char*>(&size), sizeof size);
  *out += body;
}

bool ElementStore::read_frames(std::string_view frames, std::vector<NamedCell>* cells) {
  while (!frames.empty()) {
    uint32_t size = 0;
    if (!get_number(&frames, &size) || frames.size() < size) return false;
    std::string_view body = frames.substr(0, size);
    frames.remove_prefix(size);
    while (!body.empty()) {
      NamedCell named;
      uint8_t alive = 0;
      if (!get(&body, &named.key) || !get(&body, &named.element) ||
          !get_number(&body, &named.cell.stamp) || !get_number(&body, &alive) ||
          !get(&body, &named.cell.value)) {
        return false;
      }
      named.cell.alive = alive != 0;
      cells->push_back(std::move(named));
    }
  }
  return true;
}

void ElementStore::set(const Op& op, const std::string& element, bool alive, Stamp stamp,
                       std::vector<NamedCell>* cells) {
  NamedCell named{op.key, element, {stamp, alive, alive ? op.value : ""}};
  ledger_->add({op.id, op.key, element, stamp, alive, named.cell.value, self_, incarnation_});
  merge(named, nullptr);
  cells->push_back(std::move(named));
}

std::string ElementStore::run(const std::string& command, std::vector<Frame>* frames) {
  Op op;
  std::string_view rest = command;
  op.kind = static_cast<OpKind>(rest.front() - '0');
  rest.remove_prefix(1);
  DYNO_CHECK(get(&rest, &op.key) && get(&rest, &op.element) && get(&rest, &op.value));
  op.id = std::stoull(std::string(rest));
  const Cell* found = find(op.key, op.element);
  std::vector<NamedCell> cells;
  switch (op.kind) {
    case OpKind::kGet:
      if (found == nullptr) return "+0 0 ";
      return "+" + std::to_string(found->stamp) + (found->alive ? " 1 " : " 0 ") + found->value;
    case OpKind::kPutNew:
      if (found != nullptr && found->alive) return "+0 0 exists";
      [[fallthrough]];
    case OpKind::kPut:
      set(op, op.element, true, clock_.draw(unix_ms_), &cells);
      break;
    case OpKind::kRemove:
      set(op, op.element, false, clock_.draw(unix_ms_), &cells);
      break;
    case OpKind::kRemoveAll: {
      Stamp stamp = clock_.draw(unix_ms_);
      std::vector<std::string> names;
      if (auto elements = keys_.find(op.key); elements != keys_.end()) {
        for (const auto& [name, cell] : elements->second) {
          if (cell.alive) names.push_back(name);
        }
      }
      for (const std::string& name : names) set(op, name, false, stamp, &cells);
      break;
    }
  }
  if (cells.empty()) return "+0 0 nothing";
  Frame frame;
  frame.stamp = cells.front().cell.stamp;
  frame.tokens = {token_of(op.key, 0)};
  write_frame(cells, &frame.bytes);
  frames->push_back(std::move(frame));
  return "+" + std::to_string(cells.front().cell.stamp) + " 1 ";
}

void ElementStore::merge(const NamedCell& named, Stamp* dominated) {
  Token token = token_of(named.key, 0);
  if (!topology_.owns(self_, token)) return;
  auto [key, is_new] = keys_.try_emplace(named.key);
  if (is_new) slots_[slot_of(token)].push_back(named.key);
  auto [place, added] = key->second.try_emplace(named.element, named.cell);
  if (added) return;
  if (place->second.stamp > named.cell.stamp) {
    if (dominated != nullptr) *dominated = std::max(*dominated, place->second.stamp);
  } else {
    place->second = named.cell;
  }
}

Store::Applied ElementStore::apply(std::string_view frames) {
  Applied applied;
  std::vector<NamedCell> cells;
  if (!read_frames(frames, &cells)) {
    applied.refusal = Refusal::kBroken;
    return applied;
  }
  for (const NamedCell& named : cells) {
    if (HybridClock::is_too_far_ahead(named.cell.stamp, unix_ms_)) {
      applied.refusal = Refusal::kTooEarly;
      return applied;
    }
  }
  for (const NamedCell& named : cells) {
    DYNO_CHECK(clock_.observe(named.cell.stamp, unix_ms_));
    merge(named, &applied.dominated);
  }
  return applied;
}

void ElementStore::collect(Stamp horizon) {
  for (auto& [name, elements] : keys_) {
    std::erase_if(elements, [horizon](const auto& entry) {
      return !entry.second.alive && entry.second.stamp <= horizon;
    });
  }
}

const ElementStore::Cell* ElementStore::find(const std::string& key,
                                             const std::string& element) const {
  auto elements = keys_.find(key);
  if (elements == keys_.end()) return nullptr;
  auto cell = elements->second.find(element);
  return cell == elements->second.end() ? nullptr : &cell->second;
}

size_t ElementStore::removed_count() const {
  size_t count = 0;
  for (const auto& [name, elements] : keys_) {
    for (const auto& [element, cell] : elements) count += cell.alive ? 0 : 1;
  }
  return count;
}

Version ElementStore::version(const RequestKey& key) {
  Version sum;
  auto found = keys_.find(key.name);
  if (found == keys_.end()) return sum;
  for (const auto& [element, cell] : found->second) {
    add(&sum, hash_of(key.name, element, cell.stamp, cell.alive));
  }
  return sum;
}

void ElementStore::export_key(const RequestKey& key, std::string* frames) {
  auto found = keys_.find(key.name);
  if (found == keys_.end()) return;
  std::vector<NamedCell> cells;
  for (const auto& [element, cell] : found->second) cells.push_back({key.name, element, cell});
  if (!cells.empty()) write_frame(cells, frames);
}

std::vector<std::string> ElementStore::keys_in(SlotIndex slot, TokenRange range) const {
  std::vector<std::string> names;
  auto found = slots_.find(slot);
  if (found == slots_.end()) return names;
  for (const std::string& name : found->second) {
    Token token = token_of(name, 0);
    if (token >= range.first && token <= range.last) names.push_back(name);
  }
  return names;
}

SlotDigest ElementStore::digest(SlotIndex slot, TokenRange range) {
  SlotDigest digest;
  for (const std::string& name : keys_in(slot, range)) {
    for (const auto& [element, cell] : keys_.at(name)) {
      add(cell.alive ? &digest.live : &digest.dead, hash_of(name, element, cell.stamp, cell.alive));
    }
  }
  return digest;
}

void ElementStore::list(SlotIndex slot, TokenRange range, std::vector<KeyDigest>* keys) {
  for (const std::string& name : keys_in(slot, range)) {
    if (keys_.at(name).empty()) continue;
    keys->push_back({key_hash(name), version({0, name, token_of(name, 0)})});
  }
}

size_t ElementStore::export_hashes(SlotIndex slot, TokenRange range,
                                   std::span<const uint64_t> hashes, size_t bytes_max,
                                   std::string* frames) {
  size_t answered = 0;
  std::vector<std::string> names = keys_in(slot, range);
  for (uint64_t hash : hashes) {
    for (const std::string& name : names) {
      if (key_hash(name) == hash) export_key({0, name, token_of(name, 0)}, frames);
    }
    ++answered;
    if (frames->size() >= bytes_max) break;
  }
  return answered;
}

std::optional<Frame> ElementStore::restamp(const Frame& frame, Stamp stamp) {
  std::vector<NamedCell> cells;
  DYNO_CHECK(read_frames(frame.bytes, &cells));
  if (!clock_.observe(stamp, unix_ms_)) return std::nullopt;
  Frame anew;
  anew.stamp = clock_.draw(unix_ms_);
  anew.tokens = frame.tokens;
  for (NamedCell& named : cells) {
    // The same write under a later stamp: the ledger knows it by the old one.
    std::vector<size_t> known = ledger_->by_place[{named.key, named.element}];
    for (size_t index : known) {
      if (ledger_->writes[index].stamp != named.cell.stamp) continue;
      Write again = ledger_->writes[index];
      again.stamp = anew.stamp;
      ledger_->add(std::move(again));
      break;
    }
    named.cell.stamp = anew.stamp;
    merge(named, nullptr);
  }
  write_frame(cells, &anew.bytes);
  return anew;
}

}  // namespace dyno::simulator
