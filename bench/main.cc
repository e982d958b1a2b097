// SPDX-License-Identifier: Apache-2.0
// dyno-bench: reads the command line, runs one session or a comparison, writes the reports.
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/compare.h"
#include "bench/load_run.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/session.h"

namespace dyno::bench {

namespace {

int usage(const std::string& why) {
  std::fprintf(stderr, "dyno-bench: %s\n", why.c_str());
  return kExitUsage;
}

bool write_files(const Options& options, const std::vector<RunResult>& results) {
  bool good = true;
  if (!options.json_path.empty()) {
    good = write_text_file(options.json_path, json_report(results, options.histograms)) && good;
  }
  if (!options.html_path.empty()) {
    good = write_text_file(options.html_path, html_report(results)) && good;
  }
  for (const RunResult& run : results) {
    if (options.hgrm_path.empty()) break;
    const std::string name = results.size() > 1 ? "." + run.name : "";
    good = write_text_file(options.hgrm_path + name, run.latency().hgrm(1e6)) && good;
    if (run.open_loop && options.hgrm_path != "-") {
      good =
          write_text_file(options.hgrm_path + name + ".service", run.service().hgrm(1e6)) && good;
    }
  }
  return good;
}

// As many sockets as the system lets us have; the rest is told as a failure to connect.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int run_session(const Options& options) {
  Progress progress(options.quiet ? Progress::Style::kNone : options.progress);
  if (!options.csv_path.empty() && !write_text_file(options.csv_path, "")) return kExitUsage;
  Session session(options, progress);
  const bool good = session.run();
  const bool to_stdout =
      options.json_path == "-" || options.hgrm_path == "-" || options.html_path == "-";
  for (const RunResult& run : session.results()) {
    const std::string text = text_report(run);
    std::fputs((options.quiet ? text.substr(0, text.find('\n') + 1) : text).c_str(),
               to_stdout ? stderr : stdout);
  }
  const bool written = write_files(options, session.results());
  if (!good) {
    std::fprintf(stderr, "dyno-bench: %s\n", session.error().c_str());
    return session.bad_settings() ? kExitUsage : kExitServer;
  }
  return written ? session.exit_code() : kExitServer;
}

int run(const std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments[0] == "compare") {
    return run_compare({arguments.begin() + 1, arguments.end()});
  }
  std::string why;
  const auto options = Options::parse(arguments, why);
  if (!options) return usage(why);
  if (options->version) {
    std::puts("dyno-bench " DYNO_VERSION);
    return 0;
  }
  if (!options->help.empty()) {
    const std::string text = help_text(options->help);
    if (text.empty()) return usage("no help topic is named '" + options->help + "'; see --help");
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  return run_session(*options);
}

extern "C" void on_signal(int) {
  // A second signal ends the process at once.
  if (LoadRun::interrupted.exchange(true)) std::_Exit(130);
}

}  // namespace

}  // namespace dyno::bench

int main(int count, char** values) {
  std::signal(SIGINT, dyno::bench::on_signal);
  std::signal(SIGTERM, dyno::bench::on_signal);
  std::signal(SIGPIPE, SIG_IGN);
  dyno::bench::raise_descriptor_limit();
  return dyno::bench::run({values + 1, values + count});
}
