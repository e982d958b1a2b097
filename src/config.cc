// SPDX-License-Identifier: Apache-2.0
//
// CONFIG GET, SET and REWRITE over the table's rows.
//
// A SET holds the table's lock while it judges every pair, writes them all, and runs the callbacks;
// when a callback refuses, every value is written back and the callbacks that ran run again.
// Readers may see the values of one SET appear one after the other, never a value that was refused
// by shape.
#include "src/config.h"

#include <algorithm>

#include "protocol/check.h"
#include "protocol/glob.h"
#include "protocol/number.h"
#include "src/config_file.h"
#include "src/config_rows.h"

namespace dyno {
namespace {

bool is_pattern(std::string_view name) {
  return name.find_first_of("*?[") != name.npos;
}

std::string set_failed(std::string_view name, std::string_view why) {
  std::string out = "CONFIG SET failed (possibly related to argument '";
  out += name;
  out += "') - ";
  out += why;
  return out;
}

}  // namespace

ConfigTable::ConfigTable(Config& config, Limits& limits)
    : config_(config), rows_(config_rows(config, limits)), views_(config_views()) {
  for (const ConfigRow& row : rows_) {
    if (row.change == ConfigChange::kFixed) continue;
    const ParsedConfigValue parsed = parse(row, row.fallback, "");
    DYNO_CHECK(!parsed.refusal);
    write(row, parsed.value);
  }
}

ConfigTable::~ConfigTable() = default;

std::vector<ConfigTable::Pair> ConfigTable::get(std::span<const std::string_view> patterns) const {
  const std::lock_guard lock(mutex_);
  std::vector<Pair> out;
  const auto add = [&out](std::string name, std::string value) {
    const bool present =
        std::any_of(out.begin(), out.end(), [&](const Pair& pair) { return pair.first == name; });
    if (!present) out.emplace_back(std::move(name), std::move(value));
  };
  for (const std::string_view pattern : patterns) {
    if (!is_pattern(pattern)) {
      if (const ConfigRow* row = find(pattern)) {
        add(std::string(pattern), format_config_value(row->shape, read(*row)));
      } else if (const ConfigView* view = find_view(pattern)) {
        add(std::string(pattern), view->read(config_));
      }
      continue;
    }
    const bool dotted = pattern.find('.') != pattern.npos;
    for (const ConfigRow& row : rows_) {
      std::vector<std::string> names = {row.config_name()};
      if (!row.old_alias.empty()) names.emplace_back(row.old_alias);
      if (dotted) names = {std::string(row.name)};
      for (std::string& name : names) {
        if (!glob_match(pattern, name, true)) continue;
        add(std::move(name), format_config_value(row.shape, read(row)));
      }
    }
    for (const ConfigView& view : views_) {
      if (glob_match(pattern, view.alias, true)) add(std::string(view.alias), view.read(config_));
    }
  }
  return out;
}

std::optional<std::string> ConfigTable::set(std::span<const Pair> pairs) {
  const std::lock_guard lock(mutex_);
  std::vector<const ConfigRow*> rows;
  std::optional<std::string> refused;
  for (const auto& [name, text] : pairs) {
    const ConfigRow* const row = find(name);
    const bool view = row == nullptr && find_view(name) != nullptr;
    if (row == nullptr && !view) {
      return "Unknown option or number of arguments for CONFIG SET - '" + name + "'";
    }
    if (refused) continue;
    if (view || row->change == ConfigChange::kStart) {
      refused = set_failed(name, "can't set immutable config");
    } else if (std::find(rows.begin(), rows.end(), row) != rows.end()) {
      refused = set_failed(name, "duplicate parameter");
    }
    rows.push_back(row);
  }
  if (refused) return refused;

  std::vector<ConfigValue> values;
  std::vector<ConfigValue> old_values;
  for (size_t i = 0; i < rows.size(); ++i) {
    ParsedConfigValue parsed = parse(*rows[i], pairs[i].second, read(*rows[i]).text);
    if (parsed.refusal) return set_failed(pairs[i].first, parsed.refusal->redis);
    values.push_back(std::move(parsed.value));
    old_values.push_back(read(*rows[i]));
  }
  std::vector<const ConfigRow*> changed;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (values[i] == old_values[i]) continue;
    write(*rows[i], values[i]);
    changed.push_back(rows[i]);
  }
  std::string_view culprit;
  if (std::optional<std::string> why = run_callbacks(changed, &culprit)) {
    for (size_t i = 0; i < rows.size(); ++i) write(*rows[i], old_values[i]);
    (void)run_callbacks(changed, &culprit);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i]->name == culprit) return set_failed(pairs[i].first, *why);
    }
    return set_failed(culprit, *why);
  }
  return std::nullopt;
}

std::optional<std::string> ConfigTable::rewrite() {
  const std::lock_guard lock(mutex_);
  if (file_path_.empty()) return "The server is running without a config file";
  const auto failed = [](std::string_view why) {
    return "Rewriting config file: " + std::string(why);
  };
  std::string why;
  const std::optional<std::string> source = read_config_file(file_path_, why);
  if (!source) return failed(why);
  const ConfigDocument document = parse_config_document(*source);
  if (!document.errors.empty()) return failed(document.errors.front().what);

  std::vector<ConfigEdit> edits;
  for (const ConfigRow& row : rows_) {
    if (row.change == ConfigChange::kFixed) continue;
    const ConfigValue now = read(row);
    const auto in_file = std::find_if(document.settings.begin(), document.settings.end(),
                                      [&](const FileSetting& s) { return s.name == row.name; });
    const bool present = in_file != document.settings.end();
    const ParsedConfigValue there =
        parse(row, present ? in_file->text : row.fallback, std::string(row.fallback));
    if (!there.refusal && there.value == now) continue;
    edits.push_back({std::string(row.name), format_config_toml(row.shape, now)});
  }
  if (edits.empty()) return std::nullopt;
  const std::string edited = edit_config_document(*source, document, edits);

  // The edited text must say what is set now; a layout that cannot be edited is left alone.
  const ConfigDocument check = parse_config_document(edited);
  for (const ConfigEdit& edit : edits) {
    const ConfigRow* const row = find(edit.name);
    const auto at = std::find_if(check.settings.begin(), check.settings.end(),
                                 [&](const FileSetting& s) { return s.name == edit.name; });
    if (!check.errors.empty() || at == check.settings.end() ||
        parse(*row, at->text, std::string(row->fallback)).value != read(*row)) {
      return failed("cannot place " + edit.name + " in this file's layout");
    }
  }
  if (std::optional<std::string> write_error = replace_config_file(file_path_, edited)) {
    return failed(*write_error);
  }
  return std::nullopt;
}

void ConfigTable::on_change(std::string_view name, Apply apply) {
  const std::lock_guard lock(mutex_);
  const ConfigRow* const row = find(name);
  DYNO_CHECK(row != nullptr);
  callbacks_.emplace_back(row, std::move(apply));
}

bool ConfigTable::is_sensitive(std::string_view name) const {
  const ConfigRow* const row = find(name);
  return row != nullptr && row->sensitive;
}

const ConfigRow* ConfigTable::find(std::string_view name) const {
  const std::string folded = fold_config_name(name);
  for (const ConfigRow& row : rows_) {
    if (folded == fold_config_name(row.name) || folded == fold_config_name(row.config_name()))
      return &row;
    if (!row.old_alias.empty() && folded == row.old_alias) return &row;
  }
  return nullptr;
}

const ConfigView* ConfigTable::find_view(std::string_view name) const {
  const std::string folded = fold_config_name(name);
  for (const ConfigView& view : views_) {
    if (folded == view.alias) return &view;
  }
  return nullptr;
}

ConfigValue ConfigTable::read(const ConfigRow& row) const {
  if (row.change == ConfigChange::kFixed) return parse(row, row.fallback, "").value;
  if (row.text != nullptr) return {0, row.text->get()};
  return {row.number.read(row.number.at), {}};
}

void ConfigTable::write(const ConfigRow& row, const ConfigValue& value) {
  if (row.change == ConfigChange::kFixed) return;
  if (row.text == nullptr) {
    row.number.write(row.number.at, value.number);
    return;
  }
  row.text->set(value.text);
  if (row.commit != nullptr) row.commit(config_, value.text);
}

ParsedConfigValue ConfigTable::parse(const ConfigRow& row, std::string_view text,
                                     const std::string& base) const {
  ParsedConfigValue parsed = parse_config_value(row.shape, text);
  if (parsed.refusal) return parsed;
  if (row.change == ConfigChange::kFixed) {
    if (parsed.value == parse_config_value(row.shape, row.fallback).value) return parsed;
    const std::string only = "only '" + std::string(row.fallback) + "' is possible: ";
    parsed.refusal = ConfigRefusal{only + std::string(row.doc), only + std::string(row.doc)};
    return parsed;
  }
  if (row.check != nullptr) {
    parsed.refusal = row.check(base, parsed.value.text);
  }
  return parsed;
}

std::optional<std::string> ConfigTable::run_callbacks(std::span<const ConfigRow* const> rows,
                                                      std::string_view* culprit) {
  for (const auto& [row, apply] : callbacks_) {
    if (std::find(rows.begin(), rows.end(), row) == rows.end()) continue;
    if (std::optional<std::string> why = apply()) {
      *culprit = row->name;
      return why;
    }
  }
  return std::nullopt;
}

}  // namespace dyno
