#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real clients, unmodified: redis-cli, redis-benchmark, redis-py, ioredis and node-redis.

The programs of tests/clients/ use the libraries and print one line for each case.  npm's packages
are installed by exact version into a cache directory outside of the tree.  What is not installed
on this machine is skipped, and counted so.
"""

import fcntl
import hashlib
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

# pylint: disable=wrong-import-position
import resp_client
import tally
from server_process import ServerProcess
from tally import Skip, require, same

PROGRAMS = os.path.join(HERE, "clients")


def plain(text):
    """Text without the codes for colours and the cursor."""
    return re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", text)


class Tools:
    """The server that the tools talk to, and how they are run."""

    def __init__(self, server, long):
        self.server = server
        self.long = long

    def run(self, *words, feed=None, seconds=30, expect_code=0):
        if not shutil.which(words[0]):
            raise Skip(words[0] + " is not installed")
        done = subprocess.run(
            words,
            input=feed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
        text = plain(done.stdout.decode("utf-8", "replace"))
        require(
            expect_code is None or done.returncode == expect_code,
            "%s ended with %d: %s" % (" ".join(words), done.returncode, text[-400:]),
        )
        return text

    def cli(self, *words, **options):
        return self.run("redis-cli", "-p", str(self.server.port), *words, **options)

    def cli_for(self, seconds, *words, feed=()):
        """What redis-cli prints to a terminal in that time, while keys are typed."""
        if not shutil.which("redis-cli"):
            raise Skip("redis-cli is not installed")
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execvp("redis-cli", ["redis-cli", "-p", str(self.server.port)] + list(words))
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
        shown = b""
        for keys in list(feed) + [b""]:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                if not select.select([terminal], [], [], 0.1)[0]:
                    continue
                try:
                    shown += os.read(terminal, 65536)
                except OSError:
                    break
            if keys:
                os.write(terminal, keys)
        os.kill(pid, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(pid, 0)
        return plain(shown.decode("utf-8", "replace"))

    def fill(self):
        with self.server.client() as client:
            client.must("FLUSHALL")
            client.pipeline([["SET", "string:%d" % i, "v" * (i % 50)] for i in range(500)])
            client.must("SET", "string:big", "x" * 20000)
            client.must("RPUSH", "list:big", *[str(i) for i in range(1000)])
            client.must("HSET", "hash:big", *[str(i // 2) for i in range(600)])
            client.must("SADD", "set:big", *[str(i) for i in range(700)])
            client.must("ZADD", "zset:big", *[str(i) for i in range(1600)])


def cli_plain(tools):
    same(tools.cli("SET", "k", "v").strip(), "OK")
    same(tools.cli("GET", "k").strip(), "v")
    same(tools.cli("--no-raw", "GET", "k").strip(), '"v"')
    same(tools.cli("--no-raw", "INCR", "n").strip(), "(integer) 1")
    require("unknown command" in tools.cli("NOSUCH", expect_code=None), "NOSUCH")
    same(tools.cli("-n", "3", "DBSIZE").strip(), "0")
    same(tools.cli("-x", "SET", "fed", feed=b"from stdin").strip(), "OK")
    many = "\n".join("SET many%d %d" % (i, i) for i in range(100)) + "\nDBSIZE\n"
    require(tools.cli(feed=many.encode()).count("OK") == 100, "commands from standard input")
    same(tools.cli("-r", "5", "INCR", "rep").split(), ["1", "2", "3", "4", "5"])


def cli_formats(tools):
    tools.cli("HSET", "h", "f", "1")
    same(json.loads(tools.cli("--json", "HGETALL", "h")), {"f": "1"})
    same(tools.cli("--csv", "HGETALL", "h").strip(), '"f","1"')
    text = tools.cli("-3", "--no-raw", "HGETALL", "h")
    require('1# "f" => "1"' in text, "RESP3 map: " + text)
    tools.cli("ZADD", "z", "1.5", "m")
    require("(double) 1.5" in tools.cli("-3", "--no-raw", "ZSCORE", "z", "m"), "RESP3 double")


def cli_help(tools):
    text = tools.cli("help", "hget", expect_code=None)
    require("HGET key field" in text and "group: hash" in text, text[-300:])
    for group in ("@string", "@hash", "@list", "@set", "@sorted-set", "@generic", "@connection"):
        listed = tools.cli("help", group, expect_code=None)
        count = len(re.findall(r"^  \S", listed, re.MULTILINE))
        require(count > 5, "help %s: %s" % (group, listed))


def cli_hints(tools):
    """In a terminal redis-cli asks for COMMAND DOCS and shows the arguments while one types."""
    shown = tools.cli_for(0.6, feed=[b"zrangebyscore ", b"\x15"])
    require("key min max" in shown, "no hint for zrangebyscore in %r" % shown[-300:])
    stats = tools.cli("INFO", "commandstats")
    require("cmdstat_command|docs" in stats, "redis-cli did not get COMMAND DOCS")


def cli_stat(tools):
    tools.fill()
    lines = tools.cli_for(1.2, "--stat", "-i", "0.2").replace("\r", "").splitlines()
    rows = [line.split() for line in lines if re.match(r"\d", line)]
    require(len(rows) >= 2, "--stat printed %r" % lines)
    same(rows[0][0], "505", "keys")
    require(not any("-922" in line for line in lines), "a field of INFO is missing: %r" % lines)


def cli_keys(tools):
    tools.fill()
    text = tools.cli("--bigkeys")
    for name, size in (("string:big", 20000), ("list:big", 1000), ("hash:big", 300),
                       ("set:big", 700), ("zset:big", 800)):  # fmt: skip
        found = re.search(r"Biggest +\w+ found '\"%s\"' has %d " % (name, size), text)
        require(found, "--bigkeys did not find %s: %s" % (name, text[-900:]))
    require("Sampled 505 keys" in text, text[-900:])
    text = tools.cli("--memkeys")
    require("Sampled 505 keys" in text and "list:big" in text, text[-900:])
    names = tools.cli("--scan", "--pattern", "string:1*").split()
    same(len(set(names)), 111, "--scan")


def cli_pipe(tools):
    tools.cli("FLUSHALL")
    data = b"".join(resp_client.encode(["SET", "p%d" % i, "v%d" % i]) for i in range(50000))
    text = tools.cli("--pipe", feed=data)
    require("errors: 0, replies: 50000" in text, text)
    same(tools.cli("DBSIZE").strip(), "50000")
    text = tools.cli("--pipe", feed=b"SET inline 1\r\nNOSUCH\r\n", expect_code=None)
    require("errors: 1, replies: 2" in text, text)


def cli_latency(tools):
    numbers = tools.cli("--latency", "--raw", "-i", "1").split()
    require(len(numbers) == 4 and int(numbers[3]) > 10, "--latency printed %r" % numbers)
    for option in ("--latency", "--latency-history"):
        text = tools.cli_for(1.0, option, "-i", "1")
        require(re.search(r"min: \d+, max: \d+, avg: \d", text), "%s printed %r" % (option, text))


def cli_monitor(tools):
    process = subprocess.Popen(
        ["redis-cli", "-p", str(tools.server.port), "MONITOR"], stdout=subprocess.PIPE
    )
    time.sleep(0.4)
    tools.cli("SET", "seen", "by monitor")
    time.sleep(0.3)
    process.terminate()
    text = process.communicate()[0].decode()
    require(re.search(r'\d+\.\d+ \[0 127.0.0.1:\d+\] "SET" "seen" "by monitor"', text), text)


def cli_hotkeys(tools):
    with tools.server.client() as client:
        client.must("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
        client.must("FLUSHALL")
        client.must("SET", "hot", "1")
        client.pipeline([["GET", "hot"]] * 2000)
        try:
            text = tools.cli("--hotkeys")
            require("hot key found with counter" in text, text[-400:])
        finally:
            client.must("CONFIG", "SET", "maxmemory-policy", "noeviction")


BENCHMARK_TESTS = (
    "ping_inline,ping_mbulk,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,"
    "lrange_100,lrange_300,lrange_500,lrange_600,mset"
)
BENCHMARK_ROWS = 20


def benchmark(tools, *options):
    count = "20000" if tools.long else "2000"
    text = tools.run(
        "redis-benchmark", "-p", str(tools.server.port), "-n", count, "-c", "20", "--csv",
        "-t", BENCHMARK_TESTS, *options, seconds=120,
    )  # fmt: skip
    rows = [line.split('","') for line in text.splitlines() if line.startswith('"')][1:]
    require("rror" not in text, text[-500:])
    same(len(rows), BENCHMARK_ROWS, "rows of redis-benchmark: " + text[-300:])
    for row in rows:
        require(float(row[1]) > 0, "no requests in %r" % row)


def lines_of(tools, words, environment=None, seconds=80):
    """Run a program of tests/clients and give its cases to the tally."""
    done = subprocess.run(
        words + [str(tools.server.port)],
        capture_output=True,
        timeout=seconds,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    cases = re.findall(r"^(ok|failed) (.*)$", text, re.MULTILINE)
    require(cases, "no case ran: " + text[-600:])
    wrong = [name for how, name in cases if how == "failed"]
    require(done.returncode == 0 or wrong, "ended with %d: %s" % (done.returncode, text[-600:]))
    return cases


def redis_py():
    """An interpreter that has redis-py."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            probe = [python, "-c", "import redis"]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return [python, os.path.join(PROGRAMS, "redis_py.py")]
        except OSError:
            continue
    raise Skip("python3-redis is not installed")


def npm_modules():
    """The directory with the installed packages; installs them once for each lock file."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise Skip(program + " is not installed")
    with open(os.path.join(PROGRAMS, "package-lock.json"), "rb") as file:
        version = hashlib.sha256(file.read()).hexdigest()[:16]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    target = os.path.join(base, "dyno-tests", "npm-" + version)
    if not os.path.exists(os.path.join(target, "complete")):
        os.makedirs(target, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(PROGRAMS, name), target)
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=target,
            capture_output=True,
            timeout=180,
            check=False,
        )
        if done.returncode != 0:
            raise Skip("npm could not install the packages: " + done.stderr.decode()[-300:])
        with open(os.path.join(target, "complete"), "w", encoding="ascii"):
            pass
    return target


def node(tools, program):
    modules = npm_modules()
    words = ["node", os.path.join(PROGRAMS, program)]
    return lines_of(tools, words, {"CLIENT_MODULES": modules})


def library(result, name, body):
    """A library's program; each of its cases counts."""
    try:
        cases = body()
    except Skip as skip:
        result.skip(name, str(skip))
        return
    except (AssertionError, subprocess.TimeoutExpired) as error:
        result.fail(name, str(error))
        return
    for how, text in cases:
        if how == "ok":
            result.ok()
        else:
            result.fail(name, text)


def main():
    parser = tally.arguments(__doc__)
    options = parser.parse_args()
    result = tally.Tally("clients")
    with ServerProcess(options.server) as server:
        tools = Tools(server, options.long)

        def run(name, case, *words):
            """One case; after a server that ended nothing else can be said."""
            result.run(name, case, tools, *words)
            if not server.alive():
                print(server.log()[-4000:])
                result.fail(name, "the server ended")
                result.finish()

        for case in (cli_plain, cli_formats, cli_help, cli_hints, cli_stat, cli_keys, cli_pipe,
                     cli_latency, cli_monitor, cli_hotkeys):  # fmt: skip
            run("redis-" + case.__name__.replace("_", " --"), case)
        for flags in ([], ["-P", "16"], ["--threads", "2"], ["-3"], ["-r", "1000", "-d", "100"]):
            run("redis-benchmark " + " ".join(flags), benchmark, *flags)
        library(result, "redis-py", lambda: lines_of(tools, redis_py()))
        library(result, "ioredis", lambda: node(tools, "ioredis.mjs"))
        library(result, "node-redis", lambda: node(tools, "node_redis.mjs"))
    result.finish()


if __name__ == "__main__":
    main()
