// SPDX-License-Identifier: Apache-2.0
#include "protocol/resp_reply.h"

#include <cstring>

#include "protocol/number.h"

namespace dyno {
namespace {

// Type byte, digits and CR LF.
constexpr size_t kHeaderBytesMax = 1 + kInt64TextMax + 2;

size_t write_header(char* out, char type, uint64_t count) {
  size_t size = 1;
  out[0] = type;
  if (count < 10) {
    out[size++] = static_cast<char>('0' + count);
  } else {
    size += format_int64(static_cast<int64_t>(count), out + 1);
  }
  out[size++] = '\r';
  out[size++] = '\n';
  return size;
}

}  // namespace

void Reply::header(char type, uint64_t count) {
  out_->commit(write_header(out_->reserve(kHeaderBytesMax), type, count));
}

void Reply::finish(size_t begun, char type, uint64_t count) {
  char text[kHeaderBytesMax];
  out_->insert(begun, {text, write_header(text, type, count)});
}

void Reply::simple(std::string_view text) {
  out_->push_back('+');
  out_->append(text);
  out_->append("\r\n", 2);
}

void Reply::error(std::string_view text) {
  out_->push_back('-');
  size_t start = out_->size();
  out_->append(text);
  for (char* p = out_->data() + start; p != out_->data() + out_->size(); ++p) {
    if (*p == '\r' || *p == '\n') *p = ' ';
  }
  out_->append("\r\n", 2);
}

void Reply::integer(int64_t value) {
  char* out = out_->reserve(kHeaderBytesMax);
  out[0] = ':';
  size_t size = 1 + format_int64(value, out + 1);
  out[size++] = '\r';
  out[size++] = '\n';
  out_->commit(size);
}

void Reply::bulk(std::string_view bytes) {
  char* out = out_->reserve(kHeaderBytesMax + bytes.size() + 2);
  size_t size = write_header(out, '$', bytes.size());
  if (!bytes.empty()) std::memcpy(out + size, bytes.data(), bytes.size());
  size += bytes.size();
  out[size++] = '\r';
  out[size++] = '\n';
  out_->commit(size);
}

void Reply::bulk_int(int64_t value) {
  char text[kInt64TextMax];
  bulk({text, format_int64(value, text)});
}

void Reply::number(double value) {
  std::string text = format_double(value);
  if (version_ == 3) {
    out_->push_back(',');
    out_->append(text);
    out_->append("\r\n", 2);
  } else {
    bulk(text);
  }
}

void Reply::verbatim(std::string_view text, std::string_view format) {
  if (version_ != 3) return bulk(text);
  header('=', text.size() + 4);
  out_->append(format.substr(0, 3));
  out_->push_back(':');
  out_->append(text);
  out_->append("\r\n", 2);
}

}  // namespace dyno
