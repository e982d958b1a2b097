// SPDX-License-Identifier: Apache-2.0
//
// A section of INFO, and the sections that have files of their own.
#pragma once

#include <cstdint>
#include <cstdio>
#include <iterator>
#include <string>
#include <string_view>

namespace dyno {

class RingNode;
class Server;

// Appends to a text: a title, then lines "name:value".
class Section {
 public:
  Section(std::string* text, std::string_view title) : text_(text) {
    if (!text_->empty()) text_->append("\r\n");
    text_->append("# ").append(title).append("\r\n");
  }
  void add(std::string_view name, std::string_view value) {
    text_->append(name).append(":").append(value).append("\r\n");
  }
  void add(std::string_view name, int64_t value) { add(name, std::to_string(value)); }
  void add_number(std::string_view name, const char* format, double value) {
    char text[64];
    std::snprintf(text, sizeof(text), format, value);
    add(name, text);
  }
  // Bytes, and a second field for people.
  void add_bytes(std::string_view name, int64_t bytes) {
    add(name, bytes);
    constexpr std::string_view kUnits[] = {"B", "K", "M", "G", "T"};
    double value = static_cast<double>(bytes);
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
    char text[64];
    std::snprintf(text, sizeof(text), unit == 0 ? "%.0f%s" : "%.2f%s", value, kUnits[unit].data());
    add(std::string(name) + "_human", text);
  }

 private:
  std::string* text_;
};

void add_persistence(Server& server, std::string* text);
void add_ring(RingNode& ring, std::string* text);

}  // namespace dyno
