// SPDX-License-Identifier: Apache-2.0
// Starting with fork and exec, because posix_spawn cannot tie the child's life to ours.
#include "bench/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "bench/clock.h"
#include "bench/control.h"

namespace dyno::bench {

namespace {

constexpr uint64_t kStart_ns = 60 * kSecond_ns;
constexpr uint64_t kStop_ns = 10 * kSecond_ns;

void nap() {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

bool answers_ping(const ServerAccess& access) {
  Control control;
  Reply reply;
  return control.connect(access, 0, 1000) && control.call({"PING"}, reply) &&
         reply.kind != ReplyKind::kError;
}

}  // namespace

bool ServerProcess::start(const std::string& command, const ServerAccess& access) {
  stop();
  error_.clear();
  if (answers_ping(access)) {
    error_ = access.endpoints[0].where() + " is in use already";
    return false;
  }
  char path[] = "/tmp/dyno-bench-server-XXXXXX";
  const int log = mkostemp(path, O_CLOEXEC);
  log_path_ = path;
  // exec: the process is the server itself, not a shell around it, so that its CPU time can be
  // read.
  const std::string line = "exec " + command;
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) {
    pid_ = 0;
    error_ = "cannot start a process";
    return false;
  }
  if (pid_ == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(nothing, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execl("/bin/sh", "sh", "-c", line.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  close(log);
  const uint64_t until = now_ns() + kStart_ns;
  while (now_ns() < until) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = 0;
      error_ = "'" + command + "' ended at once: " + last_output();
      return false;
    }
    if (answers_ping(access)) return true;
    nap();
  }
  error_ = "'" + command + "' does not answer PING at " + access.endpoints[0].where();
  stop();
  return false;
}

std::string ServerProcess::last_output() const {
  std::ifstream file(log_path_);
  std::string line;
  std::string last;
  while (std::getline(file, line)) {
    if (!line.empty()) last = line;
  }
  return last.empty() ? "no output" : last;
}

void ServerProcess::stop() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    const uint64_t until = now_ns() + kStop_ns;
    while (waitpid(pid_, nullptr, WNOHANG) == 0) {
      if (now_ns() > until) {
        kill(-pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        break;
      }
      nap();
    }
  }
  pid_ = 0;
  if (!log_path_.empty()) unlink(log_path_.c_str());
  log_path_.clear();
}

}  // namespace dyno::bench
