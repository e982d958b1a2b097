// SPDX-License-Identifier: Apache-2.0
// Reading a command line by the table, and the rules about which options go together.
#include "bench/options.h"

#include <algorithm>

#include "bench/option_rows.h"

namespace dyno::bench {

namespace {

constexpr double kDefaultDuration_s = 10;
constexpr double kOpenBytesMax = 8e9;

const OptionRow* find_row(std::string_view name) {
  for (const OptionRow& row : option_rows()) {
    if (row.name == name || (!row.brief.empty() && row.brief == name)) return &row;
  }
  return nullptr;
}

// Settings that are fine alone and impossible together.
bool agree(Options& options, std::string& why) {
  const int workloads = (options.tests.empty() ? 0 : 1) + (options.workload.ycsb.empty() ? 0 : 1) +
                        (options.workload.commands.empty() ? 0 : 1) + (options.ratio_given ? 1 : 0);
  if (options.verify && workloads - (options.ratio_given ? 1 : 0) > 0) {
    why = "--verify brings its own workload; leave out --test, --ycsb and --command";
  } else if (workloads > 1) {
    why = "choose one of --test, --ratio, --ycsb and --command";
  } else if (options.requests > 0 && options.duration_s > 0) {
    why = "choose one of --requests and --duration";
  } else if (options.rate > 0 && options.staircase) {
    why = "choose one of --rate and --staircase";
  } else if (options.staircase && (options.requests > 0 || options.duration_s > 0)) {
    why = "a staircase takes --step SECONDS, not --requests or --duration";
  } else if (options.clients < options.threads) {
    why = "more threads (" + std::to_string(options.threads) + ") than clients (" +
          std::to_string(options.clients) + ")";
  } else if (options.verify && options.size_given &&
             (!options.workload.settings.value_size.fixed() ||
              options.workload.settings.value_size.largest() < VerifyLane::kValueMin ||
              options.workload.settings.value_size.largest() > VerifyLane::kValueMax)) {
    why = "--verify needs values of one size, from 40 bytes to 1 MB";
  } else if (options.requests > 0 && options.warmup_s > 0) {
    why = "--warmup needs --duration, not --requests";
  } else if (!options.endpoints.empty() && !options.socket.empty()) {
    why = "choose one of --endpoint and --socket";
  } else if (options.tls.cert.empty() != options.tls.key.empty()) {
    why = "--cert and --key go together";
  } else if (options.protocol == 2 && !options.user.empty() && options.password.empty()) {
    why = "--user needs --pass";
  } else if (!(options.timeout_s > 0)) {
    why = "--timeout must be above 0";
  } else if (static_cast<double>(options.clients) * options.pipeline *
                 options.workload.settings.value_size.largest() >
             kOpenBytesMax) {
    why = "clients x pipeline x value size would take more than 8 GB";
  } else if (options.csv_path == "-" || (options.csv_path.size() && options.tests.size() > 1)) {
    why = "--csv takes a file, and one test at a time";
  }
  return why.empty();
}

bool complete(Options& options, std::string& why) {
  if (!agree(options, why)) return false;
  if (options.endpoints.empty()) {
    const std::string where = options.socket.empty() ? (options.host.find(':') == std::string::npos
                                                            ? options.host
                                                            : "[" + options.host + "]") +
                                                           ":" + options.port
                                                     : "unix:" + options.socket;
    auto endpoint = Endpoint::parse(where, why);
    if (!endpoint) return false;
    options.endpoints.push_back(std::move(*endpoint));
  }
  if (!options.size_given) {
    options.workload.settings.value_size =
        *ValueSize::parse(options.verify                  ? "64"
                          : options.workload.ycsb.empty() ? "32"
                                                          : "100",
                          why);
  }
  if (options.verify && options.verify_kinds.empty()) {
    parse_cell_kinds("string,hash,set,zset,counter,list", options.verify_kinds, why);
  }
  if (options.requests == 0 && options.duration_s == 0) options.duration_s = kDefaultDuration_s;
  if (options.warmup_s < 0) {
    options.warmup_s =
        options.requests > 0 || options.verify ? 0 : std::min(1.0, options.duration_s / 10);
  }
  if (!options.keys_given && !options.workload.ycsb.empty()) {
    options.keys =
        *DistributionSpec::parse((options.workload.ycsb[0] | 0x20) == 'd' ? "latest" : "zipf", why);
  }
  return true;
}

}  // namespace

bool Options::takes_value(std::string_view argument) {
  const OptionRow* const row = find_row(argument);
  return row != nullptr && row->value;
}

std::vector<std::string> Options::names() {
  std::vector<std::string> all;
  for (const OptionRow& row : option_rows()) {
    all.emplace_back(row.name);
    if (!row.brief.empty()) all.emplace_back(row.brief);
  }
  return all;
}

std::optional<Options> Options::parse(const std::vector<std::string>& arguments, std::string& why) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i];
    if (name == "--help" || name == "help") {
      options.help = i + 1 < arguments.size() ? arguments[i + 1] : "-";
      return options;
    }
    std::optional<std::string> value;
    const size_t equals = name.find('=');
    if (name.starts_with("--") && equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.erase(equals);
    }
    const OptionRow* const row = find_row(name);
    if (row == nullptr) {
      why = "unknown option '" + name + "'; see --help";
      return std::nullopt;
    }
    if (row->value && !value) {
      if (i + 1 >= arguments.size()) {
        why = name + " needs a value";
        return std::nullopt;
      }
      value = arguments[++i];
    } else if (!row->value && value) {
      why = name + " takes no value";
      return std::nullopt;
    }
    std::string reason;
    if (!row->apply(options, value.value_or(""), reason)) {
      why = name + (value ? " '" + *value + "'" : "") + ": " + reason;
      return std::nullopt;
    }
  }
  if (options.version) return options;
  if (!complete(options, why)) return std::nullopt;
  return options;
}

ServerAccess Options::access() const {
  ServerAccess access;
  access.endpoints = endpoints;
  access.protocol = protocol;
  access.user = user;
  access.password = password;
  access.database = database;
  access.read_level = read_level;
  access.write_level = write_level;
  return access;
}

}  // namespace dyno::bench
