#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two data centers of three racks, each node in a network namespace of its own, under faults of the
network and of processes while clients write through every node:

    tests/ring_namespaces.py --hold 60 --cut 180            # all, each fault for a minute or three
    tests/ring_namespaces.py NamespaceTest.test_stopped     # one

Three programs of dyno-bench in verify mode write and read every type at the three levels that
quorums make, and clients of this test at those and at DC_ONE.  A fault counts only when it was seen
to take effect.  When it is over, everything heals by itself: nothing is lost that was acknowledged,
nothing is there that was refused, the versions of all keys are the same on all nodes, and clients
were told errors of the documented kinds only.  Needs iproute2, and to be root or to be allowed
user namespaces; is skipped where it may not.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import unittest

import local_ring
import network
import resp_client
from local_ring import Ring
from ring_writer import Writer, assert_nothing_lost

# What a load is told may begin so, besides what happens to connections to nodes that are away.
ERRORS = ("LOADING", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "UNKNOWN", "ERR Dynomite: Failed")
LEVELS = ("DC_QUORUM", "DC_SAFE_QUORUM", "DC_EACH_SAFE_QUORUM")
LOCAL_LEVELS = ("DC_ONE",) + LEVELS[:2]
KEYS_AT_ONCE = 1000


class Given:
    """The command line."""

    bench = ""
    hold_seconds = 2.0  # How long each fault lasts once it was seen.
    cut_seconds = 2.0  # Those between data centers.


def take(arguments, name, default):
    if name not in arguments:
        return default
    at = arguments.index(name)
    value = arguments[at + 1]
    del arguments[at : at + 2]
    return type(default)(value)


class Load:
    """dyno-bench in verify mode, over all nodes, at one level; the seed makes its keys its own."""

    def __init__(self, ring, level, seed):
        self.level = level
        words = [Given.bench, "--verify", "-q", "--no-info", "-c", "6", "--rate", "250"]
        words += ["-r", "2k", "--seed", str(seed), "--duration", "3h"]
        words += ["--verify-settle", "1s", "--json", "-", "--allow-stale", "--timeout", "10s"]
        words += ["--read-level", level.lower(), "--write-level", level.lower()]
        for node in ring.nodes:
            words += ["-e", "%s:%d,dc=%s,rack=%s" % (node.host, node.port, node.dc, node.rack)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def end(self, forgives):
        """Stops and reads back; returns what it reports.  `forgives` replies of INCR that are too
        small: the sum at the end is checked, too."""
        self.process.send_signal(signal.SIGINT)
        text = self.process.communicate(timeout=120)[0].decode()
        run = json.loads(text[text.index("{") : text.rindex("}") + 1])["runs"][-1]
        found = run["verify"]["findings"]
        forgives = forgives and all(
            "INCR answered" in text for text in found["wrong counters"]["first"]
        )
        passed_over = ("stale reads", "wrong counters") if forgives else ("stale reads",)
        is_wrong = any(found[name]["count"] for name in found if name not in passed_over)
        if is_wrong or (self.process.returncode != 0 and not forgives):
            told = {name: run.get(name) for name in ("verify", "stopped", "errors")}
            raise AssertionError("%s: %s" % (self.level, json.dumps(told, indent=1)))
        return run


class NamespaceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.net = network.Network()
        options = ["--server-threads=1", "--client-protected-mode=no"]
        cls.ring = Ring(racks=3, dcs=2, options=options, place=cls.net.place)
        cls.ring.__enter__()
        cls.here, cls.there = cls.ring.nodes[:3], cls.ring.nodes[3:]

    @classmethod
    def tearDownClass(cls):
        cls.ring.__exit__(None, None, None)

    def setUp(self):
        self.ring.await_normal(self.ring.nodes)
        with self.ring.client(self.here[0]) as client:
            client.must("FLUSHALL")
        self.ring.await_settled()

    @contextlib.contextmanager
    def load(self, away=(), forgives=False):
        """Clients of all kinds, while the body makes a fault and ends it; `away` are the nodes
        whose connections may break by that.  Then judges what they saw (Load.end())."""
        ring = self.ring
        loads = [Load(ring, level, seed) for seed, level in enumerate(LEVELS, 1)]
        writers = [
            Writer(ring, node, level, "%s:%s:%s" % (self._testMethodName, node.dc, level), 0.02)
            for node in (self.here[0], self.there[0])
            for level in LOCAL_LEVELS
        ]
        each = Writer(ring, self.here[0], LEVELS[-1], self._testMethodName + ":each", 0.02)
        try:
            for writer in writers + [each]:
                writer.start()
            self.await_progress(writers + [each])
            yield writers, each
            ring.await_normal(ring.nodes)
            self.await_progress(writers + [each])
            for writer in writers + [each]:
                writer.end()
            for load in loads:
                self.judge(load, away, forgives)
        finally:
            for load in loads:
                load.process.kill()
            for writer in writers + [each]:
                writer.stopping.set()
        assert_nothing_lost(ring, writers + [each])
        self.assert_all_equal()

    def judge(self, load, away, forgives):
        run = load.end(forgives)
        places = ["%s:%d" % (node.host, node.port) for node in away]
        for error in run["errors"]:
            if not any(place in error["first"] for place in places):
                self.assertTrue(error["first"].lstrip("-").startswith(ERRORS), error)
        self.assertGreater(run["requests"], 100)
        name = self._testMethodName
        print("%s %s: %d requests" % (name, load.level, run["requests"]), flush=True)
        for error in run["errors"]:
            print("    %d times %s" % (error["count"], error["first"]), flush=True)

    def await_progress(self, writers):
        """Until each was acknowledged something that it began after now."""
        counts = [len(writer.surely) + 1 for writer in writers]
        self.ring.await_true(
            "all writers are acknowledged writes",
            lambda: all(len(w.surely) > count for w, count in zip(writers, counts)),
        )

    def assert_all_equal(self):
        keys = set()
        for node in (self.here[0], self.there[0]):
            with self.ring.client(node) as client:
                keys |= set(client.must("KEYS", "*"))
        keys = sorted(keys)
        for first in range(0, len(keys), KEYS_AT_ONCE):
            part = keys[first : first + KEYS_AT_ONCE]
            versions = []
            for node in self.ring.nodes:
                with self.ring.client(node) as client:
                    words = [resp_client.encode(("RING", "VERSION", key)) for key in part]
                    client.send_raw(b"".join(words))
                    versions.append(client.read_all(len(part)))
            for key, *seen in zip(part, *versions):
                self.assertEqual(len(set(seen)), 1, key)
        self.ring.assert_equal(keys[:: max(1, len(keys) // 50)])

    def await_apart(self, nodes, count):
        """Until the nodes have noticed that they see only so many."""
        for node in nodes:
            self.ring.await_nodes_up(node, count)

    def await_lost(self, *ways):
        """Until packets were lost: those that dc0 sends are way 0."""
        lost = self.net.distance.lost
        before = [lost(way) for way in ways]
        self.ring.await_true(
            "packets are lost", lambda: all(lost(way) > b for way, b in zip(ways, before))
        )

    def hold(self, seconds, writers):
        """Lets a fault last, while those write on."""
        self.await_progress(writers)
        time.sleep(seconds)
        self.await_progress(writers)

    def test_cut_off(self):
        """The data centers do not hear each other; both sides write the same keys."""
        distance = self.net.distance
        with self.load() as (writers, each):
            distance.set(loss=(1, 1))
            self.addCleanup(distance.set)
            self.await_lost(0, 1)
            self.await_apart(self.ring.nodes, 3)
            told = each.told
            self.ring.await_true("what began before is answered", lambda: each.told > told + 1)
            before = len(each.surely), distance.passed(0), distance.passed(1)
            self.hold(Given.cut_seconds, writers)
            after = len(each.surely), distance.passed(0), distance.passed(1)
            self.assertEqual(after, before)
            distance.set()

    def test_one_way(self):
        """What one data center sends is lost, then what the other one sends."""
        distance = self.net.distance
        with self.load() as (writers, _):
            for way, loss in enumerate(((1, 0), (0, 1))):
                distance.set(loss=loss)
                self.addCleanup(distance.set)
                self.await_lost(way)
                self.await_apart(self.ring.nodes, 3)
                before = distance.passed(way), distance.passed(1 - way)
                self.hold(Given.cut_seconds, writers)
                self.assertEqual(distance.passed(way), before[0])
                self.assertGreater(distance.passed(1 - way), before[1])
                distance.set()
                self.ring.await_normal(self.ring.nodes)

    def test_far_and_lossy(self):
        """100 ms each way, and every hundredth packet is lost."""
        distance = self.net.distance
        with self.load() as (writers, each):
            distance.set(delay_seconds=(0.1, 0.1), loss=(0.01, 0.01))
            self.addCleanup(distance.set)
            self.await_lost(0, 1)
            with self.ring.client(self.here[0]) as client:
                client.must("CLIENT", "CONSISTENCY", "WRITE", "DC_EACH_SAFE_QUORUM")
                taken_seconds = 0

                def is_acknowledged():
                    nonlocal taken_seconds
                    began = time.monotonic()
                    reply = client.call("SET", "far", "x")
                    taken_seconds = time.monotonic() - began
                    return reply == b"OK"

                self.ring.await_true("it is acknowledged everywhere", is_acknowledged)
                self.assertGreater(taken_seconds, 0.2)
            self.hold(Given.hold_seconds, writers + [each])
            distance.set()

    def test_killed(self):
        """A process dies with its memory, and is started again."""
        killed = self.here[1]
        with self.load(away=[killed]) as (writers, each):
            self.ring.kill(killed)
            self.assertEqual(killed.process.returncode, -signal.SIGKILL)
            self.await_apart(self.here[:1] + self.there, 5)
            self.hold(Given.hold_seconds, writers + [each])
            self.ring.start(killed)

    def test_stopped(self):
        """A process stands still for longer than others wait for it."""
        stopped = self.there[2]
        with self.load(away=[stopped]) as (writers, each):
            self.ring.pause(stopped)
            self.addCleanup(self.ring.resume, stopped)
            with open("/proc/%d/stat" % stopped.process.pid, encoding="ascii") as file:
                self.assertEqual(file.read().rpartition(")")[2].split()[0], "T")
            self.await_apart(self.here + self.there[:2], 5)
            self.hold(Given.hold_seconds, writers + [each])
            self.ring.resume(stopped)

    def test_rack_lost(self):
        """A rack of each data center is off the network, for clients too.

        When it is back it may answer INCR before it has got what it missed.
        """
        lost = [self.here[2], self.there[2]]
        with self.load(away=lost, forgives=True) as (writers, each):
            for number in (2, 5):
                self.net.set_up(number, False)
                self.addCleanup(self.net.set_up, number, True)
            self.await_apart(self.here[:2] + self.there[:2], 4)
            for node in lost:
                with self.assertRaises(OSError):
                    resp_client.Client(node.port, host=node.host, timeout=0.5)
            self.hold(Given.hold_seconds, writers + [each])
            for number in (2, 5):
                self.net.set_up(number, True)

    def test_data_center_lost(self):
        """All processes of a data center die at once: what was acknowledged by the other one, or by
        both, is there."""
        ring = self.ring
        writers = [
            Writer(ring, self.here[0], level, "%s:%s" % (self._testMethodName, level), 0.02)
            for level in LOCAL_LEVELS + LEVELS[-1:]
        ]
        for writer in writers:
            writer.start()
        self.await_progress(writers)
        for node in self.there:
            ring.kill(node)
            self.assertEqual(node.process.returncode, -signal.SIGKILL)
        self.await_apart(self.here, 3)
        self.hold(Given.hold_seconds, writers[:-1])
        for node in self.there:
            ring.start(node)
        ring.await_normal(ring.nodes)
        self.await_progress(writers)
        for writer in writers:
            writer.end()
        assert_nothing_lost(ring, writers)
        self.assert_all_equal()


if __name__ == "__main__":
    why_not = network.enter()
    if why_not:
        print("ring_namespaces: not possible here: %s" % why_not)
        print("0 passed, 0 failed, 1 skipped")
        sys.exit(77)
    Given.bench = os.path.abspath(take(sys.argv, "--bench", "build/dyno-bench"))
    Given.hold_seconds = take(sys.argv, "--hold", Given.hold_seconds)
    Given.cut_seconds = take(sys.argv, "--cut", Given.hold_seconds)
    local_ring.main()
