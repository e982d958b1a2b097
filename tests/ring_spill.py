#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A ring of three racks that holds more data than its nodes have memory.

Most values of every node are on its disk. Whatever level is asked for, whichever node is asked and
whichever command it is, the answer is the same as if all were in memory; writes of others are
merged into what is on disk; repair and the filling of an empty node pass through it.
"""

import json
import os
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import local_ring
import resp_client
import ring_verify
from local_ring import Ring, content
from tally import ALLOWANCE

MEMORY = 48 << 20
COUNT = 70000
PAD = "x" * 1000
VERIFY_SECONDS = 12
LEVELS = ("DC_ONE", "DC_QUORUM", "DC_SAFE_QUORUM")


def value_of(number, turn=0):
    return ("%d:%d:%s" % (number, turn, PAD)).encode()


class ColdRing(Ring):
    """Each node has a directory of its own, which outlives its processes."""

    def __init__(self, mode, more=(), **layout):
        options = ["--storage-mode=" + mode, "--memory-maxmemory=%d" % MEMORY, *more]
        options += ["--storage-fsync=no"] if mode == "durable" else []
        super().__init__(options=options, **layout)

    def start(self, node):
        shared = self.options
        self.options = shared + ["--storage-path=%s/data%d" % (self.directory, node.port)]
        super().start(node)
        self.options = shared

    def cold_keys(self, node):
        with self.client(node) as client:
            return int(resp_client.info(client, "persistence")["storage_cold_keys"])

    def used(self, node):
        with self.client(node) as client:
            return int(resp_client.info(client, "memory")["used_memory"])


def set_level(client, level):
    client.must("CLIENT", "CONSISTENCY", "READ", level)
    client.must("CLIENT", "CONSISTENCY", "WRITE", level)


def fill(client, count, turn=0):
    for begin in range(0, count, 200):
        names = range(begin, min(begin + 200, count))
        replies = client.pipeline([("SET", "key:%d" % i, value_of(i, turn)) for i in names])
        bad = [reply for reply in replies if reply != b"OK"]
        assert not bad, bad[:3]


def fill_collections(client, count):
    """Of every type, too large to be kept in memory for nothing."""
    for i in range(count):
        words = [w for j in range(8) for w in ("f%d" % j, "%d:%s" % (i, PAD[:40]))]
        client.must("HSET", "hash:%d" % i, *words)
        client.must("RPUSH", "list:%d" % i, *["%d:%d:%s" % (i, j, PAD[:40]) for j in range(8)])
        client.must("SADD", "set:%d" % i, *["%d:%d:%s" % (i, j, PAD[:40]) for j in range(8)])
        words = [w for j in range(8) for w in (str(j), "%d:%d:%s" % (i, j, PAD[:40]))]
        client.must("ZADD", "zset:%d" % i, *words)


def change_collections(client, count):
    for i in range(count):
        client.must("HSET", "hash:%d" % i, "f1", "changed", "new", "field")
        client.must("HINCRBY", "hash:%d" % i, "counted", i)
        client.must("LPUSH", "list:%d" % i, "pushed")
        client.must("RPOP", "list:%d" % i)
        client.must("SREM", "set:%d" % i, "%d:0:%s" % (i, PAD[:40]))
        client.must("ZADD", "zset:%d" % i, "-5", "%d:3:%s" % (i, PAD[:40]))


class RingSpillTest(unittest.TestCase):
    def require_cold(self, ring, least):
        for node in ring.nodes:
            cold = ring.cold_keys(node)
            self.assertGreater(cold, least, "keys on disk alone at %d" % node.port)
            self.assertLess(ring.used(node), MEMORY * 1.3 * ALLOWANCE)

    def read_all(self, ring, node, level, turn=0, step=1):
        with ring.client(node) as client:
            set_level(client, level)
            for begin in range(0, COUNT, 500 * step):
                names = list(range(begin, min(begin + 500 * step, COUNT), step))
                replies = client.pipeline([("GET", "key:%d" % i) for i in names])
                for i, reply in zip(names, replies):
                    self.assertEqual(reply, value_of(i, turn), "key:%d at %s" % (i, level))

    def change_everywhere(self, ring, collections):
        """Every node changes what is cold at the others; what each reads then is the same."""
        rng = random.Random(7)
        counted = {}
        for number, node in enumerate(ring.nodes):
            with ring.client(node) as client:
                set_level(client, LEVELS[number])
                for i in range(number, 3000, 3):
                    client.must("APPEND", "key:%d" % i, "!")
                    counted[i] = value_of(i) + b"!"
                names = [rng.randrange(3000, 6000) for _ in range(300)]
                client.pipeline([("SETRANGE", "key:%d" % i, 0, "##") for i in names])
                for i in names:
                    counted[i] = b"##" + value_of(i)[2:]
                lone = range(6000 + number, 7500, 3)
                client.pipeline([("DEL", "key:%d" % i) for i in lone])
                counted.update((i, None) for i in lone)
        with ring.client(ring.nodes[0]) as client:
            change_collections(client, collections)
        ring.await_settled()
        kinds = ("hash", "list", "set", "zset")
        ring.assert_equal(["%s:%d" % (kind, i) for kind in kinds for i in range(0, collections, 7)])
        for node in ring.nodes:
            with ring.client(node) as client:
                for i, wanted in counted.items():
                    self.assertEqual(client.call("GET", "key:%d" % i), wanted, "key:%d" % i)

    def several_times_memory(self, mode):
        collections = 400
        with ColdRing(mode) as ring:
            with ring.client(ring.nodes[0]) as client:
                fill_collections(client, collections)
                time.sleep(2)  # Until traces are dropped: what has some stays in memory.
                fill(client, COUNT)
            ring.await_settled()
            self.require_cold(ring, COUNT // 4)
            for node, level in zip(ring.nodes, LEVELS):
                self.read_all(ring, node, level)
            self.change_everywhere(ring, collections)
            self.require_cold(ring, COUNT // 4)
            with ring.client(ring.nodes[1]) as client:
                client.must("FLUSHALL")
            ring.await_settled()
            for node in ring.nodes:
                self.assertEqual(ring.cold_keys(node), 0)

    def test_spill(self):
        self.several_times_memory("spill")

    def test_durable(self):
        self.several_times_memory("durable")

    def test_empty_node_is_filled(self):
        """Of a data set that is on the disks of the others, into one with as little memory."""
        for mode in ("spill", "durable"):
            with ColdRing(mode) as ring:
                with ring.client(ring.nodes[0]) as client:
                    fill(client, COUNT)
                ring.await_settled()
                ring.kill(ring.nodes[2])
                with ring.client(ring.nodes[0]) as client:
                    for i in range(0, 2000):
                        client.must("APPEND", "key:%d" % i, "!")
                ring.start(ring.nodes[2])
                ring.await_normal(ring.nodes)
                ring.await_settled()
                self.require_cold(ring, COUNT // 4)
                with ring.client(ring.nodes[2]) as client:
                    for i in range(0, COUNT, 7):
                        wanted = value_of(i) + (b"!" if i < 2000 else b"")
                        self.assertEqual(client.call("GET", "key:%d" % i), wanted, "key:%d" % i)
                ring.assert_equal(["key:%d" % i for i in range(0, COUNT, 601)])

    def test_repair(self):
        """What was missed while a node was stopped, more than the hints hold, into cold keys."""
        with ColdRing("spill", ["--ring-hint-limit=1mb"]) as ring:
            with ring.client(ring.nodes[0]) as client:
                fill(client, COUNT)
            ring.await_settled()
            ring.pause(ring.nodes[2])
            with ring.client(ring.nodes[0]) as client:
                for begin in range(0, 8000, 100):
                    replies = client.pipeline(
                        [("APPEND", "key:%d" % i, "?") for i in range(begin, begin + 100)]
                    )
                    self.assertNotIn(resp_client.Error, map(type, replies))
            ring.resume(ring.nodes[2])
            ring.await_normal(ring.nodes)
            ring.await_settled()
            with ring.client(ring.nodes[2]) as client:
                for i in range(0, 16000, 3):
                    wanted = value_of(i) + (b"?" if i < 8000 else b"")
                    self.assertEqual(client.call("GET", "key:%d" % i), wanted, "key:%d" % i)
            self.require_cold(ring, COUNT // 4)

    def test_forwarded(self):
        """Two nodes a rack: pipelines of one client for cold keys of the other keep their order."""
        with ColdRing("spill", racks=2, nodes=2) as ring:
            with ring.client(ring.nodes[0]) as client:
                fill(client, 2 * COUNT)
                ring.await_settled()
                rng = random.Random(3)
                for level in LEVELS[:2]:
                    set_level(client, level)
                    for _ in range(60):
                        names = ["key:%d" % rng.randrange(COUNT) for _ in range(40)]
                        words = []
                        for name in names:
                            words += [("SET", name, "first"), ("APPEND", name, "+"), ("GET", name)]
                        replies = client.pipeline(words)
                        self.assertEqual(replies[2::3], [b"first+"] * len(names))
                        old = ["key:%d" % rng.randrange(COUNT, 2 * COUNT) for _ in range(40)]
                        words = []
                        for name in old:
                            words += [("STRLEN", name), ("APPEND", name, "++"), ("STRLEN", name)]
                        replies = client.pipeline(words)
                        grown = [b - a for a, b in zip(replies[::3], replies[2::3])]
                        self.assertEqual(grown, [2] * len(old))
                    client.must("MULTI")
                    names = [("{a}%d" % i) for i in range(50)]
                    for name in names:
                        client.must("SET", name, PAD)
                    client.must("EXEC")
            ring.await_settled()
            ring.assert_equal(["key:%d" % i for i in range(0, 2 * COUNT, 1201)])

    def test_blocked_client(self):
        """It is served by what another node pushes, into a list that is on disk."""
        with ColdRing("spill") as ring:
            waiting, pushing = ring.client(ring.nodes[0]), ring.client(ring.nodes[1])
            with waiting, pushing:
                pushing.must("RPUSH", "{a}to", PAD)
                time.sleep(2)  # Until traces are dropped: what has some stays in memory.
                fill(waiting, COUNT)
                ring.await_settled()
                waiting.send("BLMOVE", "{a}from", "{a}to", "LEFT", "RIGHT", "10")
                time.sleep(0.3)
                pushing.must("RPUSH", "{a}from", "moved")
                self.assertEqual(waiting.read(), b"moved")
                ring.await_settled()
                ring.assert_equal(["{a}to", "{a}from"])
                self.assertEqual(pushing.call("LRANGE", "{a}to", 0, -1), [PAD.encode(), b"moved"])

    def test_verified_load(self):
        """Keys of a verified load leave memory and come back while nodes are killed and stopped."""
        for mode in ("durable", "spill"):
            with ColdRing(mode, ["--ring-hint-limit=1mb"]) as ring:
                stop = threading.Event()

                def crowd_out():
                    with ring.client(ring.nodes[0]) as client:
                        for turn in range(1, 1000):
                            for begin in range(0, COUNT, 100):
                                if stop.is_set():
                                    return
                                names = range(begin, begin + 100)
                                client.pipeline(
                                    [("SET", "key:%d" % i, value_of(i, turn)) for i in names]
                                )
                                time.sleep(0.02)

                with ring.client(ring.nodes[0]) as client:
                    fill(client, COUNT)
                crowd = threading.Thread(target=crowd_out)
                crowd.start()
                load = ring_verify.start_load(ring, VERIFY_SECONDS, ["-d", "100"])
                try:
                    time.sleep(3)
                    ring.kill(ring.nodes[1])
                    ring.await_nodes_up(ring.nodes[0], 2)
                    ring.start(ring.nodes[1])
                    ring.await_normal(ring.nodes)
                    ring.pause(ring.nodes[2])
                    ring.await_nodes_up(ring.nodes[0], 2)
                    ring.resume(ring.nodes[2])
                    ring.await_normal(ring.nodes)
                    stop.set()
                    text = load.communicate(timeout=90)[0].decode()
                finally:
                    stop.set()
                    crowd.join()
                    load.kill()
                self.assertEqual(load.returncode, 0, text)
                run = json.loads(text[text.index("{") : text.rindex("}") + 1])["runs"][-1]
                self.assertGreater(run["requests"], VERIFY_SECONDS * 300 / ALLOWANCE)
                ring.await_settled()
                self.require_cold(ring, COUNT // 8)

    def test_one_rack_keeps_its_data(self):
        """Without replicas, too, what a durable node of a ring was told outlives it."""
        with ColdRing("durable", racks=1, nodes=2) as ring:
            with ring.client(ring.nodes[0]) as client:
                fill(client, 2 * COUNT)
                client.must("DEL", "key:7")
            for node in ring.nodes:
                ring.kill(node)
            for node in ring.nodes:
                ring.start(node)
            ring.await_normal(ring.nodes)
            with ring.client(ring.nodes[1]) as client:
                for i in range(0, 2 * COUNT, 13):
                    self.assertEqual(client.call("GET", "key:%d" % i), value_of(i), "key:%d" % i)
                self.assertIsNone(client.call("GET", "key:7"))
                self.assertEqual(client.call("DBSIZE"), 2 * COUNT - 1)


if __name__ == "__main__":
    ring_verify.take_bench(sys.argv)
    local_ring.main()
