// SPDX-License-Identifier: Apache-2.0
// The page: figures, curves, tables and settings. It has no script, loads nothing, and follows the
// reader's choice of light or dark. Whatever came from a server or a command line is escaped.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bench/duration.h"
#include "bench/report.h"
#include "bench/svg_chart.h"

namespace dyno::bench {

namespace {

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1c1e21;--soft:#5d646d;
--rule:#e3e5e8;
--s0:#2563c9;--s1:#c2620a;--s2:#0e7f74;--s3:#c02f2f;--s4:#7a4fc0;--s5:#6b7280;--mark:#8a5a00;
--bad:#b42318;--good:#067647}
@media(prefers-color-scheme:dark){:root{--bg:#14161a;--card:#1c1f25;--ink:#e8eaed;--soft:#9aa3af;
--rule:#31363e;
--s0:#7aa7f5;--s1:#f0a35b;--s2:#4fc9bb;--s3:#f27d78;--s4:#b79bee;--s5:#a3abb7;--mark:#e0b45a;
--bad:#f58a84;--good:#6fd3a0}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:24px 20px 60px}h1{font-size:22px;margin:0 0 4px}
h2{font-size:18px;margin:36px 0 10px}
p{margin:4px 0;color:var(--soft)}.tiles{display:grid;
grid-template-columns:repeat(auto-fit,minmax(135px,1fr));gap:10px;margin:14px 0}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:10px 12px}
.tile b{display:block;font-size:21px;font-weight:600;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
figure{background:var(--card);border:1px solid var(--rule);border-radius:8px;margin:14px 0;
padding:12px 12px 4px}
figcaption{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:baseline}
figcaption span{color:var(--soft);font-size:13px}
.legend{margin-left:auto}.key{display:inline-block;width:14px;height:3px;border-radius:2px;
margin:0 5px 3px 10px;background:currentColor}
svg{display:block;width:100%;height:auto;font-family:inherit}.grid{stroke:var(--rule);
stroke-width:1}
.tick{fill:var(--soft);font-size:12px}.line{fill:none;stroke:currentColor;stroke-width:2;
stroke-linejoin:round}
.area{fill:currentColor;opacity:.13}.dot{fill:currentColor}.stripe{fill:transparent}
.stripe:hover{fill:var(--soft);opacity:.15}
.mark{stroke:var(--mark);stroke-width:1.5;stroke-dasharray:5 4}.marktext{fill:var(--mark);
font-size:12px}
.s0{color:var(--s0)}.s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}
.s4{color:var(--s4)}.s5{color:var(--s5)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;
font-variant-numeric:tabular-nums;font-size:14px}
th,td{padding:5px 9px;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th{color:var(--soft);font-weight:500}th:first-child,td:first-child{text-align:left}
td.text{text-align:left;white-space:normal;overflow-wrap:anywhere}
.bad{color:var(--bad);font-weight:600}.good{color:var(--good);font-weight:600}
)";

std::string tile(const std::string& value, const std::string& name) {
  return "<div class=tile><b>" + escape_html(value) + "</b><span>" + escape_html(name) +
         "</span></div>";
}

std::string latency_text(const Histogram& histogram, double percent) {
  return show_duration(static_cast<double>(histogram.percentile(percent)));
}

std::string tiles(const RunResult& run) {
  const Histogram latency = run.latency();
  std::string out = "<div class=tiles>";
  out += tile(show_amount(run.throughput()) + "/s", "answered");
  out += tile(latency_text(latency, 50), run.open_loop ? "p50, intended" : "p50");
  out += tile(latency_text(latency, 99), "p99");
  out += tile(latency_text(latency, 99.9), "p99.9");
  out += tile(show_duration(static_cast<double>(latency.max())), "slowest");
  out += tile(show_count(static_cast<double>(run.total.failed + run.total.unanswered)),
              "failed or unanswered");
  if (const auto cpu = run.server_cpu_us_per_request()) {
    out += tile(show_duration(*cpu * 1e3), "server CPU per request");
  }
  if (run.knee > 0) out += tile(show_amount(run.knee) + "/s", "knee");
  return out + "</div>\n";
}

std::string show_second(double second) {
  return show_amount(second) + " s";
}

std::vector<ChartMark> event_marks(const RunResult& run) {
  std::vector<ChartMark> marks;
  for (const EventMark& event : run.events) marks.push_back({event.at_s, event.text});
  return marks;
}

std::string throughput_chart(const RunResult& run) {
  Chart chart;
  chart.title = "Requests per second";
  chart.note = "over time";
  chart.marks = event_marks(run);
  chart.show_x = show_second;
  chart.show_y = show_amount;
  ChartSeries answered{"answered", {}, 0, true};
  ChartSeries failed{"failed", {}, 3, false};
  std::vector<ChartSeries> by_endpoint;
  for (size_t e = 0; e < run.endpoints.size(); ++e) {
    by_endpoint.push_back({run.endpoints[e].label(), {}, 1 + static_cast<int>(e % 5), false});
    if (by_endpoint.back().colour == 3) by_endpoint.back().colour = 5;
  }
  for (const SeriesPoint& point : run.series) {
    answered.points.emplace_back(point.at_s, static_cast<double>(point.answered) / point.span_s);
    failed.points.emplace_back(point.at_s, static_cast<double>(point.failed) / point.span_s);
    for (size_t e = 0; e < by_endpoint.size() && e < point.endpoint_answered.size(); ++e) {
      by_endpoint[e].points.emplace_back(
          point.at_s, static_cast<double>(point.endpoint_answered[e]) / point.span_s);
    }
  }
  chart.series.push_back(std::move(answered));
  if (run.total.failed > 0) chart.series.push_back(std::move(failed));
  if (run.endpoints.size() > 1 && run.endpoints.size() <= 5) {
    for (ChartSeries& series : by_endpoint) chart.series.push_back(std::move(series));
  }
  return render_chart(chart);
}

std::string latency_chart(const RunResult& run) {
  Chart chart;
  chart.title = "Latency";
  chart.note = run.open_loop ? "over time, from the intended start, logarithmic"
                             : "over time, from the send, logarithmic";
  chart.marks = event_marks(run);
  chart.log_y = true;
  chart.show_x = show_second;
  chart.show_y = show_duration;
  ChartSeries middle{"p50", {}, 2, false};
  ChartSeries high{"p99", {}, 1, false};
  ChartSeries highest{"p99.9", {}, 4, false};
  ChartSeries slowest{"slowest", {}, 3, false};
  for (const SeriesPoint& point : run.series) {
    middle.points.emplace_back(point.at_s, point.p50_ns);
    high.points.emplace_back(point.at_s, point.p99_ns);
    highest.points.emplace_back(point.at_s, point.p999_ns);
    slowest.points.emplace_back(point.at_s, point.max_ns);
  }
  chart.series = {std::move(middle), std::move(high), std::move(highest), std::move(slowest)};
  return render_chart(chart);
}

// The x axis is 1/(1-p): every decade is one more nine.
ChartSeries percentile_curve(const std::string& name, const Histogram& histogram, int colour) {
  ChartSeries series{name, {}, colour, false};
  const auto count = static_cast<double>(histogram.count());
  for (double inverse = 1; inverse <= count; inverse *= 1.1) {
    series.points.emplace_back(inverse,
                               static_cast<double>(histogram.percentile(100 * (1 - 1 / inverse))));
  }
  if (count > 0) series.points.emplace_back(count, static_cast<double>(histogram.max()));
  return series;
}

std::string percentile_chart(const RunResult& run) {
  Chart chart;
  chart.title = "Latency by percentile";
  chart.note = "logarithmic; each step to the right is one more nine";
  chart.log_x = chart.log_y = true;
  chart.tooltips = false;
  chart.show_x = show_amount;
  chart.show_y = show_duration;
  const Histogram latency = run.latency();
  const auto count = static_cast<double>(latency.count());
  const char* const names[] = {"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"};
  double inverse = 1;
  for (const char* name : names) {
    if (inverse <= count) chart.x_ticks.push_back({inverse, name});
    inverse *= 10;
  }
  if (run.open_loop) {
    chart.series.push_back(percentile_curve("from the intended start", run.intended(), 0));
    chart.series.push_back(percentile_curve("service time", run.service(), 1));
  } else {
    chart.series.push_back(percentile_curve("all", run.service(), 0));
    int colour = 1;
    for (size_t i = 0; i < run.operations.size() && run.operations.size() > 1 && colour < 6; ++i) {
      const Histogram one = run.service(static_cast<int>(i));
      if (one.count() == 0 || run.operations.size() > 5) continue;
      chart.series.push_back(percentile_curve(run.operations[i], one, colour++));
    }
  }
  return render_chart(chart);
}

std::string latency_row(const std::string& name, const std::string& kind,
                        const Histogram& histogram, double seconds) {
  if (histogram.count() == 0) return {};
  std::string out =
      "<tr><td>" + escape_html(name) + "</td><td>" + kind + "</td><td>" +
      show_count(static_cast<double>(histogram.count())) + "</td><td>" +
      show_amount(seconds > 0 ? static_cast<double>(histogram.count()) / seconds : 0) + "</td>";
  for (const double percent : {50.0, 90.0, 99.0, 99.9, 99.99, 99.999}) {
    out += "<td>" + latency_text(histogram, percent) + "</td>";
  }
  return out + "<td>" + show_duration(static_cast<double>(histogram.max())) + "</td></tr>";
}

std::string latency_table(const RunResult& run) {
  std::string out =
      "<h2>Latencies</h2><div "
      "class=scroll><table><tr><th></th><th>latency</th><th>requests</th><th>per "
      "s</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>p99.99</th><th>p99.999</"
      "th><th>max</th></tr>";
  const auto rows = [&](const std::string& name, int operation, int endpoint) {
    if (run.open_loop)
      out += latency_row(name, "intended", run.intended(operation, endpoint), run.seconds);
    out += latency_row(run.open_loop ? "" : name, "service", run.service(operation, endpoint),
                       run.seconds);
  };
  rows("all", -1, -1);
  for (size_t i = 0; i < run.operations.size() && run.operations.size() > 1; ++i) {
    rows(run.operations[i], static_cast<int>(i), -1);
  }
  for (size_t i = 0; i < run.endpoints.size() && run.endpoints.size() > 1; ++i) {
    rows(run.endpoints[i].label(), -1, static_cast<int>(i));
  }
  return out + "</table></div>\n";
}

std::string error_table(const RunResult& run) {
  if (run.total.errors.kinds().empty() && run.total.unanswered + run.total.not_sent == 0) return {};
  std::string out =
      "<h2>Errors</h2><div class=scroll><table><tr><th>kind</th><th>count</th><th "
      "style='text-align:left'>first</th></tr>";
  for (const ErrorKind& kind : run.total.errors.kinds()) {
    out += "<tr><td>" + escape_html(kind.kind) + "</td><td>" +
           show_count(static_cast<double>(kind.count)) + "</td><td class=text>" +
           escape_html(kind.first) + "</td></tr>";
  }
  out += "<tr><td>unanswered at the end</td><td>" +
         show_count(static_cast<double>(run.total.unanswered)) +
         "</td><td></td></tr><tr><td>due, never sent</td><td>" +
         show_count(static_cast<double>(run.total.not_sent)) + "</td><td></td></tr>";
  return out + "</table></div>\n";
}

std::string verify_table(const VerifyFindings& findings) {
  const bool good = findings.total() == 0 && findings.unreachable.empty();
  std::string out = "<h2>Verification: <span class=";
  out += good ? "good>passed" : "bad>failed";
  out += "</span></h2><p>" + show_count(static_cast<double>(findings.reads_checked)) +
         " reads checked, " + show_count(static_cast<double>(findings.writes_acknowledged)) +
         " writes acknowledged, " + show_count(static_cast<double>(findings.writes_unknown)) +
         " of unknown outcome, " + show_count(static_cast<double>(findings.cells_read_back)) +
         " values read back</p><div class=scroll><table>";
  for (size_t kind = 0; kind < VerifyFindings::kKinds; ++kind) {
    out += std::string("<tr><td>") + VerifyFindings::kNames[kind] + "</td><td" +
           (findings.counts[kind] > 0 ? " class=bad>" : ">") +
           show_count(static_cast<double>(findings.counts[kind])) + "</td><td class=text>" +
           (findings.listed[kind].empty() ? "" : escape_html(findings.listed[kind][0])) +
           "</td></tr>";
  }
  for (const std::string& text : findings.unreachable) {
    out += "<tr><td class=bad>not read back</td><td></td><td class=text>" + escape_html(text) +
           "</td></tr>";
  }
  return out + "</table></div>\n";
}

std::string staircase_table(const RunResult& run) {
  if (run.staircase.empty()) return {};
  Chart chart;
  chart.title = "Staircase";
  chart.note = "p99 from the intended start by asked rate; the knee is the highest rate that held";
  chart.log_x = chart.log_y = true;
  chart.show_x = [](double value) { return show_amount(value) + "/s"; };
  chart.show_y = show_duration;
  ChartSeries steps{"p99", {}, 0, false};
  for (const Staircase::Step& step : run.staircase) {
    steps.points.emplace_back(step.rate, static_cast<double>(step.p99_ns));
  }
  std::sort(steps.points.begin(), steps.points.end());
  chart.series.push_back(std::move(steps));
  if (run.knee > 0) chart.marks.push_back({run.knee, "knee " + show_amount(run.knee) + "/s"});
  return render_chart(chart);
}

std::string show_figure(double value) {
  if (value == std::floor(value)) return show_count(value);
  char text[40];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

std::string pairs_table(const std::string& title,
                        const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string out = "<h2>" + escape_html(title) + "</h2><div class=scroll><table>";
  for (const auto& [name, value] : pairs) {
    out +=
        "<tr><td>" + escape_html(name) + "</td><td class=text>" + escape_html(value) + "</td></tr>";
  }
  return out + "</table></div>\n";
}

std::string one_run(const RunResult& run) {
  std::string out = "<section><h1>" + escape_html(run.name) + "</h1><p>" +
                    show_count(static_cast<double>(run.total.answered)) + " requests in " +
                    show_duration(run.seconds * 1e9);
  if (run.open_loop) out += ", " + show_count(run.rate_asked) + "/s asked for";
  if (!run.stopped.empty())
    out += ", <span class=bad>ended early: " + escape_html(run.stopped) + "</span>";
  out += "</p>" + tiles(run) + throughput_chart(run) + latency_chart(run) + percentile_chart(run);
  out += staircase_table(run) + latency_table(run) + error_table(run);
  if (run.verify) out += verify_table(*run.verify);
  for (const auto& [where, figures] : run.info) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const auto& [name, value] : figures) pairs.emplace_back(name, show_figure(value));
    out += pairs_table("INFO of " + where + ": changes", pairs);
  }
  return out + pairs_table("Settings", run.settings) + "</section>\n";
}

}  // namespace

std::string html_report(const std::vector<RunResult>& runs) {
  std::string out =
      "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport "
      "content='width=device-width,initial-scale=1'><title>dyno-bench report</title><style>";
  out += kStyle;
  out += "</style></head><body><main>\n";
  for (const RunResult& run : runs) out += one_run(run);
  return out + "<p>dyno-bench " DYNO_VERSION
               "; latencies have a relative error of at most 0.1 %</p></main></body></html>\n";
}

}  // namespace dyno::bench
