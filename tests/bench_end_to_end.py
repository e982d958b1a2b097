#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dyno-bench from outside, against redis-server and Dyno; its command line, files and page.

Every run is bounded to seconds. The HTML report is looked at in headless Chromium; without one on
the machine that case is skipped. What it does when servers misbehave is in bench_failures.py.
"""

import json
import os
import re
import shutil
import subprocess

import bench_tool
from bench_png import pixels_of
from bench_tool import FOLDER, bench, measured
from server_process import ServerProcess, free_port
from tally import Skip, require, same

# Against redis-server.


def closed_loop_counts(redis):
    (run,) = measured("-p", redis.port, "-n", "20k", "-c", 7, "-P", 9, "--threads", 2, "-r", 1000)
    same(run["requests"], 20000)
    same(run["service_us"]["count"], 20000)
    same(sum(each["service_us"]["count"] for each in run["operations"]), 20000)
    share = [each["service_us"]["count"] for each in run["operations"] if each["name"] == "SET"][0]
    require(1700 < share < 2300, "1:9 ratio gave %d SETs of 20000" % share)
    same(run["errors"], [])
    latency = run["service_us"]
    order = [latency[name] for name in ("min", "p50", "p90", "p99", "p99.9", "p99.99", "max")]
    same(order, sorted(order))
    figures = list(run["info"].values())[0]
    require(figures["total_commands_processed"] >= 20000, "INFO counts the commands")


def every_named_test(redis):
    text = bench("--help", "tests").stdout.split("\n\n", 1)[1]
    # The first ten columns name the family.
    names = [name for line in text.splitlines() for name in line[10:].split()]
    require(len(names) > 60, "the list of tests is read")
    for name in ("get", "set", "incr", "lpush", "lrange_600", "mset", "zpopmin", "spop"):
        require(name in names, "redis-benchmark's %s is there" % name)
    for name in names:
        # Each on an empty database: the tests of different types share key names.
        (run,) = measured(
            *("-p", redis.port, "-t", name, "-n", 500, "-P", 8, "-r", 1000, "-c", 4),
            *("--load", "--prepare", "FLUSHALL", "--no-info"),
        )
        same(run["errors"], [], name)
        same(run["requests"], 500, name)


def every_ycsb(redis):
    for letter in "abcdef":
        (run,) = measured(
            *("-p", redis.port, "--ycsb", letter, "-n", 2000, "-r", 500, "-c", 4, "--load"),
            *("--prepare", "FLUSHALL"),
        )
        same(run["errors"], [], letter)
        same(run["requests"], 2000, letter)
        same(sum(each["misses"] for each in run["operations"]), 0, letter)
    with redis.client() as client:
        client.call("FLUSHALL")


def load_fills_every_key(redis):
    with redis.client() as client:
        client.call("FLUSHALL")
        bench("-p", redis.port, "--load-only", "-r", 12345, "--threads", 2, "-q")
        same(client.call("DBSIZE"), 12345)
        client.call("FLUSHALL")
        bench(
            *("-p", redis.port, "--load-only", "--records", 1000, "--group", 10, "-q"),
            *("--load-command", "HSET h:__group__ f__member__ __data__"),
        )
        same(client.call("DBSIZE"), 100)
        same(client.call("HLEN", "h:000000000099"), 10)
        client.call("FLUSHALL")
        bench("-p", redis.port, "--load-only", "-r", 100, "--expire", "100-200", "-d", "5-9", "-q")
        value = client.call("GET", "key:000000000042")
        require(5 <= len(value) <= 9, "sizes are in their range")
        require(90 <= client.call("TTL", "key:000000000042") <= 200, "keys expire")
        client.call("FLUSHALL")


def commands_with_weights(redis):
    (run,) = measured(
        *("-p", redis.port, "-n", 10000, "--command", 'SADD "a b" x__id__', "--weight", 3),
        *("--command", "SADD other y__id__", "-r", 50, "--key-prefix", "p:"),
    )
    first, second = (each["service_us"]["count"] for each in run["operations"])
    require(7200 < first < 7800, "weights 3:1 gave %d:%d" % (first, second))
    with redis.client() as client:
        same(client.call("SCARD", "a b"), 50)
        client.call("FLUSHALL")


def protocols_and_access(_):
    extra = {"unixsocket": os.path.join(FOLDER, "sock")}
    with ServerProcess(bench_tool.OPTIONS.reference, redis_options=extra) as redis:
        with redis.client() as client:
            client.call("CONFIG", "SET", "requirepass", "secret")
        with_pass = ("-a", "secret", "-n", 500, "-t", "set")
        measured("-p", redis.port, *with_pass)
        measured("-p", redis.port, "-3", "--db", 3, *with_pass)
        measured("-s", extra["unixsocket"], "--user", "default", *with_pass)
        with redis.client() as client:
            client.call("AUTH", "secret")
            client.call("SELECT", 3)
            require(client.call("DBSIZE") > 0, "--db reached database 3")
        done = bench("-p", redis.port, "-a", "wrong", "-n", 1, code=3)
        require("WRONGPASS" in done.stderr, done.stderr)
        done = bench("-p", redis.port, "-n", 1, code=3)
        require("NOAUTH" in done.stderr, done.stderr)


def over_tls(_):
    if shutil.which("openssl") is None:
        raise Skip("openssl is not installed")
    key, cert = os.path.join(FOLDER, "key.pem"), os.path.join(FOLDER, "cert.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key]
        + ["-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    port = free_port()
    extra = {"tls-port": port, "tls-cert-file": cert, "tls-key-file": key}
    extra |= {"tls-ca-cert-file": cert, "tls-auth-clients": "no"}
    with ServerProcess(bench_tool.OPTIONS.reference, redis_options=extra):
        (run,) = measured("-p", port, "--cacert", cert, "-n", 5000, "-P", 8, "-d", 3000)
        same(run["requests"], 5000)
        same(run["errors"], [])
        measured("-p", port, "--tls", "--insecure", "--verify", "-n", 2000, "-P", 4)
        done = bench("-p", port, "--tls", "-n", 1, code=3)
        require("certificate" in done.stderr, done.stderr)


def open_loop_keeps_its_rate(redis):
    for arrivals in ("fixed", "poisson"):
        (run,) = measured(
            *("-p", redis.port, "--rate", 2000, "--arrivals", arrivals, "--duration", "2s"),
            *("--threads", 2),
        )
        # On a busy machine the last ones that are due may not get out before the end.
        due = run["requests"] + run["not_sent"] + run["unanswered"]
        require(3600 <= due <= 4400, "%s: %d requests" % (arrivals, due))
        require(run["intended_us"]["p50"] >= run["service_us"]["p50"], "intended includes service")


def staircase_finds_a_knee(redis):
    (run,) = measured("-p", redis.port, "--staircase", 2000, "--step", "0.3s", "--knee-p99", "50ms")
    require(run["knee"] >= 2000, "knee %s" % run["knee"])
    require(any(not step["held"] for step in run["staircase"]), "it climbed until it broke")


def files_for_machines(redis):
    paths = {name: os.path.join(FOLDER, "f." + name) for name in ("csv", "hgrm")}
    (run,) = measured(
        *("-p", redis.port, "--duration", "3s", "--rate", 3000, "--warmup", "0.5s"),
        *("--csv", paths["csv"], "--hgrm", paths["hgrm"], "--histograms"),
    )
    with open(paths["csv"], encoding="utf-8") as file:
        rows = [line.split(",") for line in file.read().splitlines()]
    same(rows[0][:4], ["second", "span_s", "answered", "failed"])
    same([row[0] for row in rows[1:]], ["0", "1", "2"])
    same(sum(int(row[2]) for row in rows[1:]), run["requests"])
    same(len(run["series"]), 3)
    for path in (paths["hgrm"], paths["hgrm"] + ".service"):
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        require(re.match(r" +Value +Percentile TotalCount", lines[0]), lines[0])
        require("Total count    = %12d" % run["requests"] in lines[-2], lines[-2])
    buckets = run["intended_us"]["buckets_ns"]
    same(sum(times for _, _, times in buckets), run["requests"])
    for low, high, _ in buckets:
        require(high - low <= low * 0.001, "bucket %d to %d is too wide" % (low, high))


def compare_two(_):
    path = os.path.join(FOLDER, "compare.json")
    targets = []
    for name in ("first", "second"):
        port = free_port()
        line = "%s --port %d --save '' --dir %s" % (bench_tool.OPTIONS.reference, port, FOLDER)
        targets += ["--target", "%s=127.0.0.1:%d=%s" % (name, port, line)]
    load = ["--duration", "0.5s", "-P", "8", "-r", "1000", "--load"]
    bench("compare", "--rounds", 2, "--json", path, *targets, *load)
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    for target in result["targets"]:
        same(len(target["rounds"]), 2)
        require(target["median"]["throughput"] > 0, "throughput was measured")
        require(target["median"]["server_cpu_us"] > 0, "server CPU was measured")
        done = bench("-e", target["where"], "-n", 1, code=3)
        require("refused" in done.stderr, "the server was stopped")
    require(0.1 < result["targets"][1]["ratio"]["throughput"]["median"] < 10, "ratios")
    bench("compare", "--json", path, "--rounds", 1, "--memory", "20k", "-r", "20k", *targets)
    with open(path, encoding="utf-8") as file:
        element = json.load(file)["targets"][0]["median"]["bytes_per_element"]
    require(80 < element < 400, "redis-server takes %s bytes per key" % element)
    done = bench("compare", "--target", "x=127.0.0.1:%d=false" % free_port(), code=3)
    require("ended at once" in done.stderr, done.stderr)


# The command line.

IMPOSSIBLE = [
    ["--nonsense"],
    ["-c", "0"],
    ["-c", "x"],
    ["-c"],
    ["-P", "1.5"],
    ["--threads", "100"],
    ["--rate", "0"],
    ["--rate", "-5"],
    ["--rate", "1000", "--staircase", "1000"],
    ["-n", "5", "--duration", "5s"],
    ["--duration", "5parsecs"],
    ["-t", "nosuch"],
    ["-t", "get", "--ycsb", "a"],
    ["--ycsb", "g"],
    ["--dist", "gauss"],
    ["-d", "5-4"],
    ["--verify", "-d", "10"],
    ["--verify", "-t", "get"],
    ["--verify-types", "stream"],
    ["-p", "70000"],
    ["-e", "nowhere"],
    ["-e", "127.0.0.1:1,zone=3"],
    ["--ratio", "1"],
    ["--ratio", "0:0"],
    ["--weight", "3"],
    ["--at", "5"],
    ["--expire", "0"],
    ["--cert", "x"],
    ["--quiet=yes"],
    ["--help", "nosuch"],
    ["compare"],
    ["compare", "--target", "x"],
    ["compare", "--target", "x=127.0.0.1:1", "--rounds", "0"],
]


def impossible_settings(words):
    done = bench(*words, code=2)
    same(len(done.stderr.strip().splitlines()), 1, "lines of %r" % done.stderr)
    require(done.stderr.startswith("dyno-bench: "), done.stderr)


def unusable_commands(redis):
    for command in ('SET "a', "SET a __ttl__", "", "SET a x__ttl__", "GET __kye__"):
        done = bench("-p", redis.port, "--command", command, "-n", 1, code=None)
        same(done.returncode, 2, command)
        same(len(done.stderr.strip().splitlines()), 1, done.stderr)


def help_fits_a_screen():
    overview = bench("--help").stdout
    names = "connection|load|workload|tests|keys|verify|output|compare"
    topics = re.findall(r"\b(%s)  " % names, overview)
    same(len(set(topics)), 8)
    shown = overview
    for topic in topics:
        text = bench("--help", topic).stdout
        shown += text
        lines = text.splitlines()
        require(len(lines) <= 24, "%s has %d lines" % (topic, len(lines)))
        require(max(map(len, lines)) <= 100, "%s is too wide" % topic)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(root, "scripts/completion/dyno-bench.bash"), encoding="utf-8") as file:
        completion = file.read()
    with open(os.path.join(root, "bench/option_rows.cc"), encoding="utf-8") as file:
        options = re.findall(r'\{"(--[a-z0-9-]+)"', file.read())
    require(len(options) > 50, "the option table is read")
    for option in options:
        require(option in shown, "%s is in no help topic" % option)
        require(option in completion, "%s is not in the completion" % option)


def completion_completes():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    script = os.path.join(root, "scripts/completion/dyno-bench.bash")
    program = (
        'source "$1"; COMP_WORDS=(dyno-bench "$2" "$3"); COMP_CWORD=2; COMPREPLY=(); '
        '_dyno_bench; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    for before, word, wanted in (
        ("-q", "--stair", "--staircase"),
        ("--arrivals", "po", "poisson"),
        ("-t", "zra", "zrange_10"),
        ("--help", "ver", "verify"),
    ):
        done = subprocess.run(
            ["bash", "-c", program, "x", script, before, word],
            capture_output=True,
            text=True,
            check=True,
        )
        require(wanted in done.stdout.split(), "%s %s: %s" % (before, word, done.stdout))


# The HTML report.


def looked_at_in_chromium(redis):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise Skip("chromium is not installed (apt-get install chromium)")
    page = os.path.join(FOLDER, "report.html")
    bench(
        *("-p", redis.port, "--rate", 2000, "--duration", "3s", "--report", page),
        *("--at", "1s:PING <b>&", "--progress", "none"),
    )
    with open(page, encoding="utf-8") as file:
        text = file.read()
    outside = re.findall(r"(?:src|href)=|https?://|<script|@import|url\(", text)
    same(outside, [], "outside references")
    require("PING &lt;b&gt;&amp;" in text, "texts are escaped")
    brightness = {}
    for theme, setting in (("light", 1), ("dark", 0)):
        shot = os.path.join(FOLDER, theme + ".png")
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            + ["--window-size=1000,900", "--blink-settings=preferredColorScheme=%d" % setting]
            + ["--user-data-dir=" + os.path.join(FOLDER, "profile"), "--screenshot=" + shot]
            + ["file://" + page],
            check=True,
            capture_output=True,
            timeout=90,
        )
        width, height, channels, rows = pixels_of(shot)
        same((width, height), (1000, 900))
        starts = range(0, width * channels, 2 * channels)
        seen = [tuple(row[x : x + 3]) for row in rows for x in starts]
        brightness[theme] = sum(map(sum, seen)) / len(seen) / 3
        # The curve's colour must be there, as a line across the page and not as a speck.
        blue = sum(1 for r, g, b in seen if b > r + 60 and b > g + 25)
        require(blue > 300, "%s: only %d pixels of a curve" % (theme, blue))
    require(brightness["light"] > 220, "light is %d" % brightness["light"])
    require(brightness["dark"] < 60, "dark is %d" % brightness["dark"])


def redis_cases(count, redis):
    for case in (
        closed_loop_counts,
        every_named_test,
        every_ycsb,
        load_fills_every_key,
        commands_with_weights,
        open_loop_keeps_its_rate,
        staircase_finds_a_knee,
        files_for_machines,
        unusable_commands,
        looked_at_in_chromium,
    ):
        count.run(case.__name__, case, redis)
    for case in (protocols_and_access, over_tls, compare_two):
        count.run(case.__name__, case, redis)


def dyno_cases(count):
    if shutil.which(bench_tool.OPTIONS.server.split()[0]) is None:
        count.skip("Dyno", "%s is not built" % bench_tool.OPTIONS.server)
        return
    with ServerProcess(bench_tool.OPTIONS.server) as dyno:
        count.run("closed_loop_counts Dyno", closed_loop_counts, dyno)
        count.run("every_named_test Dyno", every_named_test, dyno)
        count.run("open_loop_keeps_its_rate Dyno", open_loop_keeps_its_rate, dyno)


def main():
    bench_tool.read_options(__doc__)
    count = bench_tool.counting("bench_end_to_end")
    for words in IMPOSSIBLE:
        count.run("impossible " + " ".join(words), impossible_settings, words)
    count.run("help_fits_a_screen", help_fits_a_screen)
    count.run("completion_completes", completion_completes)
    with ServerProcess(bench_tool.OPTIONS.reference) as redis:
        redis_cases(count, redis)
    dyno_cases(count)
    count.finish()


if __name__ == "__main__":
    main()
