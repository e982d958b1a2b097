// SPDX-License-Identifier: Apache-2.0
//
// Reads the configuration file with toml11 and edits it as text.
//
// toml11 recurses once per bracket and reads numbers that do not fit as 0. So the text is looked
// over first (size, encoding, depth of brackets), and a bare value is never taken from the library
// but from the place in the text where it says that the value stands.
#include "src/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <toml.hpp>
#include <utility>

namespace dyno {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;
constexpr size_t kLineBytesMax = 16 << 10;
constexpr size_t kDepthMax = 8;
constexpr size_t kDotsMax = 64;  // on one line

// Places in the text, counted as editors do: lines and columns from 1.
class LineIndex {
 public:
  explicit LineIndex(std::string_view source) : source_(source), starts_{0} {
    for (size_t i = 0; i < source.size(); ++i) {
      if (source[i] == '\n') starts_.push_back(i + 1);
    }
  }
  [[nodiscard]] size_t offset(size_t line, size_t column) const {
    if (line == 0 || line > starts_.size()) return source_.size();
    return std::min(starts_[line - 1] + std::max<size_t>(column, 1) - 1, source_.size());
  }
  [[nodiscard]] size_t line_start(size_t line) const { return offset(line, 1); }
  [[nodiscard]] std::pair<size_t, size_t> place(size_t offset) const {
    const auto after = std::upper_bound(starts_.begin(), starts_.end(), offset);
    const auto line = static_cast<size_t>(after - starts_.begin());
    return {line, offset - starts_[line - 1] + 1};
  }

 private:
  std::string_view source_;
  std::vector<size_t> starts_;
};

// Length of the UTF-8 sequence at the start of `text`; 0 when it is not valid.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

std::optional<FileError> check_encoding(const std::string& source, const LineIndex& lines) {
  const auto error = [&](size_t at, const char* what) {
    const auto [line, column] = lines.place(at);
    return FileError{line, column, what};
  };
  size_t line_start = 0;
  for (size_t i = 0; i < source.size();) {
    const auto byte = static_cast<unsigned char>(source[i]);
    if (i - line_start > kLineBytesMax) return error(i, "expected a line shorter than 16 kb");
    if (byte == '\n') line_start = i + 1;
    if (byte == 0x7f || (byte < 0x20 && byte != '\n' && byte != '\t' && byte != '\r')) {
      return error(i, "expected text, found a control character");
    }
    const size_t length = utf8_length(std::string_view(source).substr(i));
    if (length == 0) return error(i, "expected UTF-8 text");
    i += length;
  }
  return std::nullopt;
}

// The offset behind a string that begins at `at`; the end of the source when it is not closed.
size_t skip_string(std::string_view source, size_t at) {
  const char quote = source[at];
  const std::string triple(3, quote);
  const bool multi = source.substr(at, 3) == triple;
  size_t i = at + (multi ? 3 : 1);
  while (i < source.size()) {
    if (source[i] == '\\' && quote == '"') {
      i += 2;
    } else if (multi ? source.substr(i, 3) == triple : source[i] == quote) {
      return i + (multi ? 3 : 1);
    } else if (source[i] == '\n' && !multi) {
      return i;
    } else {
      ++i;
    }
  }
  return source.size();
}

std::optional<FileError> check_depth(const std::string& source, const LineIndex& lines) {
  size_t depth = 0;
  size_t dots = 0;
  for (size_t i = 0; i < source.size();) {
    const char c = source[i];
    if (c == '"' || c == '\'') {
      i = skip_string(source, i);
      continue;
    }
    if (c == '#') {
      i = std::min(source.find('\n', i), source.size());
      continue;
    }
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (c == '\n') dots = 0;
    if (c == '.') ++dots;
    if (depth > kDepthMax || dots > kDotsMax) {
      const auto [line, column] = lines.place(i);
      return FileError{line, column, "expected less nesting"};
    }
    ++i;
  }
  return std::nullopt;
}

// The first line of what toml11 says, without its own prefix and function name.
FileError syntax_error(const toml::exception& exception) {
  std::string what = exception.what();
  what = what.substr(0, what.find('\n'));
  const size_t function = what.find("toml::");
  const size_t colon = what.find(": ", function == std::string::npos ? 0 : function);
  if (function != std::string::npos && colon != std::string::npos) what = what.substr(colon + 2);
  if (what.find("already exists") != std::string::npos) {
    const size_t open = what.find("(\"");
    const size_t close = what.find("\")");
    const bool named = open != std::string::npos && close != std::string::npos && close > open;
    what = "duplicate key" + (named ? " " + what.substr(open + 2, close - open - 2) : "") +
           "; expected each key and section once";
  } else {
    what = "expected TOML: " + what;
  }
  return {exception.location().line(), exception.location().column(), std::move(what)};
}

class Walker {
 public:
  Walker(const std::string& source, const LineIndex& lines, std::vector<FileSetting>& out)
      : source_(source), lines_(lines), out_(out) {}

  void walk(const toml::value& value, const std::string& name, size_t depth) {
    if (value.is_table() && depth < 2) {
      for (const auto& [key, child] : value.as_table()) {
        walk(child, name.empty() ? key : name + "." + key, depth + 1);
      }
      if (depth == 0 || !value.as_table().empty()) return;
    }
    if (value.is_table()) return add(value, name, FileValueKind::kTable);
    if (value.is_string()) return add(value, name, FileValueKind::kText);
    if (value.is_array()) return add(value, name, FileValueKind::kList);
    add(value, name, FileValueKind::kBare);
  }

 private:
  void add(const toml::value& value, const std::string& name, FileValueKind kind) {
    const toml::source_location at = value.location();
    FileSetting setting;
    setting.name = name;
    setting.kind = kind;
    setting.line = at.line();
    setting.column = at.column();
    setting.offset = lines_.offset(at.line(), at.column());
    setting.length = std::min<size_t>(at.region(), source_.size() - setting.offset);
    setting.name_column = name_column(setting);
    setting.text = text_of(value, kind);
    out_.push_back(std::move(setting));
  }

  [[nodiscard]] std::string text_of(const toml::value& value, FileValueKind kind) const {
    if (kind == FileValueKind::kText) return value.as_string().str;
    if (kind == FileValueKind::kTable) return "";
    if (kind == FileValueKind::kBare) {
      const toml::source_location at = value.location();
      return bare_text(source_.substr(lines_.offset(at.line(), at.column()), at.region()));
    }
    std::string joined;
    for (const toml::value& item : value.as_array()) {
      if (!joined.empty()) joined += ' ';
      if (item.is_string()) {
        joined += item.as_string().str;
      } else if (!item.is_array() && !item.is_table()) {
        joined += text_of(item, FileValueKind::kBare);
      } else {
        joined += "?";
      }
    }
    return joined;
  }

  // TOML allows 10_000 and +5.
  [[nodiscard]] static std::string bare_text(std::string text) {
    std::erase(text, '_');
    if (text.starts_with('+')) text.erase(0, 1);
    return text;
  }

  [[nodiscard]] size_t name_column(const FileSetting& setting) const {
    const std::string_view source = source_;
    const size_t start = lines_.line_start(setting.line);
    const std::string_view line = source.substr(start, setting.offset - start);
    const size_t at = line.rfind(setting.name.substr(setting.name.rfind('.') + 1));
    return at == std::string_view::npos ? setting.column : at + 1;
  }

  const std::string& source_;
  const LineIndex& lines_;
  std::vector<FileSetting>& out_;
};

// Where a new key of `section` goes: behind the section's header or its last key. No value when the
// section has no header line.
std::optional<size_t> section_end(const std::string& source, const ConfigDocument& document,
                                  std::string_view section) {
  size_t at = 0;
  std::optional<size_t> end;
  while (at < source.size()) {
    const size_t line_end = std::min(source.find('\n', at), source.size());
    std::string_view line = std::string_view(source).substr(at, line_end - at);
    const size_t first = line.find_first_not_of(" \t");
    if (first != std::string_view::npos && line[first] == '[') {
      const size_t close = line.find(']');
      std::string_view inside = line.substr(first + 1, close - first - 1);
      const size_t from = inside.find_first_not_of(" \t");
      const size_t to = inside.find_last_not_of(" \t");
      if (from != std::string_view::npos && inside.substr(from, to - from + 1) == section) {
        end = line_end;
      }
    }
    at = line_end + 1;
  }
  if (!end) return std::nullopt;
  for (const FileSetting& setting : document.settings) {
    if (!setting.name.starts_with(std::string(section) + ".")) continue;
    const size_t behind = setting.offset + setting.length;
    end = std::max(*end, std::min(source.find('\n', behind), source.size()));
  }
  return end;
}

}  // namespace

ConfigDocument parse_config_document(const std::string& source) {
  ConfigDocument document;
  const LineIndex lines(source);
  for (const auto check : {check_encoding, check_depth}) {
    if (std::optional<FileError> error = check(source, lines)) {
      document.errors.push_back(std::move(*error));
      return document;
    }
  }
  try {
    std::istringstream stream(source);
    const toml::value root = toml::parse(stream, "");
    Walker(source, lines, document.settings).walk(root, "", 0);
  } catch (const toml::exception& exception) {
    document.errors.push_back(syntax_error(exception));
  } catch (const std::exception& exception) {
    document.errors.push_back({0, 0, std::string("expected TOML: ") + exception.what()});
  }
  std::sort(document.settings.begin(), document.settings.end(),
            [](const FileSetting& a, const FileSetting& b) { return a.offset < b.offset; });
  return document;
}

std::string edit_config_document(const std::string& source, const ConfigDocument& document,
                                 std::span<const ConfigEdit> edits) {
  struct Splice {
    size_t offset;
    size_t length;
    std::string text;
  };
  std::vector<Splice> splices;
  std::string missing;
  std::string missing_section;
  for (const ConfigEdit& edit : edits) {
    const auto at = std::find_if(document.settings.begin(), document.settings.end(),
                                 [&](const FileSetting& s) { return s.name == edit.name; });
    if (at != document.settings.end()) {
      splices.push_back({at->offset, at->length, edit.literal});
      continue;
    }
    const size_t dot = edit.name.find('.');
    const std::string section = edit.name.substr(0, dot);
    const std::string line = edit.name.substr(dot + 1) + " = " + edit.literal;
    if (const std::optional<size_t> end = section_end(source, document, section)) {
      splices.push_back({*end, 0, "\n" + line});
      continue;
    }
    if (section != missing_section) missing += "\n[" + section + "]\n";
    missing_section = section;
    missing += line + "\n";
  }
  // Backwards, so that the offsets that are still to come stay right; of equal ones the later edit
  // goes in first, which keeps their order.
  std::reverse(splices.begin(), splices.end());
  std::stable_sort(splices.begin(), splices.end(),
                   [](const Splice& a, const Splice& b) { return a.offset > b.offset; });
  std::string out = source;
  for (const Splice& splice : splices) out.replace(splice.offset, splice.length, splice.text);
  if (!missing.empty() && !out.empty() && !out.ends_with('\n')) out += '\n';
  return out + missing;
}

std::optional<std::string> read_config_file(const std::string& path, std::string& why) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    why = std::strerror(errno);
    return std::nullopt;
  }
  std::string content;
  char buffer[16 << 10];
  ssize_t count = 0;
  while (content.size() <= kFileBytesMax && (count = ::read(fd, buffer, sizeof(buffer))) > 0) {
    content.append(buffer, static_cast<size_t>(count));
  }
  if (count < 0) why = std::strerror(errno);
  ::close(fd);
  if (count < 0) return std::nullopt;
  if (content.size() <= kFileBytesMax) return content;
  why = "expected a file of at most 1 mb";
  return std::nullopt;
}

std::optional<std::string> replace_config_file(const std::string& path, std::string_view content) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::strerror(errno);
  std::string beside = path + ".XXXXXX";
  const int fd = ::mkostemp(beside.data(), O_CLOEXEC);
  if (fd < 0) return std::strerror(errno);
  bool ok = ::fchmod(fd, status.st_mode & 07777) == 0;
  while (ok && !content.empty()) {
    const ssize_t count = ::write(fd, content.data(), content.size());
    ok = count > 0;
    if (ok) content.remove_prefix(static_cast<size_t>(count));
  }
  ok = ok && ::fsync(fd) == 0;
  int error = errno;
  ok = ::close(fd) == 0 && ok;
  if (ok && ::rename(beside.c_str(), path.c_str()) == 0) return std::nullopt;
  if (ok) error = errno;
  ::unlink(beside.c_str());
  return std::strerror(error);
}

}  // namespace dyno
