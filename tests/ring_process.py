#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rings of real processes on 127.0.0.1: replication, failover, quorums, forwarding, refilling.

What is checked at the end of each: all replicas hold the same, by content and by version.
"""

import json
import random
import re
import signal
import socket
import threading
import time
import unittest

import local_ring
import resp_client
from local_ring import Ring
from tally import ALLOWANCE


class RingTest(unittest.TestCase):
    def test_three_racks_replicate(self):
        with Ring() as ring:
            a, b, c = (ring.client(node) for node in ring.nodes)
            with a, b, c:
                a.must("SET", "s", "one")
                a.must("RPUSH", "l", "1", "2", "3")
                a.must("HSET", "h", "f", "v", "g", "w")
                b.must("SADD", "set", "x", "y", "z")
                b.must("ZADD", "z", "1", "one", "2", "two")
                for each in (a, b, c):
                    for _ in range(10):
                        each.must("INCR", "counter")
                a.must("SET", "gone", "x")
                a.must("DEL", "gone")
                a.must("SET", "short", "x", "PX", 100)
                ring.assert_equal(["s", "l", "h", "set", "z", "counter", "gone"])
                for each in (a, b, c):
                    self.assertEqual(each.must("GET", "s"), b"one")
                    self.assertEqual(each.must("LRANGE", "l", 0, -1), [b"1", b"2", b"3"])
                    self.assertEqual(each.must("GET", "counter"), b"30")
                    self.assertEqual(each.must("EXISTS", "gone"), 0)
                time.sleep(0.2)
                for each in (a, b, c):
                    self.assertIsNone(each.must("GET", "short"))
                b.must("FLUSHALL")
                ring.await_settled()
                for each in (a, b, c):
                    self.assertEqual(each.must("DBSIZE"), 0)
                self.assertIn(b"SWAPDB", a.call("SWAPDB", 0, 1))
                status = a.must("RING", "STATUS").decode()
                self.assertEqual(status.count("NORMAL"), 3)
                self.assertIn("rack2", a.must("RING", "DESCRIBE").decode())

    def test_killed_node_is_filled(self):
        with Ring() as ring:
            stopping = threading.Event()
            written = []
            errors = []

            def write():
                with ring.client(ring.nodes[0]) as client:
                    i = 0
                    while not stopping.is_set():
                        batch = []
                        for _ in range(50):
                            batch.append(("SET", "k%d" % (i % 3000), "v%d" % i))
                            batch.append(("INCR", "count%d" % (i % 10)))
                            i += 1
                        for reply in client.pipeline(batch):
                            if isinstance(reply, resp_client.Error):
                                errors.append(reply)
                        time.sleep(0.002)
                    written.append(i)

            writer = threading.Thread(target=write)
            writer.start()
            time.sleep(0.5)
            ring.kill(ring.nodes[2])
            ring.await_true(
                "the death is noticed",
                lambda: ring.ring_info(ring.nodes[0])["ring_nodes_up"] == "2",
            )
            time.sleep(0.3)
            ring.start(ring.nodes[2])
            ring.await_normal(ring.nodes)
            time.sleep(0.3)
            stopping.set()
            writer.join()
            self.assertEqual(errors, [])
            keys = ["k%d" % i for i in range(0, 3000, 37)] + ["count%d" % i for i in range(10)]
            ring.assert_equal(keys)
            sizes = []
            for node in ring.nodes:
                with ring.client(node) as client:
                    sizes.append(client.must("DBSIZE"))
                    total = sum(int(client.must("GET", "count%d" % i)) for i in range(10))
                    self.assertEqual(total, written[0])
            self.assertEqual(len(set(sizes)), 1, sizes)

    def test_rack_of_two_nodes(self):
        # A value of many megabytes takes sanitized nodes some seconds.
        with Ring(racks=2, nodes=2, options=["--ring-timeout", "%ds" % (2 * ALLOWANCE)]) as ring:
            with ring.client(ring.nodes[0]) as client, ring.client(ring.nodes[1]) as other:
                self.check_pipelines(client)
                self.check_several_keys(client)
                self.check_large_values(client)
                self.check_whole_rack(client, other)
                self.check_transactions(client, other)
                self.check_blocking(client, other)
                ring.assert_equal(["p%d" % i for i in range(50)])

    def check_pipelines(self, client):
        batch = []
        for i in range(300):
            batch += [("SET", "p%d" % i, i), ("INCR", "p%d" % i), ("GET", "p%d" % i), ("PING",)]
        replies = client.pipeline(batch)
        for i in range(300):
            number = b"%d" % (i + 1)
            self.assertEqual(replies[4 * i : 4 * i + 4], [b"OK", i + 1, number, b"PONG"])
        client.must("SELECT", 3)
        client.must("SET", "p1", "other")
        self.assertEqual(client.must("GET", "p1"), b"other")
        client.must("DEL", "p1")
        client.must("SELECT", 0)
        self.assertEqual(client.must("GET", "p1"), b"2")

    def check_several_keys(self, client):
        keys = ["m%d" % i for i in range(40)]
        pairs = [word for i, key in enumerate(keys) for word in (key, "v%d" % i)]
        self.assertEqual(client.must("MSET", *pairs), b"OK")
        self.assertEqual(
            client.must("MGET", *keys, "missing"), [b"v%d" % i for i in range(40)] + [None]
        )
        self.assertEqual(client.must("EXISTS", *keys), 40)
        self.assertEqual(client.must("DEL", *keys[:30]), 30)
        self.assertEqual(client.must("UNLINK", *keys), 10)
        refused = [client.call("SUNIONSTORE", "d%d" % i, "a", "b", "c", "e") for i in range(4)]
        self.assertTrue(any(isinstance(r, resp_client.Error) for r in refused), refused)
        for reply in refused:
            if isinstance(reply, resp_client.Error):
                self.assertTrue(reply.startswith(b"CROSSSLOT"), reply)
        self.assertEqual(client.must("SADD", "{t}a", "1"), 1)
        self.assertEqual(client.must("SUNIONSTORE", "{t}d", "{t}a", "{t}b"), 1)

    def check_large_values(self, client):
        value = random.Random(1).randbytes(20 << 20)  # Messages have at most 16 MiB.
        for i in range(3):
            name = "large%d" % i
            client.must("SET", name, value)
            self.await_equal(lambda name=name: client.must("STRLEN", name), len(value))
        self.await_equal(lambda: client.must("GET", "large1"), value)

    def await_equal(self, read, expected):
        """At once as a rule; another replica answers, earlier state too, when one is too slow."""
        deadline = time.monotonic() + 2 * (ALLOWANCE - 1)
        while read() != expected:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def check_whole_rack(self, client, other):
        client.must("FLUSHALL")
        for i in range(200):
            client.must("SET", "w%d" % i, i)
        for each in (client, other):
            self.assertEqual(each.must("DBSIZE"), 200)
            self.assertEqual(len(each.must("KEYS", "w*")), 200)
            found, cursor = [], b"0"
            while True:
                cursor, keys = each.must("SCAN", cursor, "COUNT", 20)
                found += keys
                if cursor == b"0":
                    break
            self.assertEqual(sorted(found), sorted(b"w%d" % i for i in range(200)))
            self.assertTrue(each.must("RANDOMKEY").startswith(b"w"))

    def check_transactions(self, client, other):
        for i in range(8):  # Some of these keys belong to either node.
            key = "tx%d" % i
            client.must("MULTI")
            client.must("INCR", key)
            client.must("INCR", key)
            self.assertEqual(client.must("EXEC"), [1, 2])
            client.must("WATCH", key)
            client.must("MULTI")
            client.must("INCR", key)
            self.assertEqual(client.must("EXEC"), [3])
            client.must("WATCH", key)
            other.must("SET", key, "9")
            client.must("MULTI")
            client.must("INCR", key)
            self.assertIsNone(client.must("EXEC"))
            self.assertEqual(client.must("GET", key), b"9")
        client.must("MULTI")
        for i in range(8):
            client.must("INCR", "tx%d" % i)
        self.assertTrue(client.call("EXEC").startswith(b"CROSSSLOT"))
        self.assertEqual(client.must("PING"), b"PONG")

    def check_blocking(self, client, other):
        for i in range(6):
            client.send("BLPOP", "b%d" % i, 5)
            time.sleep(0.05)
            other.must("RPUSH", "b%d" % i, "x")
            self.assertEqual(client.read_reply(), [b"b%d" % i, b"x"])
            self.assertIsNone(client.must("BLPOP", "b%d" % i, "0.1"))

    def test_owner_away(self):
        with Ring(racks=2, nodes=2) as ring:
            with ring.client(ring.nodes[0]) as client:
                for i in range(100):
                    client.must("SET", "k%d" % i, i)
                ring.await_settled()
                ring.kill(ring.nodes[1])
                ring.await_true(
                    "the death is noticed",
                    lambda: ring.ring_info(ring.nodes[0])["ring_nodes_up"] == "3",
                )
                for i in range(100):
                    self.assertEqual(client.must("GET", "k%d" % i), b"%d" % i)
                    client.must("SET", "k%d" % i, i + 1)
                self.assertTrue(client.call("DBSIZE").startswith(b"CLUSTERDOWN"))
                ring.start(ring.nodes[1])
                ring.await_normal(ring.nodes)
                ring.assert_equal(["k%d" % i for i in range(0, 100, 9)])

    def test_quorums(self):
        with Ring() as ring:
            a, b = ring.client(ring.nodes[0]), ring.client(ring.nodes[1])
            with a, b:
                for level in ("dc_quorum", "dc_safe_quorum", "dc_each_safe_quorum"):
                    for node in ring.nodes:
                        with ring.client(node) as client:
                            client.must("CONFIG", "SET", "write_consistency", level)
                            client.must("CONFIG", "SET", "read_consistency", level)
                    batch = []
                    for i in range(100):
                        batch += [("SET", "q%d" % i, level), ("GET", "q%d" % i)]
                    replies = a.pipeline(batch)
                    self.assertEqual(replies, [b"OK", level.encode()] * 100)
                    for i in range(20):
                        a.must("SET", "now", i)
                        self.assertEqual(b.must("GET", "now"), b"%d" % i)
                        self.assertEqual(b.must("INCR", "n" + level), 2 * i + 1)
                        self.assertEqual(a.must("INCR", "n" + level), 2 * i + 2)
                ring.kill(ring.nodes[1])
                ring.await_true(
                    "the death is noticed",
                    lambda: ring.ring_info(ring.nodes[0])["ring_nodes_up"] == "2",
                )
                a.must("SET", "two of three", "1")
                self.assertEqual(a.must("GET", "two of three"), b"1")
                ring.kill(ring.nodes[2])
                ring.await_true(
                    "the death is noticed",
                    lambda: ring.ring_info(ring.nodes[0])["ring_nodes_up"] == "1",
                )
                refused = a.call("SET", "one of three", "1")
                self.assertIsInstance(refused, resp_client.Error)
                self.assertIsInstance(a.call("GET", "q1"), resp_client.Error)
                a.must("CLIENT", "CONSISTENCY", "READ", "DC_ONE")
                self.assertIsNone(a.must("GET", "one of three"))
                self.assertEqual(a.must("GET", "two of three"), b"1")

    def test_two_data_centers(self):
        with Ring(racks=2, dcs=2, options=["--ring-failover=all"]) as ring:
            clients = [ring.client(node) for node in ring.nodes]
            near, far = clients[0], clients[2]
            for client in clients:
                client.must("CLIENT", "CONSISTENCY", "WRITE", "DC_EACH_SAFE_QUORUM")
                client.must("CLIENT", "CONSISTENCY", "READ", "DC_EACH_SAFE_QUORUM")
            for i in range(20):
                near.must("SET", "k", i)
                self.assertEqual(far.must("GET", "k"), b"%d" % i)
                self.assertEqual(far.must("INCR", "k"), i + 1)
            for client in clients:
                client.must("CLIENT", "CONSISTENCY", "WRITE", "DC_ONE")
                client.must("CLIENT", "CONSISTENCY", "READ", "DC_ONE")
                client.must("INCRBY", "sum", 5)
            ring.assert_equal(["k", "sum"])
            self.assertEqual(near.must("GET", "sum"), b"20")
            self.assertIsInstance(
                near.call("CLIENT", "CONSISTENCY", "READ", "DC_MANY"), resp_client.Error
            )
            for client in clients:
                client.close()

    def test_clean_end_loses_nothing(self):
        with Ring(racks=2) as ring:
            with ring.client(ring.nodes[0]) as client:
                client.pipeline([("SET", "k%d" % i, i) for i in range(20000)])
                ring.nodes[0].process.send_signal(signal.SIGTERM)
            self.assertEqual(ring.nodes[0].process.wait(timeout=10), 0)
            with ring.client(ring.nodes[1]) as client:
                self.assertEqual(client.must("DBSIZE"), 20000)

    def test_lost_writes_are_counted_and_logged(self):
        def write(ring, node):
            with ring.client(node) as client:
                end = time.monotonic() + 1.5
                while time.monotonic() < end:
                    client.pipeline([("SET", "contested", n) for n in range(50)])

        with Ring(racks=2, options=["--ring-log-conflicts=yes"]) as ring:
            writers = [threading.Thread(target=write, args=(ring, node)) for node in ring.nodes]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
            ring.assert_equal(["contested"])
            lost = 0
            for node in ring.nodes:
                with ring.client(node) as client:
                    info = client.must("INFO", "ring").decode()
                lost += int(re.search(r"ring_conflicts_string:(\d+)", info).group(1))
            self.assertGreater(lost, 0)
            lines = [
                line
                for node in ring.nodes
                for line in ring.log(node).splitlines()
                if "a write lost to a concurrent one" in line
            ]
            self.assertGreater(len(lines), 0)
            self.assertLessEqual(len(lines), lost)
            self.assertIn("contested", lines[0])
            self.assertIn("string", lines[0])

    def test_long_commands_and_writes(self):
        """A loop that changes hands keeps what its thread had written."""
        with Ring(racks=2, options=["--server-threads=1"]) as ring:
            with ring.client(ring.nodes[0]) as client, ring.client(ring.nodes[0]) as other:
                client.pipeline([("SET", "long%d" % i, i) for i in range(60000)])
                for i in range(10):
                    batch = [("SET", "w%d" % (100 * i + j), i) for j in range(50)]
                    client.send_raw(b"".join(map(resp_client.encode, batch)))
                    client.send("KEYS", "*")
                    for j in range(50, 100):
                        other.must("SET", "w%d" % (100 * i + j), i)
                    client.read_all(51)
                sizes = []
                ring.await_settled()
                for node in ring.nodes:
                    with ring.client(node) as each:
                        sizes.append(each.must("DBSIZE"))
                self.assertEqual(sizes, [61000, 61000])

    def ask(self, node, path, head=""):
        """Head and body of what the admin port answers."""
        with socket.create_connection(("127.0.0.1", node.admin), timeout=5) as link:
            link.sendall(("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (path, head)).encode())
            text = b""
            while part := link.recv(65536):
                text += part
            return text.split(b"\r\n\r\n", 1)

    def test_admin_port(self):
        with Ring(racks=1) as ring:
            node = ring.nodes[0]
            self.assertTrue(self.ask(node, "/ping")[0].startswith(b"HTTP/1.1 200"))
            self.assertEqual(self.ask(node, "/readyz")[1], b"NORMAL\n")
            self.assertEqual(json.loads(self.ask(node, "/info")[1])["ring_state"], "NORMAL")
            described = json.loads(self.ask(node, "/cluster_describe")[1])
            self.assertEqual(described["dcs"][0]["racks"][0]["servers"][0]["port"], node.peer)
            self.assertIn(b"\ndyno_ring_nodes 1\n", self.ask(node, "/metrics")[1])
            self.assertEqual(self.ask(node, "/set_consistency/read/dc_quorum")[1], b"OK\n")
            self.assertIn(b"Read Consistency: DC_QUORUM", self.ask(node, "/get_consistency")[1])
            for path in self.ask(node, "/help")[1].decode().split():
                if "<" not in path:
                    self.assertTrue(self.ask(node, path)[0].startswith(b"HTTP/1.1 200"), path)
            for path in ("/set_consistency/read/many", "/state/", "/state/down"):
                self.assertTrue(self.ask(node, path)[0].startswith(b"HTTP/1.1 400"), path)
            for path in ("/set_consistency/read/dc_one", "/state/standby"):
                cross = self.ask(node, path, "Origin: http://evil\r\n")[0]
                self.assertTrue(cross.startswith(b"HTTP/1.1 403"), path)
            self.assertTrue(self.ask(node, "/nothing")[0].startswith(b"HTTP/1.1 404"))
            with socket.create_connection(("127.0.0.1", node.admin), timeout=5) as link:
                link.sendall(b"x" * 20000)
                try:
                    self.assertEqual(link.recv(100), b"")
                except ConnectionResetError:
                    pass

    def test_states_that_an_operator_wishes(self):
        with Ring(racks=2, options=["--server-threads=1"]) as ring:
            node, other = ring.nodes

            def become(path, state):
                self.assertEqual(self.ask(node, "/state/" + path)[1], b"OK\n")
                ring.await_true(
                    "it is so",
                    lambda: self.ask(node, "/state/get_state")[1] == b"State: %s\n" % state,
                )
                ring.await_true(
                    "the other knows it",
                    lambda: state in ring.status_line(other, node).split(),
                )

            def here():
                info = ring.ring_info(other)
                return int(info["ring_facts_applied"])

            with ring.client(node) as client, ring.client(other) as near:
                client.must("SET", "k", "old")
                ring.await_settled()
                become("standby", b"STANDBY")
                self.assertTrue(self.ask(node, "/readyz")[0].startswith(b"HTTP/1.1 503"))
                client.must("SET", "k", "by the other")
                self.assertEqual(client.must("GET", "k"), b"by the other")
                self.assertEqual(near.must("GET", "k"), b"by the other")
                ring.pause(other)  # Nobody is left to ask.
                ring.await_nodes_up(node, 1)
                self.assertTrue(client.call("GET", "k").startswith(b"CLUSTERDOWN"))
                self.assertEqual(self.ask(node, "/state/writes_only")[1], b"OK\n")
                ring.await_true(
                    "it takes writes", lambda: client.call("SET", "k", "blind") == b"OK"
                )
                self.assertTrue(client.call("GET", "k").startswith(b"CLUSTERDOWN"))
                ring.resume(other)
                become("resuming", b"WRITES_ONLY")
                applied = here()
                client.must("SET", "k", "here")
                ring.await_true("the write began here", lambda: here() > applied)
                self.assertEqual(client.must("GET", "k"), b"here")
                become("normal", b"NORMAL")
                client.must("RING", "DRAIN")
                ring.await_true(
                    "the other knows it", lambda: b"LEAVING" in ring.status_line(other, node)
                )
                self.assertIn(b"LEAVING", self.ask(node, "/state/get_state")[1])
                client.must("SET", "k", "forwarded")
                become("normal", b"NORMAL")
                ring.assert_equal(["k"])

    def test_a_node_twice(self):
        with Ring(racks=2, options=["--server-threads=1"]) as ring:
            node, other = ring.nodes
            old = local_ring.Node(node.dc, node.rack, node.token)
            old.process, old.port = node.process, node.port
            node.port, node.admin = local_ring.free_port(), local_ring.free_port()
            node.peer = local_ring.free_port()
            ring.start(node)  # As the same node, at another address, which the other is not told.
            try:
                ring.await_true(
                    "the older one knows",
                    lambda: ring.ring_info(old)["ring_state"] == "LEAVING",
                )
                with ring.client(old) as client:
                    refused = client.call("SET", "k", "lost")
                    self.assertTrue(refused.startswith((b"CLUSTERDOWN", b"TRYAGAIN")), refused)
                with ring.client(other) as client:
                    client.must("SET", "k", "v")
                    self.assertEqual(client.must("GET", "k"), b"v")
            finally:
                old.process.send_signal(signal.SIGTERM)
                self.assertEqual(old.process.wait(timeout=20), 0)

    def test_peer_port_refuses_others(self):
        with Ring(racks=2) as ring:
            node = ring.nodes[0]
            rng = random.Random(1)
            before = int(ring.ring_info(node)["ring_links_closed"])
            for payload in (
                b"*1\r\n$4\r\nPING\r\n" * 10,
                b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                b"\xff" * 64,
                rng.randbytes(4096),
                b"\x00" * 40,
            ):
                with socket.create_connection(("127.0.0.1", node.peer), timeout=5) as link:
                    link.sendall(payload)
                    try:
                        while link.recv(4096):
                            pass
                    except OSError:
                        pass
            ring.await_true(
                "five links are counted",
                lambda: int(ring.ring_info(node)["ring_links_closed"]) >= before + 5,
            )
            with ring.client(node) as client:
                client.must("SET", "still", "here")
            ring.assert_equal(["still"])


if __name__ == "__main__":
    local_ring.main()
