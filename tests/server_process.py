# SPDX-License-Identifier: Apache-2.0
"""Starts and stops the server that a process-level test talks to.

A server is given as a command line (`build/dyno-server`, `redis-server`, either with further
arguments).  It listens on a free port of 127.0.0.1 only, keeps its files in a directory of its own
under the temporary directory, and is ended, if need be killed, when the `with` block is left.
What it printed is kept in `log_path` until then, and shown when it did not start or crashed.
"""

import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import resp_client


GIVEN_PORTS = set()


def free_port():
    """A port that nobody has now, that was not given out before, or a ring of many ports would
    sometimes get one twice, and that the system gives to nobody who dials out meanwhile."""
    while True:
        port = random.randrange(20000, 32000)
        if port in GIVEN_PORTS:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        GIVEN_PORTS.add(port)
        return port


class ServerProcess:
    """One running server."""

    def __init__(
        self, command, options=None, redis_options=None, dyno_options=None, password=None
    ):
        self.words = shlex.split(command)
        if "/" in self.words[0]:
            self.words[0] = os.path.abspath(self.words[0])
        self.is_redis = "redis-server" in os.path.basename(self.words[0])
        self.options = dict(options or {})
        self.options.update((redis_options if self.is_redis else dyno_options) or {})
        self.password = password
        self.process = None
        self.directory = None
        self.port = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.stop(quiet=kind is not None)

    def arguments(self):
        if self.is_redis:
            fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
            fixed.append(self.directory)
        else:
            listen = "127.0.0.1:%d" % self.port
            fixed = ["--client-listen", listen]
            for name in ("--admin-listen", "--peer-listen"):
                if name in self.known_flags():
                    fixed += [name, "127.0.0.1:0"]
        for name, value in self.options.items():
            fixed += ["--" + name, str(value)]
        return self.words + fixed

    def known_flags(self):
        """The table names that --print-config shows, as flags."""
        done = subprocess.run(
            self.words + ["--print-config"], capture_output=True, text=True, check=False
        )
        flags, table = set(), ""
        for line in done.stdout.splitlines():
            line = line.strip().lstrip("# ")
            head = re.match(r"\[([a-z_]+)\]", line)
            if head:
                table = head.group(1)
            name = re.match(r"([a-z_]+)\s*=", line)
            if name:
                flags.add("--%s-%s" % (table, name.group(1)))
        return flags

    def start(self):
        self.port = free_port()
        self.directory = tempfile.mkdtemp(prefix="dyno-test-")
        self.log_path = os.path.join(self.directory, "server.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.arguments(), stdout=log, stderr=subprocess.STDOUT, cwd=self.directory
            )
        deadline = time.monotonic() + 20
        while True:
            if self.process.poll() is not None:
                text = self.log()
                shutil.rmtree(self.directory, ignore_errors=True)
                raise SystemExit("%s did not start:\n%s" % (self.words[0], text[-4000:]))
            try:
                with resp_client.Client(self.port, timeout=2) as client:
                    if self.password:
                        client.call("AUTH", self.password)
                    if client.call("PING") == b"PONG":
                        return
            except (OSError, resp_client.Closed):
                pass
            if time.monotonic() > deadline:
                self.kill()
                raise SystemExit("%s does not answer:\n%s" % (self.words[0], self.log()[-4000:]))
            time.sleep(0.02)

    def log(self):
        try:
            with open(self.log_path, "r", encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def alive(self):
        return self.process.poll() is None

    def client(self, resp=2, timeout=30.0):
        return resp_client.Client(self.port, resp=resp, timeout=timeout)

    def rss(self):
        """Resident bytes of the process."""
        return self._status("VmRSS:") * 1024

    def peak_rss(self):
        return self._status("VmHWM:") * 1024

    def _status(self, name):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as file:
            for line in file:
                if line.startswith(name):
                    return int(line.split()[1])
        return 0

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self, quiet=False):
        """End the server; a server that ended by itself or by a signal is an error."""
        code = self.process.poll()
        crashed = code is not None
        if not crashed:
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                code = "did not end on SIGTERM"
        text = self.log()
        shutil.rmtree(self.directory, ignore_errors=True)
        if code != 0:
            print("%s ended with %s:\n%s" % (self.words[0], code, text[-6000:]))
            if not quiet:
                raise AssertionError("%s ended with %s" % (self.words[0], code))
