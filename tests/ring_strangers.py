#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A ring whose list of seeds names nodes that lead nowhere, or to somebody else, who sends back to
the ring what its nodes said to him, whole and damaged.

Seeds are tried again and are never fatal.  What a peer port is told that is not what a node says is
refused before anything is touched: clients go on, and the ring is whole again by itself.
"""

import random
import socket
import threading
import unittest

import local_ring
import resp_client
from local_ring import Ring
from server_process import free_port

FLIPS = 100


class Stranger:
    """Listens where a seed should be, and keeps the first words of each who dials."""

    def __init__(self):
        self.words = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            with link:
                link.settimeout(5)
                try:
                    self.words.append(link.recv(65536))
                except OSError:
                    pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class SeededRing(Ring):
    """With further seeds, of a data center of their own."""

    def __init__(self, *seeds, **options):
        self.further = list(seeds)
        super().__init__(**options)

    def seeds(self, dialer):
        return super().seeds(dialer) + self.further


def say(port, payload):
    """What comes back until the node hangs up."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(payload)
        while True:
            try:
                part = link.recv(65536)
            except ConnectionError:
                return answer
            if not part:
                return answer
            answer += part


class StrangersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stranger = Stranger()
        seeds = (
            "nowhere.invalid:%d:far0:far:0" % free_port(),
            "127.0.0.1:%d:far1:far:0" % free_port(),
            "127.0.0.1:%d:far2:far:0" % cls.stranger.port,
        )
        cls.ring = SeededRing(*seeds, racks=2, options=["--server-threads=1"])
        cls.ring.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.ring.__exit__(None, None, None)
        cls.stranger.close()

    def test_seeds_that_lead_nowhere(self):
        ring = self.ring
        with ring.client(ring.nodes[0]) as client:
            client.must("CLIENT", "CONSISTENCY", "WRITE", "DC_QUORUM")
            for i in range(20):
                client.must("SET", "k%d" % i, i)
            status = client.must("RING", "STATUS")
            self.assertEqual(status.count(b"NORMAL"), 2, status)
            self.assertEqual(status.count(b"DOWN"), 3, status)
            with ring.client(ring.nodes[1]) as other:
                self.assertEqual(other.must("GET", "k7"), b"7")
        ring.await_true(
            "the log says why",
            lambda: "Connection refused" in ring.log(ring.nodes[0])
            and "nowhere.invalid" in ring.log(ring.nodes[0]),
        )

    def test_words_of_others(self):
        ring = self.ring
        words = self.stranger.words
        speaker, listener = ring.nodes
        ring.await_true("both said hello", lambda: len(set(words)) >= 2)
        hellos = sorted(set(words))
        with ring.client(speaker) as client:
            client.must("SET", "k", "before")
        # Its own words, and those of the other one: one of each two is a node that says to be
        # the listener, and is refused with the reason.
        refused = [say(listener.peer, hello + b"\xff" * 64) for hello in hellos]
        self.assertTrue(any(b"says to be this one" in answer for answer in refused), refused)
        dice = random.Random(1)
        before = int(ring.ring_info(listener)["ring_links_closed"])
        for _ in range(FLIPS):
            damaged = bytearray(dice.choice(hellos))
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
            answer = say(listener.peer, bytes(damaged) + dice.randbytes(64))
            self.assertEqual(answer, b"")
        ring.await_true(
            "all are counted",
            lambda: int(ring.ring_info(listener)["ring_links_closed"]) >= before + FLIPS,
        )
        # To a client's port the words of a node are a bad request.
        with ring.client(listener) as client:
            client.send_raw(hellos[0] + b"\r\n")
            try:
                self.assertIsInstance(client.read_reply(), resp_client.Error)
            except resp_client.Closed:
                pass
        ring.await_normal(ring.nodes)
        with ring.client(listener) as client:
            self.assertEqual(client.must("GET", "k"), b"before")
            client.must("SET", "k", "after")
        ring.await_true("it is there", lambda: self.value(ring, speaker) == b"after")

    def value(self, ring, node):
        with ring.client(node) as client:
            return client.must("GET", "k")


if __name__ == "__main__":
    local_ring.main()
