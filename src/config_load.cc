// SPDX-License-Identifier: Apache-2.0
//
// How a process gets its settings at the start: the command line, the environment, the file; and
// the texts for operators: errors with their place, --help, --print-config.
//
// Every error is printed, one per line, as
//   dyno.toml:3:10: client.timeout: expected a duration ...; got "soon"
//   flag --client-timeout: expected ...
//   environment DYNO_CLIENT_TIMEOUT: expected ...
#include <algorithm>
#include <cstdlib>

#include "engine/replication.h"
#include "protocol/number.h"
#include "src/config.h"
#include "src/config_file.h"
#include "src/config_rows.h"
#include "src/ring_membership.h"

namespace dyno {

// One setting as it was found, and the words that say where.
struct ConfigSource {
  std::string place;  // "dyno.toml:3:10", "flag --client-listen"
  std::string key;    // any spelling that ConfigTable::find knows
  std::string text;
  FileValueKind kind = FileValueKind::kText;
  bool quoted = true;  // from a flag, the environment or a quoted text: may hold any kind
  enum class Origin : uint8_t { kFile, kFlag, kEnvironment } origin = Origin::kFile;
};

namespace {

constexpr int kExitBadConfig = 2;
constexpr size_t kDocWidth = 92;
constexpr size_t kShownBytesMax = 60;

constexpr std::string_view kHelp =
    "Usage: dyno-server [--config FILE] [--KEY VALUE ...]\n"
    "\n"
    "  --config FILE    read settings from a TOML file\n"
    "  --KEY VALUE      set one key of the table; section and name joined with a dash:\n"
    "                   --client-listen 127.0.0.1:7000 --memory-maxmemory 2gb\n"
    "                   lists with commas; --KEY=VALUE too\n"
    "  --check-config   print every error of the configuration, or that there is none, and exit\n"
    "  --print-config   print all keys with their docs and defaults as a TOML file, and exit\n"
    "  --print-commands print all commands as a Markdown page, and exit\n"
    "  --dump-delta FILE\n"
    "                   print the deltas in a file as text, and exit; with 1 at the first bytes\n"
    "                   that are no frame of deltas\n"
    "  --version        print the version and exit\n"
    "  --help           print this and exit\n"
    "\n"
    "Every key may also come from the environment: DYNO_CLIENT_LISTEN, DYNO_MEMORY_MAXMEMORY ...\n"
    "Order: default, file, environment, flag; the later wins.\n";

struct CommandLine {
  std::string config_path;
  std::vector<ConfigSource> settings;
  bool help = false;
  bool version = false;
  bool print_config = false;
  bool check_config = false;
};

// Quotes what an operator wrote, shortened and without control bytes.
std::string show(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kShownBytesMax)) {
    out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  }
  return out + (text.size() > kShownBytesMax ? "...\"" : "\"");
}

bool* find_switch(CommandLine& line, std::string_view name) {
  if (name == "help") return &line.help;
  if (name == "version") return &line.version;
  if (name == "print-config") return &line.print_config;
  if (name == "check-config") return &line.check_config;
  return nullptr;
}

CommandLine read_command_line(std::span<const char* const> args, std::string& errors) {
  CommandLine line;
  for (size_t i = 0; i < args.size(); ++i) {
    std::string_view arg = args[i];
    if (arg == "-h" || arg == "-v") arg = arg == "-h" ? "--help" : "--version";
    if (!arg.starts_with("--") || arg.size() == 2) {
      errors += "unexpected argument " + show(arg) + "; a file is given as --config FILE\n";
      continue;
    }
    const size_t equals = arg.find('=');
    std::string name(arg.substr(2, equals == arg.npos ? arg.npos : equals - 2));
    std::replace(name.begin(), name.end(), '_', '-');
    if (bool* const on = find_switch(line, name); on != nullptr && equals == arg.npos) {
      *on = true;
      continue;
    }
    std::string value;
    if (equals != arg.npos) {
      value = arg.substr(equals + 1);
    } else if (i + 1 < args.size()) {
      value = args[++i];
    } else {
      errors += "flag --" + name + ": expected a value behind it\n";
      continue;
    }
    if (name == "config") {
      line.config_path = std::move(value);
    } else {
      ConfigSource setting{.place = "flag --" + name, .key = name, .text = std::move(value)};
      setting.origin = ConfigSource::Origin::kFlag;
      line.settings.push_back(std::move(setting));
    }
  }
  return line;
}

// Kubernetes describes a service called "dyno-client" with variables such as these.
bool is_service_variable(std::string_view name) {
  return name.ends_with("_SERVICE_HOST") || name.find("_SERVICE_PORT") != name.npos ||
         name.ends_with("_PORT") || name.find("_PORT_") != name.npos;
}

bool accepts(const ConfigShape& shape, const ConfigSource& source) {
  if (source.kind == FileValueKind::kTable) return false;
  if (source.kind == FileValueKind::kList) return shape.kind == ConfigKind::kList;
  if (source.quoted) return true;
  return shape.kind != ConfigKind::kText && shape.kind != ConfigKind::kList &&
         shape.kind != ConfigKind::kEnum;
}

std::string_view section_of(std::string_view name) {
  return name.substr(0, name.find('.'));
}

void append_comment(std::string& out, std::string_view text) {
  std::string line = "#";
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (line.size() + 1 + word.size() > kDocWidth) {
      out += line + "\n";
      line = "#";
    }
    line += ' ';
    line += word;
  }
  out += line + "\n";
}

// What a build without replication cannot do, one per line.
std::string check_without_replication(const Config& config, const RingMembership& membership) {
  constexpr std::string_view kWhy = ": this build has no replication (-Dreplication=false)\n";
  std::string errors;
  if (!membership.alone) errors.append("ring.seeds").append(kWhy);
  if (config.storage.mode.load() == StorageMode::kDurable) {
    errors.append("storage.mode = durable").append(kWhy);
  }
  return errors;
}

}  // namespace

ConfigTable::LoadResult ConfigTable::load(std::span<const char* const> args,
                                          std::span<const char* const> env) {
  const std::lock_guard lock(mutex_);
  std::string errors;
  const CommandLine line = read_command_line(args, errors);
  if (line.help) return {.out = std::string(kHelp)};
  if (line.version) return {.out = "dyno-server " DYNO_VERSION "\n"};
  if (line.print_config) return {.out = print()};

  if (!line.config_path.empty()) load_file(line.config_path, errors);
  load_environment(env, errors);
  for (const ConfigSource& setting : line.settings) load_setting(setting, errors);

  if (errors.empty()) {
    RingMembership membership;
    std::string why = read_membership(config_, &membership);
    if (!why.empty()) errors = "ring: " + why + "\n";
    if (why.empty() && !kHasReplication) errors = check_without_replication(config_, membership);
  }
  if (!errors.empty()) return {.exit_code = kExitBadConfig, .err = std::move(errors)};
  if (line.check_config) return {.out = "configuration ok\n"};
  return {.serve = true};
}

void ConfigTable::load_file(const std::string& path, std::string& errors) {
  std::string why;
  const std::optional<std::string> source = read_config_file(path, why);
  if (!source) {
    errors += path + ": cannot read the configuration: " + why + "\n";
    return;
  }
  const auto place = [&path](size_t line, size_t column) {
    return path + ":" + std::to_string(line) + ":" + std::to_string(column);
  };
  const ConfigDocument document = parse_config_document(*source);
  for (const FileError& error : document.errors) {
    errors += (error.line == 0 ? path : place(error.line, error.column)) + ": " + error.what + "\n";
  }
  for (const FileSetting& setting : document.settings) {
    ConfigSource found{.key = setting.name, .text = setting.text, .kind = setting.kind};
    found.quoted = setting.kind == FileValueKind::kText;
    const bool known = std::any_of(rows_.begin(), rows_.end(), [&](const ConfigRow& row) {
      return row.name == setting.name && row.change != ConfigChange::kFixed;
    });
    found.place = place(setting.line, known ? setting.column : setting.name_column);
    if (known) {
      load_setting(found, errors);
    } else {
      errors += unknown(found);
    }
  }
  if (char* const absolute = ::realpath(path.c_str(), nullptr)) {
    file_path_ = absolute;
    std::free(absolute);
  }
}

void ConfigTable::load_environment(std::span<const char* const> env, std::string& errors) {
  static constexpr std::string_view kPrefix = "DYNO_";
  for (const std::string_view variable : env) {
    const size_t equals = variable.find('=');
    if (!variable.starts_with(kPrefix) || equals == variable.npos) continue;
    const std::string_view name = variable.substr(0, equals);
    std::string key = to_lower(name.substr(kPrefix.size()));
    const bool ours = std::any_of(rows_.begin(), rows_.end(), [&](const ConfigRow& row) {
      return row.name.find('.') != row.name.npos &&
             key.starts_with(std::string(section_of(row.name)) + "_");
    });
    if (!ours) continue;
    if (find(key) == nullptr && is_service_variable(name)) continue;
    ConfigSource setting{.place = "environment " + std::string(name), .key = std::move(key)};
    setting.text = variable.substr(equals + 1);
    setting.origin = ConfigSource::Origin::kEnvironment;
    load_setting(setting, errors);
  }
}

void ConfigTable::load_setting(const ConfigSource& source, std::string& errors) {
  const ConfigRow* const row = find(source.key);
  if (row == nullptr) {
    errors += unknown(source);
    return;
  }
  std::string expected;
  if (!accepts(row->shape, source)) {
    expected = describe_config_shape(row->shape);
    if (row->shape.kind == ConfigKind::kEnum) expected += ", in quotes";
  } else {
    const ParsedConfigValue parsed = parse(*row, source.text, read(*row).text);
    if (!parsed.refusal) return write(*row, parsed.value);
    expected = parsed.refusal->expected;
  }
  errors += source.place + ": " + std::string(row->name) + ": expected " + expected;
  if (source.kind == FileValueKind::kTable) {
    errors += "; got a section";
  } else if (source.kind == FileValueKind::kList && row->shape.kind != ConfigKind::kList) {
    errors += "; got a list";
  } else if (!row->sensitive) {
    errors +=
        "; got " + (source.quoted ? show(source.text) : source.text.substr(0, kShownBytesMax));
  }
  errors += "\n";
}

std::string ConfigTable::unknown(const ConfigSource& source) const {
  using Origin = ConfigSource::Origin;
  std::vector<std::string_view> sections;
  for (const ConfigRow& row : rows_) {
    if (row.name.find('.') != row.name.npos) sections.push_back(section_of(row.name));
  }
  const std::string start = source.place + ": unknown ";
  const bool whole_section = source.key.find('.') == std::string::npos;
  if (source.origin == Origin::kFile && whole_section && source.kind == FileValueKind::kTable) {
    const std::string_view near = nearest_name(source.key, sections);
    return start + "section [" + source.key + "]" +
           (near.empty() ? "" : "; did you mean [" + std::string(near) + "]?") + "\n";
  }
  std::string near(nearest_key(source.key));
  if (!near.empty() && source.origin != Origin::kFile) {
    std::replace(near.begin(), near.end(), '.', source.origin == Origin::kFlag ? '-' : '_');
    if (source.origin == Origin::kFlag) std::replace(near.begin(), near.end(), '_', '-');
    near = source.origin == Origin::kFlag ? "--" + near : "DYNO_" + to_upper(near);
  }
  return start + (source.origin == Origin::kFile ? "key " + show(source.key) : "key") +
         (near.empty() ? "" : "; did you mean " + near + "?") + "\n";
}

// A key may be another product's name for it, stand in the wrong section, or be misspelt.
std::string_view ConfigTable::nearest_key(std::string_view name) const {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  for (const std::string_view spelling : {name, last}) {
    const ConfigRow* const row = find(spelling);
    if (row != nullptr && row->change != ConfigChange::kFixed) return row->name;
    if (const ConfigView* const view = find_view(spelling)) return view->row;
  }
  std::vector<std::string> folded;
  std::vector<std::string_view> names;
  for (const ConfigRow& row : rows_) {
    if (row.change == ConfigChange::kFixed) continue;
    names.push_back(row.name);
    folded.push_back(fold_config_name(row.name));
  }
  const std::vector<std::string_view> candidates(folded.begin(), folded.end());
  const std::string_view near = nearest_name(fold_config_name(name), candidates);
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (!near.empty() && near.data() == candidates[i].data()) return names[i];
  }
  std::vector<std::string_view> keys;
  keys.reserve(names.size());
  for (const std::string_view full : names) keys.push_back(full.substr(full.find('.') + 1));
  const std::string_view key = nearest_name(last, keys);
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!key.empty() && key.data() == keys[i].data()) return names[i];
  }
  return {};
}

std::string ConfigTable::print() const {
  std::string out =
      "# dyno-server's configuration. Every key is shown with its default; uncomment what you\n"
      "# change. Bytes: 100, 64mb, 10GiB. Durations: 250ms, 30s, 5m.\n";
  std::string_view section;
  for (const ConfigRow& row : rows_) {
    if (row.change == ConfigChange::kFixed) continue;
    if (section_of(row.name) != section) {
      section = section_of(row.name);
      out +=
          "\n# " + std::string(config_section_doc(section)) + "\n[" + std::string(section) + "]\n";
    }
    const std::string_view key = row.name.substr(section.size() + 1);
    out += '\n';
    append_comment(out, row.doc);
    std::string kind = describe_config_shape(row.shape);
    if (row.change == ConfigChange::kLive) kind += "; CONFIG SET " + row.config_name();
    append_comment(out, "(" + kind + ")");
    const ParsedConfigValue fallback = parse(row, row.fallback, "");
    out += "# " + std::string(key) + " = " + format_config_toml(row.shape, fallback.value) + "\n";
  }
  return out;
}

}  // namespace dyno
