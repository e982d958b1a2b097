// SPDX-License-Identifier: Apache-2.0
// TLS over a socket that is already connected. OpenSSL is seen by tls_stream.cc alone.
//
// Both calls work on blocking and on non-blocking sockets and do the handshake as they go.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace dyno::bench {

struct TlsSettings {
  bool enabled = false;
  bool insecure = false;  // do not verify the server's certificate
  std::string ca_cert;    // file with the authorities to trust; empty: the system's
  std::string cert;
  std::string key;
  std::string server_name;
};

/// Certificates and settings, shared by all connections; usable from several threads.
class TlsContext {
 public:
  /// nullptr with one line in `why`.
  static std::shared_ptr<TlsContext> create(const TlsSettings& settings, std::string& why);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsStream;
  TlsContext() = default;
  void* context_ = nullptr;
  std::string server_name_;
  bool verify_name_ = false;
};

class TlsStream {
 public:
  /// What a call came to when it moved no bytes.
  enum : long { kClosed = 0, kAgain = -1, kFailed = -2 };

  /// `host` is checked against the certificate unless the settings name another.
  TlsStream(const TlsContext& context, int fd, const std::string& host);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  /// Bytes moved, or one of the above. `wants_write()` says what kAgain waits for.
  long receive(char* to, size_t bytes);
  long send(const char* from, size_t bytes);
  /// Received bytes that the socket no longer shows as readable.
  bool has_buffered() const;
  bool wants_write() const { return wants_write_; }
  /// Why the last call failed.
  const std::string& error() const { return error_; }

 private:
  long outcome(int result);
  void* ssl_ = nullptr;
  bool wants_write_ = false;
  std::string error_;
};

}  // namespace dyno::bench
