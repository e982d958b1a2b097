// SPDX-License-Identifier: Apache-2.0
// Results as text for people, and as JSON, CSV and .hgrm for machines. docs/BENCHMARKING.md
// documents the formats.
#pragma once

#include <string>
#include <vector>

#include "bench/run_result.h"

namespace dyno::bench {

/// The table at the end of a run.
std::string text_report(const RunResult& run);

/// All runs of one invocation. `histograms` adds the buckets, so that results can be merged without
/// loss.
std::string json_report(const std::vector<RunResult>& runs, bool histograms);

std::string series_csv_header(const std::vector<Endpoint>& endpoints);
std::string series_csv_row(const SeriesPoint& point);

/// One page without outside references.
std::string html_report(const std::vector<RunResult>& runs);

/// "-" is standard output. False (with a message on standard error) when the file cannot be
/// written.
bool write_text_file(const std::string& path, const std::string& text);

}  // namespace dyno::bench
