// SPDX-License-Identifier: Apache-2.0
// The rows, by topic as in --help. Each reads its own value; rules about several stand in
// options.cc.
#include "bench/option_rows.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "bench/duration.h"
#include "bench/test_catalog.h"

namespace dyno::bench {

namespace {

constexpr unsigned kClientsMax = 60'000;
constexpr unsigned kPipelineMax = 65'536;
constexpr unsigned kThreadsMax = 256;
constexpr uint64_t kKeyspaceMax = 999'999'999'999;

using Apply = std::function<bool(Options&, std::string_view, std::string&)>;
using Row = OptionRow;

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

std::vector<Row> key_rows() {
  return {
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

}  // namespace

const std::vector<OptionRow>& option_rows() {
  static const std::vector<OptionRow> all = [] {
    std::vector<OptionRow> joined;
    for (auto part : {connection_rows(), load_rows(), workload_rows(), key_rows(), output_rows()}) {
      joined.insert(joined.end(), part.begin(), part.end());
    }
    return joined;
  }();
  return all;
}

}  // namespace dyno::bench
