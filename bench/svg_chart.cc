// SPDX-License-Identifier: Apache-2.0
// Scaling, ticks and paths. Coordinates are rounded to a tenth, which keeps pages small.
#include "bench/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace dyno::bench {

namespace {

constexpr double kWidth = 900;
constexpr double kHeight = 300;
constexpr double kLeft = 70;
constexpr double kRight = 16;
constexpr double kTop = 48;  // event names stand above the picture, in two rows
constexpr double kBottom = 30;

std::string fixed(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

// 1, 2 or 5 times a power of ten, about `count` of them up to `span`.
double nice_step(double span, int count) {
  const double raw = span / count;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10 * power;
}

class Axis {
 public:
  Axis(double low, double high, bool logarithmic, double from, double to)
      : low_(low), high_(high), logarithmic_(logarithmic), from_(from), to_(to) {
    if (logarithmic_) {
      low_ = std::max(low_, 1e-9);
      if (high_ <= low_) high_ = low_ * 10;
    } else if (high_ <= low_) {
      high_ = low_ + 1;
    }
  }

  double place(double value) const {
    const double share = logarithmic_
                             ? std::log(std::max(value, low_) / low_) / std::log(high_ / low_)
                             : (value - low_) / (high_ - low_);
    return from_ + std::clamp(share, 0.0, 1.0) * (to_ - from_);
  }

  std::vector<double> ticks() const {
    std::vector<double> values;
    if (logarithmic_) {
      const double decades = std::log10(high_ / low_);
      for (double power = std::pow(10, std::floor(std::log10(low_))); power <= high_ * 1.001;
           power *= 10) {
        for (const double factor : {1.0, 2.0, 5.0}) {
          if (decades > 3 && factor != 1.0) continue;
          const double value = factor * power;
          if (value >= low_ * 0.999 && value <= high_ * 1.001) values.push_back(value);
        }
      }
      return values;
    }
    const double step = nice_step(high_ - low_, 6);
    for (double value = std::ceil(low_ / step) * step; value <= high_ * 1.0001; value += step) {
      values.push_back(value);
    }
    return values;
  }

 private:
  double low_;
  double high_;
  bool logarithmic_;
  double from_;
  double to_;
};

struct Bounds {
  double x_low = 0, x_high = 0, y_low = 0, y_high = 0;
  bool any = false;
};

Bounds bounds_of(const Chart& chart) {
  Bounds bounds;
  for (const ChartSeries& series : chart.series) {
    for (const auto& [x, y] : series.points) {
      if (chart.log_y && y <= 0) continue;
      if (!bounds.any) bounds = {x, x, y, y, true};
      bounds.x_low = std::min(bounds.x_low, x);
      bounds.x_high = std::max(bounds.x_high, x);
      bounds.y_low = std::min(bounds.y_low, y);
      bounds.y_high = std::max(bounds.y_high, y);
    }
  }
  if (!chart.log_y) {
    bounds.y_low = 0;
    bounds.y_high *= 1.05;
  } else {
    bounds.y_low *= 0.8;
    bounds.y_high *= 1.25;
  }
  return bounds;
}

std::string grid(const Chart& chart, const Axis& x, const Axis& y) {
  std::string out;
  for (const double value : y.ticks()) {
    const std::string at = fixed(y.place(value));
    out += "<line class=grid x1=" + fixed(kLeft) + " x2=" + fixed(kWidth - kRight) + " y1=" + at +
           " y2=" + at + "></line><text class=tick text-anchor=end x=" + fixed(kLeft - 8) +
           " y=" + fixed(y.place(value) + 4) + ">" + escape_html(chart.show_y(value)) + "</text>";
  }
  std::vector<ChartTick> ticks = chart.x_ticks;
  if (ticks.empty()) {
    for (const double value : x.ticks()) ticks.push_back({value, chart.show_x(value)});
  }
  for (const ChartTick& tick : ticks) {
    const std::string at = fixed(x.place(tick.value));
    out += "<line class=grid x1=" + at + " x2=" + at + " y1=" + fixed(kTop) +
           " y2=" + fixed(kHeight - kBottom) +
           "></line><text class=tick text-anchor=middle x=" + at +
           " y=" + fixed(kHeight - kBottom + 18) + ">" + escape_html(tick.text) + "</text>";
  }
  return out;
}

std::string curve(const Chart& chart, const ChartSeries& series, const Axis& x, const Axis& y) {
  std::string path;
  std::string first_x;
  std::string last_x;
  for (const auto& [px, py] : series.points) {
    if (chart.log_y && py <= 0) continue;
    last_x = fixed(x.place(px));
    if (first_x.empty()) first_x = last_x;
    path += (path.empty() ? "M" : "L") + last_x + " " + fixed(y.place(py));
  }
  if (path.empty()) return {};
  const std::string colour = "s" + std::to_string(series.colour);
  std::string out;
  if (series.filled) {
    const std::string base = fixed(kHeight - kBottom);
    out += "<path class='area " + colour + "' d='" + path + "L" + last_x + " " + base + "L" +
           first_x + " " + base + "Z'></path>";
  }
  out += "<path class='line " + colour + "' d='" + path + "'></path>";
  if (series.points.size() == 1) {
    out += "<circle class='dot " + colour + "' r=4 cx=" + last_x +
           " cy=" + fixed(y.place(series.points[0].second)) + "></circle>";
  }
  return out;
}

// Invisible stripes over the picture, each with the values at its x as a tooltip.
std::string stripes(const Chart& chart, const Axis& x) {
  std::string out;
  if (!chart.tooltips) return out;
  const auto& points = chart.series[0].points;
  for (size_t i = 0; i < points.size(); ++i) {
    const double here = x.place(points[i].first);
    const double before = i == 0 ? here : x.place(points[i - 1].first);
    const double after = i + 1 == points.size() ? here : x.place(points[i + 1].first);
    const double left = i == 0 ? here - 4 : (before + here) / 2;
    const double right = i + 1 == points.size() ? here + 4 : (here + after) / 2;
    std::string text = chart.show_x(points[i].first);
    for (const ChartSeries& series : chart.series) {
      const auto found =
          std::find_if(series.points.begin(), series.points.end(),
                       [&](const auto& point) { return point.first == points[i].first; });
      if (found != series.points.end())
        text += "\n" + series.name + " " + chart.show_y(found->second);
    }
    out += "<rect class=stripe x=" + fixed(left) + " width=" + fixed(std::max(right - left, 1.0)) +
           " y=" + fixed(kTop) + " height=" + fixed(kHeight - kTop - kBottom) + "><title>" +
           escape_html(text) + "</title></rect>";
  }
  return out;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string render_chart(const Chart& chart) {
  const Bounds bounds = bounds_of(chart);
  if (!bounds.any) return {};
  const Axis x(bounds.x_low, bounds.x_high, chart.log_x, kLeft, kWidth - kRight);
  const Axis y(bounds.y_low, bounds.y_high, chart.log_y, kHeight - kBottom, kTop);
  std::string out = "<figure><figcaption><b>" + escape_html(chart.title) + "</b> <span>" +
                    escape_html(chart.note) + "</span><span class=legend>";
  for (const ChartSeries& series : chart.series) {
    out += "<i class='key s" + std::to_string(series.colour) + "'></i>" + escape_html(series.name) +
           " ";
  }
  out += "</span></figcaption><svg viewBox='0 0 " + fixed(kWidth) + " " + fixed(kHeight) +
         "' role=img aria-label=\"" + escape_html(chart.title) + "\">";
  out += grid(chart, x, y);
  for (const ChartSeries& series : chart.series) out += curve(chart, series, x, y);
  double row = 0;
  for (const ChartMark& mark : chart.marks) {
    const double at = x.place(mark.x);
    const bool right = at < kWidth * 0.7;
    const std::string place = fixed(at);
    out += "<line class=mark x1=" + place + " x2=" + place + " y1=" + fixed(kTop - 34 + row) +
           " y2=" + fixed(kHeight - kBottom) +
           "></line><text class=marktext text-anchor=" + (right ? "start" : "end") +
           " x=" + fixed(at + (right ? 5 : -5)) + " y=" + fixed(kTop - 24 + row) + ">" +
           escape_html(mark.text.substr(0, 48)) + "</text>";
    row = row > 0 ? 0 : 15;
  }
  return out + stripes(chart, x) + "</svg></figure>\n";
}

}  // namespace dyno::bench
