// SPDX-License-Identifier: Apache-2.0
// A blocking client for everything that is not load: PING, INFO, preparing commands, reading back.
//
// Every call is bounded by the timeout given at connect. One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/out_buffer.h"
#include "bench/plan.h"
#include "bench/reply_parser.h"
#include "bench/tls_stream.h"

namespace dyno::bench {

class Control {
 public:
  ~Control();
  Control() = default;
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  /// Connects and greets. False with the reason in error().
  bool connect(const ServerAccess& access, size_t endpoint, unsigned timeout_ms);
  /// Sends rendered commands.
  bool send(const OutBuffer& out);
  /// The next reply; its text (and `leaves`) stay valid until the next call. False: see error().
  bool receive(Reply& reply, std::vector<std::string>* leaves = nullptr);
  /// Sends one command and takes its reply; an error reply is a success here.
  bool call(const std::vector<std::string>& words, Reply& reply);
  const std::string& error() const { return error_; }

 private:
  bool send_bytes(const char* from, size_t bytes);
  int fd_ = -1;
  std::unique_ptr<TlsStream> tls_;
  ReplyParser parser_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  std::string error_;
};

/// Appends one command of literal words.
void append_command(OutBuffer& out, std::initializer_list<std::string_view> words);
void append_command(OutBuffer& out, const std::vector<std::string>& words);

}  // namespace dyno::bench
