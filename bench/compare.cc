// SPDX-License-Identifier: Apache-2.0
// Targets, rounds and ratios. A round measures every target once; nothing is compared across
// rounds.
#include "bench/compare.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include "bench/control.h"
#include "bench/duration.h"
#include "bench/json_writer.h"
#include "bench/load_run.h"
#include "bench/options.h"
#include "bench/process_meter.h"
#include "bench/report.h"
#include "bench/server_process.h"
#include "bench/session.h"

namespace dyno::bench {

namespace {

constexpr unsigned kRoundsMax = 1000;

struct Target {
  std::string name;
  Endpoint endpoint;
  std::string command;  // empty: runs already
};

struct CompareOptions {
  std::vector<Target> targets;
  unsigned rounds = 5;
  bool restart = false;
  bool load_rounds = false;
  double memory_elements = 0;
  std::string json_path;
  std::vector<std::string> load_arguments;
};

/// One target in one round: figures by name.
using Figures = std::map<std::string, double>;

struct Metric {
  const char* name;
  const char* unit;  // of the figures shown
  bool duration;     // figures are nanoseconds
};
constexpr Metric kMetrics[] = {
    {"throughput", "requests/s", false},
    {"server_cpu_us", "us of server CPU per request", false},
    {"p50_ns", "p50", true},
    {"p99_ns", "p99", true},
    {"p999_ns", "p99.9", true},
    {"max_ns", "max", true},
    {"errors", "failed requests", false},
    {"bytes_per_element", "resident bytes per element", false},
    {"event_ms", "ms, longest event", false},
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

bool read_target(const std::string& text, CompareOptions& options, std::string& why) {
  const size_t first = text.find('=');
  if (first == std::string::npos || first == 0) {
    why = "--target '" + text + "': expected NAME=WHERE or NAME=WHERE=COMMAND LINE";
    return false;
  }
  Target target;
  target.name = text.substr(0, first);
  const size_t second = text.find('=', first + 1);
  auto endpoint = Endpoint::parse(
      text.substr(first + 1, second == std::string::npos ? second : second - first - 1), why);
  if (!endpoint) return false;
  target.endpoint = std::move(*endpoint);
  if (second != std::string::npos) target.command = text.substr(second + 1);
  for (const Target& other : options.targets) {
    if (other.name == target.name) why = "two targets are named '" + target.name + "'";
  }
  options.targets.push_back(std::move(target));
  return why.empty();
}

std::optional<CompareOptions> read_options(const std::vector<std::string>& arguments,
                                           std::string& why) {
  CompareOptions options;
  for (size_t i = 0; i < arguments.size() && why.empty(); ++i) {
    const std::string& name = arguments[i];
    const auto value = [&]() -> std::string {
      if (i + 1 < arguments.size()) return arguments[++i];
      why = name + " needs a value";
      return {};
    };
    if (name == "--target") {
      const std::string text = value();
      if (why.empty()) read_target(text, options, why);
    } else if (name == "--rounds") {
      const auto rounds = parse_amount(value());
      if (!rounds || *rounds < 1 || *rounds > kRoundsMax) why = "--rounds: expected 1 to 1000";
      options.rounds = static_cast<unsigned>(rounds.value_or(1));
    } else if (name == "--restart") {
      options.restart = true;
    } else if (name == "--load-rounds") {
      options.load_rounds = true;
    } else if (name == "--memory") {
      options.memory_elements = parse_amount(value()).value_or(0);
      if (why.empty() && options.memory_elements < 1)
        why = "--memory: expected a number of elements";
    } else if (name == "--json") {
      options.json_path = value();
    } else {
      options.load_arguments.push_back(name);
      if (Options::takes_value(name)) options.load_arguments.push_back(value());
    }
  }
  if (why.empty() && options.targets.empty()) why = "compare needs at least one --target";
  if (why.empty() && options.memory_elements > 0) options.restart = options.load_rounds = true;
  if (!why.empty()) return std::nullopt;
  return options;
}

/// A target while the comparison lasts: its server, its session, its figures.
struct Contestant {
  Target target;
  Options options;
  std::unique_ptr<ServerProcess> process;
  std::unique_ptr<Session> session;
  std::vector<Figures> rounds;
  std::vector<RunResult> results;
};

class Comparison {
 public:
  Comparison(CompareOptions options, const Options& load) : options_(std::move(options)) {
    for (const Target& target : options_.targets) {
      Contestant contestant;
      contestant.target = target;
      contestant.options = load;
      contestant.options.endpoints = {target.endpoint};
      contestants_.push_back(std::move(contestant));
    }
  }

  int run() {
    for (unsigned round = 0; round < options_.rounds; ++round) {
      std::vector<Contestant*> order;
      for (Contestant& contestant : contestants_) order.push_back(&contestant);
      if (round % 2 == 1) std::reverse(order.begin(), order.end());
      for (Contestant* const contestant : order) {
        if (!play(*contestant, round)) {
          std::fprintf(stderr, "dyno-bench: %s: %s\n", contestant->target.name.c_str(),
                       error_.c_str());
          return kExitServer;
        }
        if (LoadRun::interrupted) return kExitServer;
      }
    }
    warn_of_different_replies();
    const std::string table = text();
    std::fputs(table.c_str(), options_.json_path == "-" ? stderr : stdout);
    if (!options_.json_path.empty() && !write_text_file(options_.json_path, json()))
      return kExitServer;
    return 0;
  }

 private:
  bool bring_up(Contestant& contestant) {
    if (contestant.session && !options_.restart) return true;
    contestant.session.reset();
    std::string why;
    if (!contestant.target.command.empty()) {
      ServerAccess access = contestant.options.access();
      for (Endpoint& endpoint : access.endpoints) {
        if (!endpoint.resolve(error_)) return false;
      }
      contestant.process = std::make_unique<ServerProcess>();
      if (!contestant.process->start(contestant.target.command, access)) {
        error_ = contestant.process->error();
        return false;
      }
      contestant.options.server_pids = {contestant.process->pid()};
    }
    contestant.session = std::make_unique<Session>(contestant.options, progress_);
    if (!contestant.session->reach()) {
      error_ = contestant.session->error();
      return false;
    }
    return true;
  }

  bool play(Contestant& contestant, unsigned round) {
    const bool fresh = !contestant.session || options_.restart;
    if (!bring_up(contestant)) return false;
    Figures figures;
    const bool loads = fresh || options_.load_rounds;
    const uint64_t before = resident(contestant);
    if (loads && !contestant.session->load()) {
      error_ = contestant.session->error();
      return false;
    }
    if (options_.memory_elements > 0) {
      // Freed buffers and finished rehashing are part of the answer.
      std::this_thread::sleep_for(std::chrono::seconds(1));
      const uint64_t after = resident(contestant);
      figures["bytes_per_element"] =
          static_cast<double>(after > before ? after - before : 0) / options_.memory_elements;
    } else if (!contestant.options.load_only) {
      if (!measure(contestant, figures)) return false;
    }
    contestant.rounds.push_back(figures);
    std::fprintf(stderr, "round %u %s:%s\n", round + 1, contestant.target.name.c_str(),
                 line(figures).c_str());
    if (options_.restart) {
      contestant.session.reset();
      contestant.process.reset();
    }
    return true;
  }

  bool measure(Contestant& contestant, Figures& figures) {
    Session& session = *contestant.session;
    session.results().clear();
    if (!session.measure() || session.results().empty()) {
      error_ = session.error();
      return false;
    }
    const RunResult& run = session.results().back();
    const Histogram latency = run.latency();
    figures["throughput"] = run.throughput();
    figures["p50_ns"] = static_cast<double>(latency.percentile(50));
    figures["p99_ns"] = static_cast<double>(latency.percentile(99));
    figures["p999_ns"] = static_cast<double>(latency.percentile(99.9));
    figures["max_ns"] = static_cast<double>(latency.max());
    figures["errors"] =
        static_cast<double>(run.total.failed + run.total.unanswered + run.total.not_sent);
    figures["client_busy"] = run.client_busy;
    if (run.total.answered > 0) {
      figures["reply_bytes"] =
          static_cast<double>(run.total.bytes_in) / static_cast<double>(run.total.answered);
    }
    for (const EventMark& event : run.events) {
      figures["event_ms"] = std::max(figures["event_ms"], event.took_ms);
    }
    if (const auto cpu = run.server_cpu_us_per_request()) figures["server_cpu_us"] = *cpu;
    if (!run.total.errors.kinds().empty()) {
      const ErrorKind& kind = run.total.errors.kinds()[0];
      std::fprintf(stderr, "%s: %llu errors of kind %s, first: %s\n",
                   contestant.target.name.c_str(), static_cast<unsigned long long>(kind.count),
                   kind.kind.c_str(), kind.first.c_str());
    }
    return true;
  }

  // A server that answers less than the others has an easier life; the figures would not say so.
  void warn_of_different_replies() const {
    const double base = median(column(contestants_[0], "reply_bytes"));
    for (const Contestant& contestant : contestants_) {
      const double mine = median(column(contestant, "reply_bytes"));
      if (base == 0 || (mine > 0.9 * base && mine < 1.1 * base)) continue;
      std::fprintf(stderr, "note: %s sends %.1f bytes per reply, %s sends %.1f\n",
                   contestant.target.name.c_str(), mine, contestants_[0].target.name.c_str(), base);
    }
  }

  static uint64_t resident(const Contestant& contestant) {
    uint64_t sum = 0;
    for (const int pid : contestant.options.server_pids) {
      sum += process_resident_bytes(pid).value_or(0);
    }
    return sum;
  }

  static std::string show(const Metric& metric, double value) {
    if (metric.duration) return show_duration(value);
    char text[40];
    std::snprintf(text, sizeof text, value < 100 ? "%.3f" : "%.0f", value);
    return text;
  }

  static std::string line(const Figures& figures) {
    std::string out;
    for (const Metric& metric : kMetrics) {
      const auto found = figures.find(metric.name);
      if (found == figures.end() || (found->second == 0 && found->first == "errors")) continue;
      out += std::string(" ") + metric.name + " " + show(metric, found->second);
    }
    return out;
  }

  std::vector<double> column(const Contestant& contestant, const char* name) const {
    std::vector<double> values;
    for (const Figures& figures : contestant.rounds) {
      if (figures.contains(name)) values.push_back(figures.at(name));
    }
    return values;
  }

  /// This round's figure over that of the first target in the same round.
  std::vector<double> ratios(const Contestant& contestant, const char* name) const {
    std::vector<double> values;
    for (size_t round = 0; round < contestant.rounds.size(); ++round) {
      const Figures& mine = contestant.rounds[round];
      const Figures& base = contestants_[0].rounds[round];
      if (mine.contains(name) && base.contains(name) && base.at(name) > 0) {
        values.push_back(mine.at(name) / base.at(name));
      }
    }
    return values;
  }

  std::string text() const {
    std::string out;
    char row[200];
    for (const Metric& metric : kMetrics) {
      if (column(contestants_[0], metric.name).empty()) continue;
      double most = 0;
      for (const Contestant& contestant : contestants_) {
        most = std::max(most, median(column(contestant, metric.name)));
      }
      if (most == 0) continue;
      out += std::string(metric.unit) + "\n";
      for (const Contestant& contestant : contestants_) {
        auto values = column(contestant, metric.name);
        auto shares = ratios(contestant, metric.name);
        if (values.empty()) continue;
        std::sort(values.begin(), values.end());
        std::sort(shares.begin(), shares.end());
        std::snprintf(row, sizeof row, "  %-16s %12s   (%s … %s)", contestant.target.name.c_str(),
                      show(metric, median(values)).c_str(), show(metric, values.front()).c_str(),
                      show(metric, values.back()).c_str());
        out += row;
        if (&contestant != &contestants_[0] && !shares.empty()) {
          std::snprintf(row, sizeof row, "   ratio %.3f (%.3f … %.3f)", median(shares),
                        shares.front(), shares.back());
          out += row;
        }
        out += "\n";
      }
    }
    return out;
  }

  std::string json() const {
    JsonWriter json;
    json.open_object().field("tool", "dyno-bench compare").field("version", DYNO_VERSION);
    json.field("format", 1).field("rounds", static_cast<uint64_t>(options_.rounds));
    json.key("targets").open_array();
    for (const Contestant& contestant : contestants_) {
      json.open_object().field("name", contestant.target.name);
      json.field("where", contestant.target.endpoint.where());
      json.field("command", contestant.target.command);
      json.key("rounds").open_array();
      for (const Figures& figures : contestant.rounds) {
        json.open_object();
        for (const auto& [name, value] : figures) json.field(name, value);
        json.close_object();
      }
      json.close_array().key("median").open_object();
      for (const Metric& metric : kMetrics) {
        const auto values = column(contestant, metric.name);
        if (!values.empty()) json.field(metric.name, median(values));
      }
      json.close_object().key("ratio").open_object();
      for (const Metric& metric : kMetrics) {
        auto shares = ratios(contestant, metric.name);
        if (shares.empty()) continue;
        std::sort(shares.begin(), shares.end());
        json.key(metric.name).open_object().field("median", median(shares));
        json.field("min", shares.front()).field("max", shares.back()).close_object();
      }
      json.close_object().close_object();
    }
    json.close_array().close_object();
    return json.text();
  }

  CompareOptions options_;
  std::vector<Contestant> contestants_;
  Progress progress_{Progress::Style::kNone};
  std::string error_;
};

}  // namespace

int run_compare(const std::vector<std::string>& arguments) {
  std::string why;
  const auto options = read_options(arguments, why);
  std::optional<Options> load;
  if (options) load = Options::parse(options->load_arguments, why);
  if (load && load->tests.size() > 1) why = "compare takes one test at a time";
  if (load && load->verify) why = "compare measures; --verify checks: use one at a time";
  if (load && why.empty() && load->help.empty()) {
    if (options->memory_elements > 0) load->load = true;
    return Comparison(*options, *load).run();
  }
  if (load && !load->help.empty()) {
    std::fputs(help_text(load->help == "-" ? "compare" : load->help).c_str(), stdout);
    return 0;
  }
  std::fprintf(stderr, "dyno-bench: %s\n", why.c_str());
  return kExitUsage;
}

}  // namespace dyno::bench
