#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dyno-bench from outside: against redis-server, Dyno, and a server that misbehaves.

Every run is bounded to seconds. The HTML report is looked at in headless Chromium; without one on
the machine that case is skipped.
"""

import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time
import zlib

import tally
from bench_faulty_server import NOTHING, FaultyServer
from server_process import ServerProcess, free_port
from tally import Skip, require, same

FOLDER = tempfile.mkdtemp(prefix="dyno-bench-test-")
OPTIONS = None


def bench(*words, code=0, limit=60):
    """Runs the tool; the finished process. `code` None: any."""
    command = [OPTIONS.bench] + [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    if code is not None and done.returncode != code:
        raise AssertionError(
            "exit %d, expected %d\n%s\n%s" % (done.returncode, code, done.stdout, done.stderr)
        )
    return done


def measured(*words, code=0, limit=60):
    """Runs the tool with --json; the runs."""
    path = os.path.join(FOLDER, "out.json")
    if os.path.exists(path):
        os.unlink(path)
    bench("--progress", "none", "--json", path, *words, code=code, limit=limit)
    with open(path, encoding="utf-8") as file:
        return json.load(file)["runs"]


def errors_of(run):
    return {entry["kind"]: entry for entry in run["errors"]}


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
    with ServerProcess(OPTIONS.reference, redis_options=extra) as redis:
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
    with ServerProcess(OPTIONS.reference, redis_options=extra):
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
        require(3600 <= run["requests"] <= 4400, "%s: %d requests" % (arrivals, run["requests"]))
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
        line = "%s --port %d --save '' --dir %s" % (OPTIONS.reference, port, FOLDER)
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


# Failing over, and servers that misbehave.


def fails_over(_):
    with ServerProcess(OPTIONS.reference) as stays, ServerProcess(OPTIONS.reference) as dies:
        begin = time.monotonic()
        (run,) = measured(
            *("-e", "127.0.0.1:%d,dc=a,rack=r1" % stays.port),
            *("-e", "127.0.0.1:%d,dc=a,rack=r2" % dies.port),
            *("--rate", 2000, "--duration", "4s", "--warmup", "0.25s", "-c", 10),
            *("--at", "2s:exec:kill -9 %d" % dies.process.pid),
        )
        require(time.monotonic() - begin < 15, "it is bounded")
        same(run["failovers"] >= 5, True)
        first, second = run["endpoints"]
        same((second["dc"], second["rack"]), ("a", "r2"))
        require(first["requests"] > second["requests"] * 1.5, "the survivor took over")
        series = run["series"]
        require(series[0]["endpoints"][1][0] > 500, "both were used at first")
        same(series[3]["endpoints"][1][0], 0, "none of the dead one's in the last second")
        require(series[3]["answered"] > 1800, "and the rate is back: %s" % series[3])
        same(len(run["events"]), 1)
        dies.process.wait()
        dies.process.returncode = 0


def sleep_shows_in_intended_latency():
    with FaultyServer("sleep", after=500) as server:
        (run,) = measured(
            "-p", server.port, "--rate", 1000, "--duration", "3s", "--warmup", "0s", "-c", 8
        )
    intended, service = run["intended_us"], run["service_us"]
    # A second of 1000/s was meant to start while the server slept: a third of all requests waited,
    # 0.5 s on average. The service time sees only the few that were under way.
    require(intended["max"] >= 900_000, "intended max %s" % intended)
    require(intended["p90"] >= 500_000, "intended p90 %s" % intended)
    require(intended["p75"] >= 150_000, "intended p75 %s" % intended)
    require(service["p90"] < 200_000, "service p90 %s" % service)
    require(run["requests"] + run["not_sent"] + run["unanswered"] >= 2950, "none is left out")


def fault_is_counted(fault, kind, shown, closed_loop):
    with FaultyServer(fault, after=200) as server:
        begin = time.monotonic()
        flags = ["-p", server.port, "--duration", "1.5s", "--timeout", "0.5s", "-c", 4]
        flags += [] if closed_loop else ["--rate", 500]
        (run,) = measured(*flags, code=None, limit=15)
        require(time.monotonic() - begin < 8, "took %.1f s" % (time.monotonic() - begin))
        require(server.faults > 0, "the fault showed")
    found = errors_of(run)
    require(kind in found, "%s in %s" % (kind, found))
    require(found[kind]["count"] > 0 and shown in found[kind]["first"], str(found[kind]))


def stops_at_the_first_error():
    with FaultyServer("error", after=300) as server:
        begin = time.monotonic()
        (run,) = measured("-p", server.port, "--on-error", "stop", "--duration", "20s", code=3)
    require(time.monotonic() - begin < 5, "it did stop")
    require("error" in run["stopped"], run["stopped"])


def requests_against_a_dead_server_end():
    with FaultyServer("close", after=50) as server:
        begin = time.monotonic()
        done = bench(
            *("-p", server.port, "-n", 1000, "--timeout", "0.3s", "-c", 2, "--progress", "none"),
            code=None,
            limit=50,
        )
        require(time.monotonic() - begin < 45, "-n gives up")
        require("no answer for" in done.stdout, done.stdout)


# Verify mode.

VERIFY = ("--verify", "--duration", "1.5s", "-r", 600, "-c", 6)


def findings(run):
    return {name: entry["count"] for name, entry in run["verify"]["findings"].items()}


def verify_passes(port):
    (run,) = measured("-p", port, *VERIFY, "-P", 4, "--threads", 2)
    same(sum(findings(run).values()), 0)
    verify = run["verify"]
    require(verify["reads_checked"] > 500 and verify["writes_acknowledged"] > 500, "it did work")
    require(verify["read_back"] > 400, "read back %d" % verify["read_back"])
    same(run["errors"], [])


def verify_catches(fault, name):
    with FaultyServer(fault, after=300) as server:
        (run,) = measured("-p", server.port, *VERIFY, code=1)
        require(server.faults > 0, "the fault showed")
    require(findings(run)[name] > 0, "%s in %s" % (name, findings(run)))
    require(run["verify"]["findings"][name]["first"], "they are listed")


def verify_accepts_unknown_outcomes():
    # Connections break now and then: what was under way may or may not have happened.
    with FaultyServer("", after=0) as server:
        until = time.monotonic() + 1.2  # not while all is read back
        server.misbehave = lambda _: (
            None if server.requests % 97 == 0 and time.monotonic() < until else NOTHING
        )
        (run,) = measured("-p", server.port, *VERIFY)
    require(run["verify"]["writes_unknown"] > 0, "some outcomes were unknown")
    same(sum(findings(run).values()), 0)


def verify_sees_disagreement(_):
    with ServerProcess(OPTIONS.reference) as one, ServerProcess(OPTIONS.reference) as two:
        flags = ("-e", "127.0.0.1:%d" % one.port, "-e", "127.0.0.1:%d" % two.port)
        (run,) = measured(*flags, *VERIFY, code=1)
        require(findings(run)["disagreements"] > 0, str(findings(run)))
        require(findings(run)["lost writes"] > 0, str(findings(run)))


def verify_names_endpoints_that_are_gone(_):
    with ServerProcess(OPTIONS.reference) as one:
        flags = ("-e", "127.0.0.1:%d" % one.port, "-e", "127.0.0.1:%d" % free_port())
        (run,) = measured(*flags, *VERIFY, code=1)
        same(len(run["verify"]["not_read_back"]), 1)
        same(sum(findings(run).values()), 0)
        measured(*flags, *VERIFY, "--allow-down", code=0)


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
    for command in ('SET "a', "SET a __ttl__", "", "SET a x__ttl__"):
        done = bench("-p", redis.port, "--command", command, "-n", 1, code=None)
        require(done.returncode in (2, 3), command)
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
    with open(os.path.join(root, "bench/options.cc"), encoding="utf-8") as file:
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


def pixels_of(path):
    """Width, height and the rows of an 8-bit RGB or RGBA PNG."""
    with open(path, "rb") as file:
        data = file.read()
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    same(depth, 8)
    channels = {2: 3, 6: 4}[kind]
    packed, at = b"", 8
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        if name == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += 12 + size
    raw, stride = zlib.decompress(packed), width * channels
    rows, before = [], bytearray(stride)
    for y in range(height):
        begin = y * (stride + 1)
        row = unfilter(raw[begin], bytearray(raw[begin + 1 : begin + 1 + stride]), before, channels)
        rows.append(row)
        before = row
    return width, height, channels, rows


def unfilter(kind, row, above, step):
    for i in range(len(row) if kind else 0):
        left = row[i - step] if i >= step else 0
        up = above[i]
        corner = above[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        else:
            paeth = left + up - corner
            near = enumerate((left, up, corner))
            guess = min((abs(paeth - value), order, value) for order, value in near)[2]
        row[i] = (row[i] + guess) & 255
    return row


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
    count.run("verify_passes redis", verify_passes, redis.port)
    for case in (
        protocols_and_access,
        over_tls,
        compare_two,
        fails_over,
        verify_sees_disagreement,
        verify_names_endpoints_that_are_gone,
    ):
        count.run(case.__name__, case, redis)


def faulty_cases(count):
    count.run("sleep_shows_in_intended_latency", sleep_shows_in_intended_latency)
    for fault, kind, shown in (
        ("close", "closed", "closed by the server"),
        ("stall", "timeout", "no answer within the timeout"),
        ("garbage", "garbage", "HTTP/1.1 400"),
        ("error", "OOM", "OOM command not allowed"),
        ("wrong type", "wrong type", "GET was answered with another type"),
        ("half", "timeout", "no answer"),
        ("extra", "garbage", "nothing asked for"),
    ):
        for closed_loop in (True, False):
            name = "%s is counted, %s loop" % (fault, "closed" if closed_loop else "open")
            count.run(name, fault_is_counted, fault, kind, shown, closed_loop)
    count.run("stops_at_the_first_error", stops_at_the_first_error)
    count.run("requests_against_a_dead_server_end", requests_against_a_dead_server_end)
    with FaultyServer() as honest:
        count.run("verify_passes an honest server", verify_passes, honest.port)
    for fault, name in (
        ("lose writes", "lost writes"),
        ("forget deletes", "resurrections"),
        ("corrupt", "corrupt values"),
        ("count twice", "wrong counters"),
    ):
        count.run("verify catches: " + fault, verify_catches, fault, name)
    count.run("verify_accepts_unknown_outcomes", verify_accepts_unknown_outcomes)


def dyno_cases(count):
    if shutil.which(OPTIONS.server.split()[0]) is None:
        count.skip("Dyno", "%s is not built" % OPTIONS.server)
        return
    with ServerProcess(OPTIONS.server) as dyno:
        count.run("closed_loop_counts Dyno", closed_loop_counts, dyno)
        count.run("verify_passes Dyno", verify_passes, dyno.port)
        count.run("every_named_test Dyno", every_named_test, dyno)
        count.run("open_loop_keeps_its_rate Dyno", open_loop_keeps_its_rate, dyno)


def main():
    global OPTIONS
    parser = tally.arguments(__doc__)
    parser.add_argument("--bench", default=os.path.join(tally.ROOT, "build", "dyno-bench"))
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    OPTIONS = parser.parse_args()
    count = tally.Tally("bench_end_to_end")
    if OPTIONS.only:
        run = count.run
        count.run = lambda case, *rest: run(case, *rest) if OPTIONS.only in case else None
    try:
        for words in IMPOSSIBLE:
            count.run("impossible " + " ".join(words), impossible_settings, words)
        count.run("help_fits_a_screen", help_fits_a_screen)
        count.run("completion_completes", completion_completes)
        faulty_cases(count)
        with ServerProcess(OPTIONS.reference) as redis:
            redis_cases(count, redis)
        dyno_cases(count)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
    count.finish()


if __name__ == "__main__":
    main()
