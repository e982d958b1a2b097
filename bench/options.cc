// SPDX-License-Identifier: Apache-2.0
// One row per option, and the rules about which go together.
#include "bench/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <thread>

#include "bench/duration.h"
#include "bench/test_catalog.h"

namespace dyno::bench {

namespace {

constexpr unsigned kClientsMax = 60'000;
constexpr unsigned kPipelineMax = 65'536;
constexpr unsigned kThreadsMax = 256;
constexpr uint64_t kKeyspaceMax = 999'999'999'999;
constexpr double kDefaultDuration_s = 10;

using Apply = std::function<bool(Options&, std::string_view, std::string&)>;
struct Row {
  std::string_view name;
  std::string_view brief;  // the short form, may be empty
  bool value;
  Apply apply;
};

bool expected(std::string& why, std::string_view what) {
  why = "expected " + std::string(what);
  return false;
}

template <typename Number>
Apply whole(Number Options::*field, uint64_t low, uint64_t high) {
  return [=](Options& options, std::string_view text, std::string& why) {
    const auto amount = parse_amount(text);
    if (!amount || *amount != std::floor(*amount) || *amount < static_cast<double>(low) ||
        *amount > static_cast<double>(high)) {
      return expected(why,
                      "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    }
    options.*field = static_cast<Number>(*amount);
    return true;
  };
}
Apply seconds(double Options::*field) {
  return [=](Options& options, std::string_view text, std::string& why) {
    const auto value = parse_seconds(text);
    if (!value) return expected(why, "a time such as 10s, 500ms or 2m");
    options.*field = *value;
    return true;
  };
}
Apply text_in(std::string Options::*field) {
  return [=](Options& options, std::string_view text, std::string&) {
    options.*field = text;
    return true;
  };
}
Apply set_true(bool Options::*field, bool to = true) {
  return [=](Options& options, std::string_view, std::string&) {
    options.*field = to;
    return true;
  };
}
Apply tls_text(std::string TlsSettings::*field) {
  return [=](Options& options, std::string_view text, std::string&) {
    options.tls.*field = text;
    options.tls.enabled = true;
    return true;
  };
}

std::vector<std::string> commas(std::string_view text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

bool positive(std::string_view text, double& value, std::string& why) {
  const auto amount = parse_amount(text);
  if (!amount || !(*amount > 0) || *amount > 1e9) return expected(why, "a number above 0");
  value = *amount;
  return true;
}

bool read_ratio(Options& options, std::string_view text, std::string& why) {
  const size_t colon = text.find(':');
  const auto set = parse_amount(text.substr(0, std::min(colon, text.size())));
  const auto get =
      colon == std::string_view::npos ? std::nullopt : parse_amount(text.substr(colon + 1));
  if (!set || !get || *set + *get <= 0) return expected(why, "SET:GET such as 1:9");
  options.workload.ratio_set = *set;
  options.workload.ratio_get = *get;
  options.ratio_given = true;
  return true;
}

bool read_expire(Options& options, std::string_view text, std::string& why) {
  const size_t dash = text.find('-');
  const auto low = parse_seconds(text.substr(0, std::min(dash, text.size())));
  const auto high = dash == std::string_view::npos ? low : parse_seconds(text.substr(dash + 1));
  if (!low || !high || *low < 1 || *high < *low || *high > 4e9) {
    return expected(why, "seconds (at least 1) or a range LOW-HIGH");
  }
  options.workload.settings.ttl_low_s = static_cast<uint32_t>(*low);
  options.workload.settings.ttl_high_s = static_cast<uint32_t>(*high);
  return true;
}

bool read_pids(Options& options, std::string_view text, std::string& why) {
  for (const std::string& part : commas(text)) {
    int pid = 0;
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), pid);
    if (error != std::errc() || stop != part.data() + part.size() || pid < 1) {
      return expected(why, "process numbers separated by commas");
    }
    options.server_pids.push_back(pid);
  }
  return true;
}

bool read_tests(Options& options, std::string_view text, std::string& why) {
  for (const std::string& name : commas(text)) {
    if (find_test(name) == nullptr) {
      why = "no test is named '" + name + "'; see --help tests";
      return false;
    }
    options.tests.push_back(name);
  }
  return true;
}

std::vector<Row> connection_rows() {
  return {
      {"--host", "-h", true, text_in(&Options::host)},
      {"--port", "-p", true, text_in(&Options::port)},
      {"--socket", "-s", true, text_in(&Options::socket)},
      {"--endpoint", "-e", true,
       [](Options& options, std::string_view text, std::string& why) {
         auto endpoint = Endpoint::parse(text, why);
         if (endpoint) options.endpoints.push_back(std::move(*endpoint));
         return endpoint.has_value();
       }},
      {"--user", "", true, text_in(&Options::user)},
      {"--pass", "-a", true, text_in(&Options::password)},
      {"--db", "", true, whole(&Options::database, 0, 1'000'000)},
      {"--resp3", "-3", false,
       [](Options& options, std::string_view, std::string&) {
         options.protocol = 3;
         return true;
       }},
      {"--tls", "", false,
       [](Options& options, std::string_view, std::string&) { return options.tls.enabled = true; }},
      {"--cacert", "", true, tls_text(&TlsSettings::ca_cert)},
      {"--cert", "", true, tls_text(&TlsSettings::cert)},
      {"--key", "", true, tls_text(&TlsSettings::key)},
      {"--sni", "", true, tls_text(&TlsSettings::server_name)},
      {"--insecure", "", false,
       [](Options& options, std::string_view, std::string&) {
         return options.tls.enabled = options.tls.insecure = true;
       }},
      {"--read-level", "", true, text_in(&Options::read_level)},
      {"--write-level", "", true, text_in(&Options::write_level)},
      {"--no-failover", "", false, set_true(&Options::failover, false)},
      {"--timeout", "", true, seconds(&Options::timeout_s)},
  };
}

std::vector<Row> load_rows() {
  return {
      {"--clients", "-c", true, whole(&Options::clients, 1, kClientsMax)},
      {"--pipeline", "-P", true, whole(&Options::pipeline, 1, kPipelineMax)},
      {"--threads", "", true, whole(&Options::threads, 1, kThreadsMax)},
      {"--rate", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         return positive(text, options.rate, why);
       }},
      {"--arrivals", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         options.arrivals = text == "poisson" ? Arrivals::kPoisson : Arrivals::kFixed;
         return text == "poisson" || text == "fixed" || expected(why, "fixed or poisson");
       }},
      {"--staircase", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         options.staircase = true;
         return positive(text, options.staircase_first, why);
       }},
      {"--step", "", true, seconds(&Options::step_s)},
      {"--knee-p99", "", true, seconds(&Options::knee_p99_s)},
      {"--requests", "-n", true, whole(&Options::requests, 1, 1'000'000'000'000)},
      {"--duration", "", true, seconds(&Options::duration_s)},
      {"--warmup", "", true, seconds(&Options::warmup_s)},
      {"--on-error", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         options.on_error = text == "stop" ? OnError::kStop : OnError::kContinue;
         return text == "stop" || text == "continue" || expected(why, "continue or stop");
       }},
      {"--seed", "", true, whole(&Options::seed, 0, 1'000'000'000'000)},
      {"--at", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         auto event = EventSpec::parse(text, why);
         if (event) options.events.push_back(std::move(*event));
         return event.has_value();
       }},
  };
}

std::vector<Row> workload_rows() {
  return {
      {"--test", "-t", true, read_tests},
      {"--ratio", "", true, read_ratio},
      {"--ycsb", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         options.workload.ycsb = text;
         const char letter = text.size() == 1 ? static_cast<char>(text[0] | 0x20) : '?';
         return (letter >= 'a' && letter <= 'f') || expected(why, "a letter from a to f");
       }},
      {"--command", "", true,
       [](Options& options, std::string_view text, std::string&) {
         options.workload.commands.emplace_back(text, 1.0);
         return true;
       }},
      {"--weight", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         if (options.workload.commands.empty()) return expected(why, "a --command before it");
         return positive(text, options.workload.commands.back().second, why);
       }},
      {"--size", "-d", true,
       [](Options& options, std::string_view text, std::string& why) {
         const auto size = ValueSize::parse(text, why);
         if (size) options.workload.settings.value_size = *size;
         return options.size_given = size.has_value();
       }},
      {"--random-data", "", false,
       [](Options& options, std::string_view, std::string&) {
         return options.workload.settings.random_data = true;
       }},
      {"--expire", "", true, read_expire},
      {"--deadline", "", true, seconds(&Options::deadline_s)},
      {"--keyspace", "-r", true,
       [](Options& options, std::string_view text, std::string& why) {
         const auto amount = parse_amount(text);
         if (!amount || *amount < 1 || *amount > static_cast<double>(kKeyspaceMax)) {
           return expected(why, "a number of keys, 1 to 999999999999");
         }
         options.workload.keyspace = static_cast<uint64_t>(*amount);
         return true;
       }},
      {"--key-prefix", "", true,
       [](Options& options, std::string_view text, std::string&) {
         options.workload.settings.key_prefix = text;
         return true;
       }},
      {"--group", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         const auto amount = parse_amount(text);
         if (!amount || *amount < 1 || *amount > 1e12)
           return expected(why, "elements per collection");
         options.workload.settings.group = static_cast<uint64_t>(*amount);
         return true;
       }},
      {"--dist", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         const auto spec = DistributionSpec::parse(text, why);
         if (spec) options.keys = *spec;
         return options.keys_given = spec.has_value();
       }},
      {"--load", "", false, set_true(&Options::load)},
      {"--load-only", "", false, set_true(&Options::load_only)},
      {"--load-command", "", true,
       [](Options& options, std::string_view text, std::string&) {
         options.workload.load_commands.emplace_back(text);
         return true;
       }},
      {"--records", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         const auto amount = parse_amount(text);
         if (!amount || *amount < 1 || *amount > 1e12) return expected(why, "a number of records");
         options.workload.records = static_cast<uint64_t>(*amount);
         return true;
       }},
      {"--prepare", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         options.prepare.emplace_back(text);
         return CommandTemplate::split(text, why).has_value();
       }},
  };
}

std::vector<Row> output_rows() {
  return {
      {"--verify", "", false, set_true(&Options::verify)},
      {"--verify-types", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         options.verify = true;
         return parse_cell_kinds(text, options.verify_kinds, why);
       }},
      {"--verify-deletes", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         const auto share = parse_amount(text);
         if (!share || *share > 0.9) return expected(why, "a share from 0 to 0.9");
         options.verify_deletes = *share;
         return true;
       }},
      {"--verify-settle", "", true, seconds(&Options::verify_settle_s)},
      {"--allow-stale", "", false, set_true(&Options::allow_stale)},
      {"--allow-down", "", false, set_true(&Options::allow_down)},
      {"--server-pid", "", true, read_pids},
      {"--no-info", "", false, set_true(&Options::info, false)},
      {"--progress", "", true,
       [](Options& options, std::string_view text, std::string& why) {
         using Style = Progress::Style;
         options.progress = text == "bar"     ? Style::kBar
                            : text == "lines" ? Style::kLines
                            : text == "none"  ? Style::kNone
                                              : Style::kAuto;
         return text == "bar" || text == "lines" || text == "none" || text == "auto" ||
                expected(why, "auto, bar, lines or none");
       }},
      {"--quiet", "-q", false, set_true(&Options::quiet)},
      {"--json", "", true, text_in(&Options::json_path)},
      {"--csv", "", true, text_in(&Options::csv_path)},
      {"--hgrm", "", true, text_in(&Options::hgrm_path)},
      {"--report", "", true, text_in(&Options::html_path)},
      {"--histograms", "", false, set_true(&Options::histograms)},
      {"--version", "", false, set_true(&Options::version)},
  };
}

const std::vector<Row>& rows() {
  static const std::vector<Row> all = [] {
    std::vector<Row> joined;
    for (auto part : {connection_rows(), load_rows(), workload_rows(), output_rows()}) {
      joined.insert(joined.end(), part.begin(), part.end());
    }
    return joined;
  }();
  return all;
}

const Row* find_row(std::string_view name) {
  for (const Row& row : rows()) {
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
  const Row* const row = find_row(argument);
  return row != nullptr && row->value;
}

std::vector<std::string> Options::names() {
  std::vector<std::string> all;
  for (const Row& row : rows()) {
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
    const Row* const row = find_row(name);
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
