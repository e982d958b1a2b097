# SPDX-License-Identifier: Apache-2.0
"""A ring of real processes on 127.0.0.1, for the tests of rings.

Every node has free ports of its own and writes a log, which is shown when a test fails.  The list
of seeds that a node is given may name other addresses for other nodes (see HeldLink): nodes of a
ring compare everything but addresses.  `place`, given a node and its number, may give it addresses
and a network of its own (see network.py).
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import resp_client
from server_process import free_port
from tally import ALLOWANCE

SERVER = []
TOKENS = 1 << 32


class Node:
    def __init__(self, dc, rack, token):
        self.dc, self.rack, self.token = dc, rack, token
        self.port, self.peer = free_port(), free_port()
        self.admin = free_port()
        self.host = self.peer_host = "127.0.0.1"
        self.command = []  # What runs the server where it is to be.
        self.process = None

    def seed(self, port):
        return "%s:%d:%s:%s:%d" % (self.peer_host, port, self.rack, self.dc, self.token)


class Ring:
    """Nodes of `racks` racks in each of `dcs` data centers.

    `route`, given a node that dials and the one dialed, may start a HeldLink between them, or not.
    """

    def __init__(
        self,
        racks=3,
        nodes=1,
        dcs=1,
        options=(),
        route=lambda *_: None,
        place=lambda *_: None,
    ):
        self.options = list(options)
        self.directory = tempfile.mkdtemp(prefix="dyno-ring-")
        self.nodes = [
            Node("dc%d" % dc, "rack%d" % rack, TOKENS // nodes * node)
            for dc in range(dcs)
            for rack in range(racks)
            for node in range(nodes)
        ]
        for number, node in enumerate(self.nodes):
            place(node, number)
        self.links = {}
        for dialer in self.nodes:
            for node in self.nodes:
                link = route(dialer, node) if dialer is not node else None
                if link:
                    self.links[dialer, node] = link

    def __enter__(self):
        try:
            for node in self.nodes:
                self.start(node)
            self.await_normal(self.nodes)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        codes = []
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.process.send_signal(signal.SIGCONT)
                node.process.send_signal(signal.SIGTERM)
        for node in self.nodes:
            if node.process:
                codes.append(node.process.wait(timeout=20))
        for link in self.links.values():
            link.close()
        if kind is not None:
            for node in self.nodes:
                print("---- %s %s %d" % (node.dc, node.rack, node.token))
                print(self.log(node)[-3000:])
        shutil.rmtree(self.directory, ignore_errors=True)
        if kind is None and any(code not in (0, -signal.SIGKILL) for code in codes):
            raise AssertionError("nodes ended with %r" % codes)

    def log_path(self, node):
        return os.path.join(self.directory, "%d.log" % node.port)

    def log(self, node):
        with open(self.log_path(node), encoding="utf-8", errors="replace") as file:
            return file.read()

    def start(self, node):
        words = node.command + SERVER
        words += [
            "--client-listen=%s:%d" % (node.host, node.port),
            "--peer-listen=%s:%d" % (node.peer_host, node.peer),
            "--admin-listen=127.0.0.1:%d" % node.admin,
            "--ring-dc=" + node.dc,
            "--ring-rack=" + node.rack,
            "--ring-tokens=%d" % node.token,
            "--ring-seeds=" + ",".join(self.seeds(node)),
            "--server-threads=2",
            "--log-level=verbose",
        ]
        with open(self.log_path(node), "ab") as log:
            node.process = subprocess.Popen(
                words + self.options, stdout=log, stderr=log, cwd=self.directory
            )

    def peer_port(self, observer, node):
        """The port at which one node looks for another."""
        link = self.links.get((observer, node))
        return link.port if link else node.peer

    def seeds(self, dialer):
        return [node.seed(self.peer_port(dialer, node)) for node in self.nodes]

    def kill(self, node):
        node.process.kill()
        node.process.wait()

    def pause(self, *nodes):
        for node in nodes:
            node.process.send_signal(signal.SIGSTOP)

    def resume(self, *nodes):
        for node in nodes:
            node.process.send_signal(signal.SIGCONT)

    def await_nodes_up(self, observer, count):
        self.await_true(
            "%d nodes are up" % count,
            lambda: self.ring_info(observer)["ring_nodes_up"] == str(count),
        )

    def client(self, node, **options):
        return resp_client.Client(node.port, host=node.host, timeout=20, **options)

    def ring_info(self, node):
        with self.client(node) as client:
            return resp_client.info(client, "ring")

    def status_line(self, observer, node):
        """What one node says of another in RING STATUS."""
        with self.client(observer) as client:
            lines = client.must("RING", "STATUS").splitlines()
        place = b":%d " % self.peer_port(observer, node)
        return next(line for line in lines if place in line)

    def await_true(self, what, judge, seconds=20):
        deadline = time.monotonic() + seconds * ALLOWANCE
        while True:
            try:
                if judge():
                    return
            except (OSError, resp_client.Closed):
                pass
            if time.monotonic() > deadline:
                states = []
                for node in self.nodes:
                    try:
                        with self.client(node) as client:
                            states.append(client.call("RING", "STATUS"))
                            states.append(client.call("RING", "TASKS"))
                    except (OSError, resp_client.Closed):
                        states.append("away")
                raise AssertionError("not in time: %s\n%s" % (what, "\n".join(map(str, states))))
            time.sleep(0.05)

    def await_normal(self, nodes):
        time.sleep(0.15)  # INFO may be 0.1 s old.

        def judge():
            for node in nodes:
                found = self.ring_info(node)
                if found["ring_state"] != "NORMAL" or found["ring_links_missing"] != "0":
                    return False
                if int(found["ring_nodes_normal"]) != len(
                    [each for each in self.nodes if each.process.poll() is None]
                ):
                    return False
            return True

        self.await_true("all nodes are NORMAL and see each other", judge)

    def await_settled(self):
        """Until nothing is on its way between the nodes."""
        time.sleep(0.25)  # INFO may be 0.1 s old.

        def judge():
            return all(
                self.ring_info(node)["ring_hint_writes"] == "0"
                and self.ring_info(node)["ring_hint_slots"] == "0"
                for node in self.nodes
            )

        self.await_true("all writes are acknowledged", judge)

    def holders(self, key):
        """The owners of a key, as the first node knows them."""
        first = self.nodes[0]
        with self.client(first) as client:
            text = client.must("RING", "OWNERS", key).decode()
        return [node for node in self.nodes if ":%d" % self.peer_port(first, node) in text]

    def assert_equal(self, keys):
        self.await_settled()
        for key in keys:
            seen = {}
            for node in self.holders(key):
                with self.client(node) as own:
                    seen[node.port] = (content(own, key), own.must("RING", "VERSION", key))
            if len({repr(each) for each in seen.values()}) != 1:
                raise AssertionError("replicas of %r differ: %r" % (key, seen))


def content(client, key):
    kind = client.must("TYPE", key)
    if kind == b"string":
        return client.must("GET", key)
    if kind == b"list":
        return client.must("LRANGE", key, 0, -1)
    if kind == b"set":
        return sorted(client.must("SMEMBERS", key))
    if kind == b"hash":
        flat = client.must("HGETALL", key)
        return sorted(zip(flat[::2], flat[1::2]))
    if kind == b"zset":
        return client.must("ZRANGE", key, 0, -1, "WITHSCORES")
    return None


def main():
    """Runs the tests of the calling script on the server that it was given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="build/dyno-server")
    given, rest = parser.parse_known_args()
    SERVER.append(os.path.abspath(given.server))
    unittest.main(module="__main__", argv=[sys.argv[0]] + rest)
