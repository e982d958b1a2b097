// SPDX-License-Identifier: Apache-2.0
// The only file that sees OpenSSL. Its errors become one line each.
#include "bench/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <climits>

namespace dyno::bench {

namespace {

SSL_CTX* context_of(void* pointer) {
  return static_cast<SSL_CTX*>(pointer);
}
SSL* ssl_of(void* pointer) {
  return static_cast<SSL*>(pointer);
}

std::string last_error() {
  const unsigned long code = ERR_get_error();
  char text[200] = "connection broken";
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

}  // namespace

std::shared_ptr<TlsContext> TlsContext::create(const TlsSettings& settings, std::string& why) {
  std::shared_ptr<TlsContext> result(new TlsContext);
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  result->context_ = context;
  if (context == nullptr) {
    why = "TLS: " + last_error();
    return nullptr;
  }
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  const bool trusted =
      settings.ca_cert.empty()
          ? SSL_CTX_set_default_verify_paths(context) == 1
          : SSL_CTX_load_verify_locations(context, settings.ca_cert.c_str(), nullptr) == 1;
  if (!trusted && !settings.insecure) {
    why = "TLS: cannot read the authorities in " + settings.ca_cert + ": " + last_error();
    return nullptr;
  }
  if (!settings.cert.empty() &&
      (SSL_CTX_use_certificate_chain_file(context, settings.cert.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(context, settings.key.c_str(), SSL_FILETYPE_PEM) != 1)) {
    why = "TLS: cannot use " + settings.cert + " with " + settings.key + ": " + last_error();
    return nullptr;
  }
  SSL_CTX_set_verify(context, settings.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  result->server_name_ = settings.server_name;
  result->verify_name_ = !settings.insecure;
  return result;
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_of(context_));
}

TlsStream::TlsStream(const TlsContext& context, int fd, const std::string& host) {
  SSL* ssl = SSL_new(context_of(context.context_));
  ssl_ = ssl;
  const std::string& name = context.server_name_.empty() ? host : context.server_name_;
  const bool address = name.find_first_not_of("0123456789.:abcdefABCDEF") == std::string::npos;
  if (!address) SSL_set_tlsext_host_name(ssl, name.c_str());
  if (context.verify_name_) {
    X509_VERIFY_PARAM* check = SSL_get0_param(ssl);
    if (!address || X509_VERIFY_PARAM_set1_ip_asc(check, name.c_str()) != 1) {
      X509_VERIFY_PARAM_set1_host(check, name.c_str(), name.size());
    }
  }
  SSL_set_fd(ssl, fd);
  SSL_set_connect_state(ssl);
}

TlsStream::~TlsStream() {
  SSL_free(ssl_of(ssl_));
}

bool TlsStream::has_buffered() const {
  return SSL_has_pending(ssl_of(ssl_)) == 1;
}

long TlsStream::receive(char* to, size_t bytes) {
  return outcome(SSL_read(ssl_of(ssl_), to, static_cast<int>(std::min<size_t>(bytes, INT_MAX))));
}

long TlsStream::send(const char* from, size_t bytes) {
  return outcome(SSL_write(ssl_of(ssl_), from, static_cast<int>(std::min<size_t>(bytes, INT_MAX))));
}

long TlsStream::outcome(int result) {
  if (result > 0) return result;
  const int code = SSL_get_error(ssl_of(ssl_), result);
  wants_write_ = code == SSL_ERROR_WANT_WRITE;
  if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) return kAgain;
  if (code == SSL_ERROR_ZERO_RETURN) return kClosed;
  const long verify = SSL_get_verify_result(ssl_of(ssl_));
  error_ = verify == X509_V_OK ? last_error() : X509_verify_cert_error_string(verify);
  ERR_clear_error();
  return kFailed;
}

}  // namespace dyno::bench
