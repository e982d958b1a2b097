// SPDX-License-Identifier: Apache-2.0
// A line chart as inline SVG: linear or logarithmic axes, a legend, event marks, tooltips without
// scripts.
//
// Colours are not in the SVG but in the page's style (classes s0 … s5), so that light and dark
// differ there only.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace dyno::bench {

struct ChartSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;  // ascending in x
  int colour = 0;                                 // class s0 … s5
  bool filled = false;
};

struct ChartMark {
  double x = 0;
  std::string text;
};

struct ChartTick {
  double value = 0;
  std::string text;
};

struct Chart {
  std::string title;
  std::string note;  // one line under the title: what the axes are
  std::vector<ChartSeries> series;
  std::vector<ChartMark> marks;
  bool log_x = false;
  bool log_y = false;
  std::vector<ChartTick> x_ticks;  // empty: chosen
  std::function<std::string(double)> show_x;
  std::function<std::string(double)> show_y;
  bool tooltips = true;  // one per x value of the first series
};

/// The chart as a <figure>; empty when no series has a point.
std::string render_chart(const Chart& chart);

/// & < > " as entities.
std::string escape_html(const std::string& text);

}  // namespace dyno::bench
