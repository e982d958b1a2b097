#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dyno-bench when servers fail: one that is killed, and one that misbehaves on purpose.

The load must go on or stop as asked, count every failure by kind, never hang and never crash; and
verify mode must catch a server that loses writes, and no other. Every run is bounded to seconds.
"""

import shutil
import time

import bench_tool
from bench_faulty_server import NOTHING, FaultyServer
from bench_tool import bench, measured
from server_process import ServerProcess, free_port
from tally import ALLOWANCE, require, same


def errors_of(run):
    return {entry["kind"]: entry for entry in run["errors"]}



def fails_over(_):
    command = bench_tool.OPTIONS.reference
    with ServerProcess(command) as stays, ServerProcess(command) as dies:
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

VERIFY = ("--verify", "--duration", "%.1fs" % (1.5 * min(ALLOWANCE, 3)), "-r", 600, "-c", 6)


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
    # What the fault left behind may be overwritten before all is read back; hardly three times.
    for _ in range(3):
        with FaultyServer(fault, after=300) as server:
            (run,) = measured("-p", server.port, *VERIFY, code=1)
            require(server.faults > 0, "the fault showed")
        if findings(run)[name] > 0:
            break
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
    command = bench_tool.OPTIONS.reference
    with ServerProcess(command) as one, ServerProcess(command) as two:
        flags = ("-e", "127.0.0.1:%d" % one.port, "-e", "127.0.0.1:%d" % two.port)
        (run,) = measured(*flags, *VERIFY, code=1)
        require(findings(run)["disagreements"] > 0, str(findings(run)))
        require(findings(run)["lost writes"] > 0, str(findings(run)))


def verify_names_endpoints_that_are_gone(_):
    with ServerProcess(bench_tool.OPTIONS.reference) as one:
        flags = ("-e", "127.0.0.1:%d" % one.port, "-e", "127.0.0.1:%d" % free_port())
        (run,) = measured(*flags, *VERIFY, code=1)
        same(len(run["verify"]["not_read_back"]), 1)
        same(sum(findings(run).values()), 0)
        measured(*flags, *VERIFY, "--allow-down", code=0)


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


def main():
    bench_tool.read_options(__doc__)
    count = bench_tool.counting("bench_failures")
    faulty_cases(count)
    for case in (
        fails_over,
        verify_sees_disagreement,
        verify_names_endpoints_that_are_gone,
    ):
        count.run(case.__name__, case, None)
    for name, command in (
        ("redis-server", bench_tool.OPTIONS.reference),
        ("Dyno", bench_tool.OPTIONS.server),
    ):
        if shutil.which(command.split()[0]) is None:
            count.skip("verify_passes " + name, command + " is not there")
            continue
        with ServerProcess(command) as server:
            count.run("verify_passes " + name, verify_passes, server.port)
    count.finish()


if __name__ == "__main__":
    main()
