#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rings of real processes that are stopped, cut off and slowed while clients write.

Each fault must be seen to take effect.  Each time: what was acknowledged is there afterwards, at
every replica, all replicas are equal, and clients were told errors of the documented kinds only.
"""

import random
import time
import unittest

import local_ring
import resp_client
from held_link import HeldLink
from local_ring import Ring
from ring_writer import NOT_APPLIED, UNKNOWN, Writer, assert_nothing_lost


class FaultTest(unittest.TestCase):
    def test_node_is_paused(self):
        with Ring() as ring:
            a, b, paused = ring.nodes
            writers = [Writer(ring, a, "DC_QUORUM", "a"), Writer(ring, b, "DC_ONE", "b")]
            for writer in writers:
                writer.start()
            time.sleep(0.3)
            ring.pause(paused)
            ring.await_nodes_up(a, 2)
            time.sleep(0.5)
            with ring.client(a) as client:
                client.must("CLIENT", "CONSISTENCY", "WRITE", "DC_QUORUM")
                for i in range(20):
                    client.must("SET", "seen%d" % i, "new")
            ring.resume(paused)
            with ring.client(paused) as client:
                client.must("CLIENT", "CONSISTENCY", "READ", "DC_QUORUM")
                for i in range(20):  # It wakes with old data, and must not show them.
                    reply = client.call("GET", "seen%d" % i)
                    if isinstance(reply, resp_client.Error):
                        self.assertTrue(reply.startswith(NOT_APPLIED), reply)
                    else:
                        self.assertEqual(reply, b"new")
            for writer in writers:
                writer.end()
            assert_nothing_lost(ring, writers)
            for writer in writers:
                self.assertEqual(writer.perhaps, [])
                self.assertLess(writer.longest_seconds, 2.5)

    def test_locks_while_a_node_is_paused(self):
        """A lock has one winner, a counter no number twice, when nodes stand in and come back."""
        with Ring(options=["--ring-write-consistency=dc_quorum"]) as ring:
            a, _, paused = ring.nodes
            keys = ["lock%d" % i for i in range(60)]
            numbers = ["count%d" % i for i in range(60)]
            ring.await_settled()
            with ring.client(a) as client, ring.client(paused) as woken:
                taken = [client.must("SET", key, "1", "NX") for key in keys[:20]]
                counted = {key: [client.must("INCR", key)] for key in numbers}
                woken.must("PING")
                ring.pause(paused)
                ring.await_nodes_up(a, 2)
                taken += [client.must("SET", key, "2", "NX") for key in keys]
                for key in numbers:
                    counted[key].append(client.must("INCR", key))
                # They are read when it wakes, before what its peers have told it meanwhile.
                for key in keys:
                    woken.send("SET", key, "3", "NX")
                for key in numbers:
                    woken.send("INCR", key)
                ring.resume(paused)
                taken += [woken.read_reply() for _ in keys]
                for key in numbers:
                    counted[key].append(woken.read_reply())
            winners = [reply for reply in taken if not isinstance(reply, resp_client.Error)]
            self.assertEqual(winners.count(b"OK"), len(keys), taken)
            for key, replies in counted.items():
                told = [reply for reply in replies if not isinstance(reply, resp_client.Error)]
                self.assertEqual(told, sorted(set(told)), key)
            compared = sum(
                int(ring.ring_info(node)["ring_writes_compared"]) for node in ring.nodes
            )
            self.assertGreater(compared, 40)
            self.check_nothing_is_compared(ring, keys)

    def check_nothing_is_compared(self, ring, keys):
        """While all is well, a quorum write costs no question."""

        def told():
            return [ring.ring_info(node)["ring_writes_compared"] for node in ring.nodes]

        def is_well():
            before = told()
            with ring.client(ring.nodes[1]) as client:
                for key in keys:
                    client.must("SET", key, "x")
            time.sleep(0.2)  # INFO may be 0.1 s old.
            return told() == before

        ring.await_true("no write is compared", is_well)

    def test_data_center_is_stopped(self):
        with Ring(racks=3, dcs=2, options=["--server-threads=1"]) as ring:
            here, there = ring.nodes[:3], ring.nodes[3:]
            writers = [Writer(ring, node, "DC_QUORUM", node.rack) for node in here]
            each = Writer(ring, here[0], "DC_EACH_SAFE_QUORUM", "each")
            for writer in writers + [each]:
                writer.start()
            time.sleep(0.3)
            self.assertEqual(each.perhaps, [])
            ring.pause(*there)
            for node in here:
                ring.await_nodes_up(node, 3)
            with ring.client(here[0]) as client:
                client.must("CLIENT", "CONSISTENCY", "WRITE", "DC_EACH_SAFE_QUORUM")
                client.must("CLIENT", "CONSISTENCY", "READ", "DC_EACH_SAFE_QUORUM")
                refused = client.call("SET", "refused", "x")
                self.assertTrue(refused.startswith(NOT_APPLIED), refused)
                self.assertTrue(client.call("GET", "refused").startswith(UNKNOWN))
                client.must("CLIENT", "CONSISTENCY", "READ", "DC_SAFE_QUORUM")
                self.assertIsNone(client.must("GET", "refused"))
            before = len(writers[0].surely)
            time.sleep(0.3)
            self.assertGreater(len(writers[0].surely), before)
            ring.resume(*there)
            ring.await_normal(ring.nodes)
            for writer in writers + [each]:
                writer.end()
            assert_nothing_lost(ring, writers + [each])
            for writer in writers:
                self.assertEqual(writer.perhaps, [])

    def test_data_centers_are_cut_off(self):
        """Both sides write on; then only what one side sends is lost."""

        def route(dialer, node):
            return HeldLink(node.peer) if dialer.dc != node.dc else None

        with Ring(racks=2, dcs=2, options=["--server-threads=1"], route=route) as ring:
            sides = ring.nodes[0], ring.nodes[2]
            for round_, one_way in enumerate((False, True)):
                writers = [Writer(ring, node, "DC_QUORUM", node.dc + str(round_)) for node in sides]
                for writer in writers:
                    writer.start()
                for (dialer, _), link in ring.links.items():
                    mine = dialer.dc == "dc0"
                    link.hold(forth=mine or not one_way, back=not mine or not one_way)
                for node in sides:
                    ring.await_nodes_up(node, 2)
                counts = [len(writer.surely) for writer in writers]
                for node in sides:
                    with ring.client(node) as client:
                        for _ in range(10):
                            client.must("INCR", "count")
                time.sleep(0.3)
                for writer, count in zip(writers, counts):
                    self.assertGreater(len(writer.surely), count)
                for link in ring.links.values():
                    link.release()
                ring.await_normal(ring.nodes)
                for writer in writers:
                    writer.end()
                assert_nothing_lost(ring, writers)
                for writer in writers:
                    self.assertEqual(writer.perhaps, [])
                with ring.client(sides[0]) as client:
                    client.must("DEL", "all")
                    self.assertEqual(client.must("GET", "count"), b"%d" % (20 * round_ + 20))
                ring.await_settled()

    def test_far_data_center(self):
        """A quorum here waits for nobody far away; one everywhere does."""
        delay_seconds = 0.1

        def route(dialer, node):
            return HeldLink(node.peer) if dialer.dc != node.dc else None

        with Ring(racks=2, dcs=2, options=["--server-threads=1"], route=route) as ring:
            for link in ring.links.values():
                link.delay_seconds = delay_seconds
            time.sleep(0.5)  # What was sent before had no delay.
            with ring.client(ring.nodes[0]) as client:
                for level, least, most in (
                    ("DC_QUORUM", 0, delay_seconds),
                    ("DC_EACH_SAFE_QUORUM", 2 * delay_seconds, 1.5),
                ):
                    client.must("CLIENT", "CONSISTENCY", "WRITE", level)
                    for i in range(5):
                        began = time.monotonic()
                        client.must("SET", "k%d" % i, level)
                        taken = time.monotonic() - began
                        self.assertGreaterEqual(taken, least)
                        self.assertLess(taken, most)
            ring.assert_equal(["k%d" % i for i in range(5)])

    def test_one_copy_crosses(self):
        """To three racks far away, over a node that passes it on; then that node dies."""
        value = random.Random(1).randbytes(100_000)  # It cannot be compressed.

        def route(dialer, node):
            return HeldLink(node.peer) if (dialer.dc, node.dc) == ("dc0", "dc1") else None

        def crossed(ring):
            first = ring.nodes[0]
            return {node: ring.links[first, node].bytes_forth for node in ring.nodes[3:]}

        with Ring(racks=3, dcs=2, options=["--server-threads=1"], route=route) as ring:
            origin = ring.nodes[0]
            with ring.client(origin) as client:
                before = crossed(ring)
                for i in range(200):
                    client.must("SET", "k%d" % i, value)
                ring.assert_equal(["k0", "k199"])
                by_node = {node: count - before[node] for node, count in crossed(ring).items()}
                # Digests of all slots, which are compared now and then, are half a megabyte.
                self.assertLess(sum(by_node.values()), 200 * len(value) * 1.5)
                info = ring.ring_info(origin)
                self.assertGreaterEqual(int(info["ring_gateway_writes"]), 200)
                self.assertGreaterEqual(int(info["ring_gateway_copies"]), 600)
                gateway = max(by_node, key=by_node.get)
                ring.kill(gateway)
                for i in range(50):
                    client.must("SET", "k%d" % i, "short")
                others = [node for node in ring.nodes[3:] if node is not gateway]

                def arrived():
                    for node in others:
                        with ring.client(node) as far:
                            if far.must("MGET", *["k%d" % i for i in range(50)]) != [b"short"] * 50:
                                return False
                    return True

                ring.await_true("the others have them", arrived)
                ring.await_true(
                    "the gateway was left",
                    lambda: int(ring.ring_info(origin)["ring_gateways_left"]) > 0,
                )
                ring.start(gateway)
                ring.await_normal(ring.nodes)
                ring.assert_equal(["k%d" % i for i in range(50)])

    def test_the_distance_is_spared(self):
        """What crosses is compressed and keeps to a rate, which holds back nothing but writes."""
        rate, count = 400_000, 60
        noise = random.Random(2).randbytes(20_000)
        options = ["--server-threads=1", "--ring-wan-rate=%d" % rate]
        with Ring(racks=1, dcs=2, options=options) as ring:
            origin, far = ring.nodes

            def sent():
                info = ring.ring_info(origin)
                return int(info["ring_wan_bytes"]), int(info["ring_wan_bytes_uncompressed"])

            with ring.client(origin) as client, ring.client(far) as reader:
                before = sent()
                for i in range(20):
                    client.must("SET", "even%d" % i, "x" * 20_000)
                ring.await_true("they are there", lambda: reader.must("DBSIZE") == 20)
                ring.await_true("it shows", lambda: sent()[1] - before[1] > 20 * 20_000)
                self.assertLess(sent()[0] - before[0], 20 * 2_000)
                began = time.monotonic()
                for i in range(count):
                    client.must("SET", "noise%d" % i, noise)
                written = time.monotonic() - began
                while reader.must("DBSIZE") < 20 + count:
                    self.assertIn(b"NORMAL", ring.status_line(origin, far))
                    self.assertLess(time.monotonic() - began, 60)
                    time.sleep(0.05)
                passed = time.monotonic() - began
                # The client did not wait for what the other data center did.
                self.assertLess(written, passed)
                self.assertGreater(passed, count * len(noise) / rate * 0.8)
                ring.await_true(
                    "it is counted", lambda: int(ring.ring_info(origin)["ring_wan_waits"]) > 0
                )
                ring.assert_equal(["noise0", "noise%d" % (count - 1)])

    def test_what_waits_is_bounded(self):
        """An owner is stopped: what waits for it, and behind that, has a bound in bytes."""
        limit, value = 1 << 20, "x" * 100_000
        options = ["--server-threads=1", "--ring-timeout=10s", "--ring-pending-limit=1mb"]
        with Ring(racks=2, nodes=2, options=options) as ring:
            node, owner = ring.nodes[:2]

            def pending():
                return int(ring.ring_info(node)["ring_pending_bytes"])

            keys = ["k%d" % i for i in range(60)]
            theirs = [key for key in keys if owner in ring.holders(key)]
            mine = [key for key in keys if key not in theirs][0]
            clients = [ring.client(node) for _ in range(4)]
            clients[0].must("SET", mine, value)
            ring.pause(owner)
            clients[0].send_raw(
                b"".join(
                    resp_client.encode(words)
                    for words in [("SET", theirs[0], "first")] + [("GET", mine)] * 100
                )
            )
            ring.await_true("the pipeline waits", lambda: pending() > limit)
            self.assertLess(pending(), limit + 2 * len(value))
            self.assertEqual(clients[1].must("GET", mine), value.encode())
            self.assertEqual(clients[1].must("SET", mine, "other"), b"OK")
            for client, key in zip(clients[1:3], theirs[1:3]):
                client.send("SET", key, "x" * limit)
                time.sleep(0.1)
            refused = clients[3].call("SET", theirs[3], "x")
            self.assertTrue(refused.startswith(b"TRYAGAIN"), refused)
            ring.resume(owner)
            replies = clients[0].read_all(101)
            self.assertEqual(replies[0], b"OK")
            self.assertEqual(set(replies[1:]), {value.encode(), b"other"})
            self.assertEqual(clients[1].read_reply(), b"OK")
            ring.await_normal(ring.nodes)
            ring.await_true("nothing waits", lambda: pending() == 0)
            for client in clients:
                client.close()
            ring.assert_equal(theirs[:4] + [mine])

    def test_broken_link_runs_nothing_twice(self):
        """An answer is lost: the client is told so, and nobody tries again."""

        def route(dialer, node):
            return HeldLink(node.peer) if (dialer.token, node.token) == (0, 1 << 31) else None

        options = ["--server-threads=1", "--ring-timeout=5s"]
        with Ring(racks=2, nodes=2, options=options, route=route) as ring:
            with ring.client(ring.nodes[0]) as client, ring.client(ring.nodes[1]) as owner:
                keys = ["n%d" % i for i in range(40)]
                mine = [key for key in keys if ring.nodes[1] in ring.holders(key)]
                self.assertGreater(len(mine), 4)
                links = list(ring.links.values())
                for count, key in enumerate(mine[:5], 1):
                    for link in links:
                        link.hold(forth=False, back=True)
                    client.send("INCR", key)
                    ring.await_true(
                        "it has run at its owner", lambda key=key: owner.must("GET", key) == b"1"
                    )
                    for link in links:
                        link.sever()
                        link.release()
                    reply = client.read_reply()
                    self.assertTrue(reply.startswith(b"UNKNOWN"), reply)
                    ring.await_normal(ring.nodes)
                    self.assertEqual(client.must("GET", key), b"1")
                    unknown = ring.ring_info(ring.nodes[0])["ring_requests_unknown"]
                    self.assertEqual(unknown, str(count))
                ring.assert_equal(mine[:5])


if __name__ == "__main__":
    local_ring.main()
