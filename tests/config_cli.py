#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server's command line and configuration file, with a real process.

Wrong configuration ends with 2 and one line per error that names the place and what was expected;
nothing is served then.  Right configuration from the file, the environment and the flags arrives at
CONFIG GET; CONFIG SET and REWRITE reach the file and survive a restart.
"""

import os
import re
import signal
import subprocess
import tempfile
import time

import resp_client
import tally
from tally import require, same

LISTEN = ["--client-listen", "127.0.0.1:0"]


class Started:
    """A server that said on which port it listens."""

    def __init__(self, words, env=None):
        self.process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            text=True,
        )
        self.said = ""
        deadline = time.monotonic() + 20
        while True:
            line = self.process.stdout.readline()
            self.said += line
            match = re.search(r"127\.0\.0\.1:(\d+)", line)
            if match:
                self.port = int(match.group(1))
                break
            if not line or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError("no port in what it said: %r" % self.said)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.process.stdout.close()
        same(code, 0, "exit code after SIGTERM")

    def get(self, name):
        with resp_client.Client(self.port) as client:
            return client.call("CONFIG", "GET", name)[1].decode()

    def call(self, *words):
        with resp_client.Client(self.port) as client:
            return client.call(*words)


class Cases:
    """All cases against one server binary."""

    def __init__(self, server, directory):
        self.server = server.split()
        self.path = os.path.join(directory, "dyno.toml")

    def write(self, content):
        with open(self.path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())

    def read(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def refused(self, words, env=None):
        """What the server printed to standard error when it refused to start."""
        done = subprocess.run(
            self.server + words,
            capture_output=True,
            env={**os.environ, **(env or {})},
            timeout=20,
            check=False,
        )
        text = done.stderr.decode(errors="replace")
        same(done.returncode, 2, "exit code with %r, which said %r" % (words, text[:300]))
        require(text.strip(), "said nothing")
        return text

    def refused_file(self, content, *expected):
        self.write(content)
        for words in (["--config", self.path], ["--check-config", "--config", self.path]):
            text = self.refused(words)
            for part in expected:
                require(part in text, "%r is not in %r" % (part, text[:500]))

    # The rows of bad configuration.

    def case_unknown_key(self):
        self.refused_file(
            '[client]\n\nlistn = "127.0.0.1:0"\n',
            self.path + ":3:1: unknown key",
            "did you mean client.listen?",
        )

    def case_bad_rings(self):
        own = '[ring]\nrack = "r1"\n'
        racks = ", ".join('"h%d:1:s%d:dc1:0"' % (i, i) for i in range(300))
        for text, expected in (
            ('tokens = ["4294967296"]\nseeds = ["h:1:r2:dc1:0"]', "from 0 to 4294967295"),
            ('tokens = ["-1"]\nseeds = ["h:1:r2:dc1:0"]', "from 0 to 4294967295"),
            ('tokens = []\nseeds = ["h:1:r2:dc1:0"]', "ring.tokens: expected at least one"),
            ('tokens = [""]\nseeds = ["h:1:r2:dc1:0"]', "ring.tokens: expected at least one"),
            ('tokens = ["1e3"]\nseeds = ["h:1:r2:dc1:0"]', "from 0 to 4294967295"),
            ('tokens = ["%d"]\nseeds = ["h:1:r2:dc1:0"]' % (1 << 128), "from 0 to 4294967295"),
            ('tokens = ["7", "7"]\nseeds = ["h:1:r2:dc1:0"]', "token 7 twice in rack 'r1'"),
            ('seeds = ["h:1:r2:dc1"]', "expected host:port:rack:dc:token"),
            ('seeds = ["h:0:r2:dc1:0"]', "expected a port from 1 to 65535"),
            ('seeds = ["h:65536:r2:dc1:0"]', "expected a port from 1 to 65535"),
            ('seeds = ["h:1:r2:dc1:99999999999"]', "a token from 0 to 4294967295"),
            ('seeds = ["h:1:r2:dc1:-1"]', "a token from 0 to 4294967295"),
            ('seeds = ["h:1:r2:dc1:0x10"]', "a token from 0 to 4294967295"),
            ('seeds = [":1:r2:dc1:0"]', "expected a host"),
            ('seeds = ["h:1::dc1:0"]', "rack '': expected 1 to 64 bytes"),
            ('seeds = ["h:1:%s:dc1:0"]' % ("r" * 65), "expected 1 to 64 bytes"),
            ('seeds = ["h:1:r:2:dc1:0"]', "expected host:port:rack:dc:token"),
            ('dc = "d:1"\nseeds = ["h:1:r2:dc1:0"]', "expected no colon"),
            ('seeds = ["h:1:r2:dc1:7", "i:1:r2:dc1:7"]', "token 7 twice in rack 'r2'"),
            ('seeds = ["h:1:r2:dc1:0", "h:1:r3:dc1:0"]', "two nodes at h:1"),
            ('seeds = ["h:1:r2:dc1:0", "i:1:R2:dc1:9"]', "expected one spelling"),
            ('seeds = ["h:1:r2:dc1:0", "i:1:r3:DC1:9"]', "expected one spelling"),
            ("seeds = [%s]" % racks, "301 racks: expected at most 255"),
            ('read_consistency = "dc_two"', "ring.read_consistency: expected"),
            ('timeout = 0\nseeds = ["h:1:r2:dc1:0"]', "ring.timeout: expected"),
            ('seeds = ["h:1:r2:dc1:0"]\n[peer]\nlisten = "127.0.0.1:0"', "peer.listen: expected"),
            ('seeds = ["h:1:r2:dc1:0"]\n[peer]\nlisten = "127.0.0.1:6379"', "another port than"),
        ):
            self.refused_file(own + text + "\n", expected)

    def case_wrong_section(self):
        self.refused_file("[clinet]\n", ":1:1: unknown section [clinet]", "[client]?")

    def case_wrong_kind(self):
        self.refused_file("[client]\nmaxclients = [1]\n", ":2:14: client.maxclients: expected")
        self.refused_file('[client]\nmaxclients = "many"\n', "a whole number from 1 to 4294967295")

    def case_wrong_unit(self):
        self.refused_file('[memory]\nmaxmemory = "64 mb"\n', ":2:13:", "such as 100, 64mb or 10GiB")
        self.refused_file('[client]\ntimeout = "250ms"\n', "in whole s")

    def case_duplicate_key(self):
        self.refused_file("[server]\nhz = 1\nhz = 2\n", ":3:", "duplicate key hz")

    def case_several_errors(self):
        self.write("[server]\nhz = 0\nfoo = 1\n[client]\nmaxclients = -1\n")
        text = self.refused(["--config", self.path])
        same(len(text.strip().splitlines()), 3, "lines of errors")

    def case_limits_at_their_ends(self):
        for value in ("-1", "9223372036854775808", "18446744073709551616", "1e9", '"10 mib"', "0x"):
            self.refused_file("[memory]\nmaxmemory = %s\n" % value, self.path + ":2:")
        for value, bytes_count in (("0", "0"), ('"10MiB"', "10485760"), ("1_000", "1000")):
            self.write("[memory]\nmaxmemory = %s\n" % value)
            with Started(self.server + LISTEN + ["--config", self.path]) as server:
                same(server.get("maxmemory"), bytes_count)

    def case_not_toml(self):
        self.refused_file(b"\x00\x01\x02\xff" * 1000, ":1:1: expected")
        self.refused_file(b"[client]\nlisten = \"\xff\"\n", ":2:", "UTF-8")
        self.refused_file("client:\n  listen: 127.0.0.1:1\n", ":1:")
        self.refused_file("a = " + "[" * 100000, "shorter")
        self.refused_file("a = [\n" + "[\n" * 100000, "less nesting")
        self.refused_file("#" * 10 * 1024 * 1024, "at most 1 mb")
        self.refused_file("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", ":1:")

    def case_not_there(self):
        text = self.refused(["--config", self.path + ".not"])
        require("No such file or directory" in text, text)
        require("directory" in self.refused(["--config", os.path.dirname(self.path)]), "a folder")

    def case_empty_file(self):
        self.write("")
        with Started(self.server + LISTEN + ["--config", self.path]) as server:
            same(server.get("maxclients"), "10000")

    def case_wrong_flags(self):
        require("--client-listen?" in self.refused(["--client-listn", "x"]), "no nearest flag")
        require("value" in self.refused(["--client-listen"]), "no value")
        self.refused(["--client-listen", "127.0.0.1:65536"])
        self.refused(["--client-listen", "127.0.0.1"])
        self.refused(["extra"])
        text = self.refused([], {"DYNO_CLIENT_TIMEOUT": "soon"})
        require("DYNO_CLIENT_TIMEOUT" in text, text)

    # What works.

    def case_order_of_sources(self):
        self.write("[client]\nmaxclients = 11\ntimeout = 11\n[server]\nhz = 11\n")
        flags = ["--config", self.path, "--server-hz=13"]
        env = {"DYNO_SERVER_HZ": "12", "DYNO_CLIENT_TIMEOUT": "12s"}
        with Started(self.server + LISTEN + flags, env) as server:
            same([server.get(n) for n in ("maxclients", "timeout", "hz")], ["11", "12", "13"])
            same(server.get("port"), str(server.port))

    def case_printed_config_starts(self):
        done = subprocess.run(
            self.server + ["--print-config"], capture_output=True, text=True, check=True
        )
        shown = re.sub(r"^# (\w+ = )", r"\1", done.stdout, flags=re.MULTILINE)
        self.write(shown.replace("127.0.0.1:6379", "127.0.0.1:0"))
        checked = subprocess.run(
            self.server + ["--check-config", "--config", self.path],
            capture_output=True,
            text=True,
            check=False,
        )
        same((checked.returncode, checked.stdout), (0, "configuration ok\n"))
        with Started(self.server + ["--config", self.path]) as server:
            same(server.call("PING"), b"PONG")

    def case_version_and_help(self):
        for flag in ("--version", "--help"):
            done = subprocess.run(self.server + [flag], capture_output=True, text=True, check=True)
            require("dyno-server" in done.stdout, done.stdout)

    def dump_delta(self, content):
        """Exit code, lines and error of --dump-delta of a file of these bytes."""
        self.write(content)
        done = subprocess.run(
            self.server + ["--dump-delta", self.path],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.returncode, done.stdout.splitlines(), done.stderr

    def case_dump_delta(self):
        empty = bytes.fromhex("f14401c294d33800")
        flush = "00 010200fa00000000 00 01 1300"
        value = "00 010300fa00000000 00 01 0300000178"
        fields = "00 010300fa00000000 016b 02 08000001660176 08000001670177"
        members = "01 010200fa00000000 016b 02 0b00016d 0bff03016e"
        frame = bytes.fromhex("f1440113bb21cc4c" + flush + value + fields + members)
        same(self.dump_delta(b""), (0, [], ""))
        code, lines, said = self.dump_delta(empty + frame + empty + empty)
        same((code, said), (0, ""))
        same(len([line for line in lines if line.startswith("frame at byte ")]), 4)
        same(lines[:3], ["frame at byte 0, 8 bytes", "frame at byte 8, 84 bytes", lines[2]])
        same(lines[2], 'db=0 key="" stamp=1704067201000.2.1')
        require('  field stamp=1704067201000.3.1 prev=none element="g" value="w"' in lines, lines)
        for broken, place in (
            (frame + frame[:-1], "at byte 84: no frame of deltas: byte 8: expected a body of 76 "),
            (frame + frame[:5], "at byte 84: no frame of deltas: byte 3: expected the checksum "),
            (frame + b"+OK\r\n" * 9, "at byte 84: no frame of deltas: byte 0: expected the magic "),
            (frame[:20] + b"!" + frame[21:], "at byte 0: no frame of deltas: byte 8: expected "),
        ):
            code, lines, said = self.dump_delta(broken)
            same(code, 1)
            require(said.startswith(self.path + ": " + place), said)
            same(bool(lines), place.startswith("at byte 84"), "lines before the broken frame")
        same(self.dump_delta(frame[:7] + b"\xf0\xff\xff\xff\x03" + frame[8:])[0], 1)

    def case_dump_delta_of_no_file(self):
        folder = os.path.dirname(self.path)
        for path, why in ((self.path + ".not", "No such file"), (folder, "Is a directory")):
            words = self.server + ["--dump-delta", path]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            same((done.returncode, done.stdout), (1, ""))
            require(path + ": " in done.stderr and why in done.stderr, done.stderr)
        require("expected a value" in self.refused(["--dump-delta"]), "no file was given")

    def case_rewrite_survives(self):
        self.write('# mine\n[client]\nlisten = "127.0.0.1:0"  # free\nmaxclients = 50\n')
        with Started(self.server + ["--config", self.path]) as server:
            same(server.call("CONFIG", "SET", "maxclients", "60", "maxmemory", "1gb"), b"OK")
            same(server.call("CONFIG", "REWRITE"), b"OK")
        same(
            self.read(),
            '# mine\n[client]\nlisten = "127.0.0.1:0"  # free\nmaxclients = 60\n\n'
            '[memory]\nmaxmemory = "1gb"\n',
        )
        with Started(self.server + ["--config", self.path]) as server:
            same(server.get("maxmemory"), str(1 << 30))
            self.write("broken = = 1\n")
            require(b"Rewriting config file" in str(server.call("CONFIG", "REWRITE")).encode(), "")
            same(server.call("PING"), b"PONG")

    def case_port_taken(self):
        with Started(self.server + LISTEN) as server:
            done = subprocess.run(
                self.server + ["--client-listen", "127.0.0.1:%d" % server.port],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
            require(done.returncode != 0, "a second server took the same port")
            require(str(server.port) in done.stderr + done.stdout, done.stderr)


def main():
    options = tally.arguments(__doc__).parse_args()
    count = tally.Tally("config_cli")
    with tempfile.TemporaryDirectory(prefix="dyno-config-") as directory:
        cases = Cases(options.server, directory)
        for name in sorted(vars(Cases)):
            if name.startswith("case_"):
                count.run(name[len("case_") :], getattr(cases, name))
    count.finish()


if __name__ == "__main__":
    main()
