// SPDX-License-Identifier: Apache-2.0
// Progress goes to standard error, so that standard output holds results only.
#include "bench/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/clock.h"
#include "bench/duration.h"

namespace dyno::bench {

namespace {

unsigned terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(Style style) : style_(style) {
  if (style_ != Style::kAuto) return;
  const char* const terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::strcmp(terminal, "dumb") == 0;
  style_ = isatty(STDERR_FILENO) == 1 && !dumb ? Style::kBar : Style::kLines;
}

void Progress::show(const ProgressView& view, uint64_t now_ns) {
  if (style_ == Style::kNone || now_ns < next_ns_) return;
  std::string figures = show_amount(view.rate) + "/s";
  if (view.p50_ns > 0) {
    figures += "  p50 " + show_duration(static_cast<double>(view.p50_ns)) + "  p99 " +
               show_duration(static_cast<double>(view.p99_ns));
  }
  if (view.errors > 0) figures += "  errors " + show_amount(static_cast<double>(view.errors));
  char left[40];
  std::snprintf(left, sizeof left, "  %.0f s left", std::max(0.0, view.left_s));
  figures += left;
  if (style_ == Style::kLines) {
    next_ns_ = now_ns + kSecond_ns;
    std::fprintf(stderr, "%s %3.0f %%  %s\n", view.phase.c_str(), view.done * 100, figures.c_str());
    return;
  }
  next_ns_ = now_ns + kSecond_ns / 10;
  const size_t columns = terminal_columns() - 1;
  std::string line = view.phase + " ";
  const size_t taken = line.size() + figures.size() + 10;
  const size_t width = columns > taken + 8 ? std::min<size_t>(columns - taken, 30) : 0;
  if (width > 0) {
    // Eighths of a block make the bar move smoothly.
    static const char* const kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const auto eighths =
        static_cast<size_t>(std::clamp(view.done, 0.0, 1.0) * static_cast<double>(width) * 8);
    std::string bar;
    for (size_t i = 0; i < eighths / 8; ++i) bar += "█";
    size_t cells = eighths / 8;
    if (eighths % 8 != 0) {
      bar += kEighths[eighths % 8];
      ++cells;
    }
    bar.append(width - cells, ' ');
    line += "▕" + bar + "▏ ";
  }
  char percent[16];
  std::snprintf(percent, sizeof percent, "%3.0f %%  ", view.done * 100);
  line += percent + figures;
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::clear() {
  if (drawn_) {
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
  }
  drawn_ = false;
  next_ns_ = 0;
}

}  // namespace dyno::bench
