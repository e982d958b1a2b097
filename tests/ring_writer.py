# SPDX-License-Identifier: Apache-2.0
"""A client that writes to a ring while things break, for the tests of rings.

It keeps what it was told: each member of the set `all` that it added is there afterwards, surely or
perhaps, or is not, by the first word of the error that it got.
"""

import threading
import time

import resp_client

# What OPERATING.md says of the first words of errors.
NOT_APPLIED = (b"LOADING", b"NOREPLICAS", b"CLUSTERDOWN", b"TRYAGAIN")
UNKNOWN = (b"UNKNOWN", b"ERR Dynomite: Failed to achieve Quorum")


class Writer(threading.Thread):
    """Adds and sets through one node, and keeps what it was told."""

    def __init__(self, ring, node, level, name, every_seconds=0.005):
        super().__init__(daemon=True)
        self.ring, self.node, self.level, self.name_ = ring, node, level, name
        self.every_seconds = every_seconds
        self.stopping = threading.Event()
        self.surely, self.perhaps, self.errors = [], [], []
        self.told = 0  # Answers of any kind.
        self.longest_seconds = 0.0

    def run(self):
        with self.ring.client(self.node) as client:
            client.must("CLIENT", "CONSISTENCY", "WRITE", self.level)
            number = 0
            while not self.stopping.is_set():
                began = time.monotonic()
                member = "%s:%d" % (self.name_, number)
                reply = client.call("SADD", "all", member)
                self.keep(member, reply)
                client.call("SET", "latest:" + self.name_, number)
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
                number += 1
                time.sleep(self.every_seconds)

    def keep(self, member, reply):
        if not isinstance(reply, resp_client.Error):
            self.surely.append(member)
        elif reply.startswith(UNKNOWN):
            self.perhaps.append(member)
        elif not reply.startswith(NOT_APPLIED):
            self.errors.append(reply)
        self.told += 1

    def end(self):
        self.stopping.set()
        self.join()


def assert_nothing_lost(ring, writers):
    """That all replicas hold what the writers were told, and nothing that they were denied."""
    ring.await_normal(ring.nodes)
    ring.assert_equal(["all"] + ["latest:" + writer.name_ for writer in writers])
    surely = {member for writer in writers for member in writer.surely}
    perhaps = {member for writer in writers for member in writer.perhaps}
    for node in ring.nodes:
        with ring.client(node) as client:
            held = {member.decode() for member in client.must("SMEMBERS", "all")}
        if surely - held or held - surely - perhaps:
            raise AssertionError(
                "%s %s lacks %r, and holds what was refused: %r"
                % (node.dc, node.rack, sorted(surely - held), sorted(held - surely - perhaps))
            )
    for writer in writers:
        if writer.errors or not writer.surely:
            raise AssertionError("%s was told %r" % (writer.name_, writer.errors or "nothing"))
