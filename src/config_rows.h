// SPDX-License-Identifier: Apache-2.0
//
// The rows of the configuration table, seen only by the table's own files and its test.
//
// A row binds a name to a member of Config or Limits through `number` or `text`. A fixed row has
// neither: it stands for a setting that clients of Redis read or write and that has one value here.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/config.h"
#include "src/config_value.h"

namespace dyno {

// A Setting, or a std::atomic<T> of any number-like T, seen as an int64_t.
struct NumberBinding {
  void* at = nullptr;
  int64_t (*read)(const void*) = nullptr;
  void (*write)(void*, int64_t) = nullptr;
};

enum class ConfigChange : uint8_t {
  kStart,  // read once, when the process starts
  kLive,   // CONFIG SET too
  kFixed,  // one value only; CONFIG SET to it is accepted, and nothing else
};

// Judges and rewrites a text that already has its shape; `current` is the value it would replace.
using ConfigCheck = std::optional<ConfigRefusal> (*)(const std::string& current, std::string& text);

struct ConfigRow {
  std::string_view name;       // section.key of the TOML file; for a fixed row the name in CONFIG
  std::string_view alias;      // the name in CONFIG GET and SET; empty: the key with dashes
  std::string_view old_alias;  // an older spelling of the alias, or empty
  ConfigShape shape;
  std::string_view fallback;  // the default, as text
  ConfigChange change = ConfigChange::kStart;
  NumberBinding number;
  ConfigText* text = nullptr;
  ConfigCheck check = nullptr;
  void (*commit)(Config&, const std::string&) = nullptr;  // spreads a text into typed members
  bool sensitive = false;
  std::string_view doc;

  [[nodiscard]] std::string config_name() const;
};

// A name that CONFIG GET answers from other settings: port, bind, unixsocket.
struct ConfigView {
  std::string_view alias;
  std::string_view row;  // where it is really set
  std::string (*read)(const Config&);
};

[[nodiscard]] std::vector<ConfigRow> config_rows(Config& config, Limits& limits);
// Those of the sections peer, admin, ring and storage.
void add_ring_config_rows(std::vector<ConfigRow>& rows, Config& config);
[[nodiscard]] std::vector<ConfigView> config_views();

// Names compare without case, and with '.', '-' and '_' the same.
[[nodiscard]] std::string fold_config_name(std::string_view name);

// What --print-config writes before each section.
[[nodiscard]] std::string_view config_section_doc(std::string_view section);

}  // namespace dyno
