# SPDX-License-Identifier: Apache-2.0
"""The rows of bench/compare about what replicas cost in memory: one node that is alone, and a ring
of two racks, both with the same data written at one node.

For each kind of key: by how many bytes a key (and its elements) makes the node grow that is alone,
and by how many a node of the ring, the mean of both; accounted (used_memory) and resident, of fresh
processes, when all traces of what was removed are gone. The goal is the difference that the
design allows: 16 bytes for a key and 9 for each of its elements that were written one by one.
"""

import socket
import time

from contestant import start_node
from ring_rows import start_ring

RACKS = 2
PER_KEY, PER_ELEMENT = 16, 9
BATCH = 500
SETTLE_SECONDS = 60
VALUE = "v" * 32
# Kind, elements of a key that were written one by one, its commands. In "by 10" %d is one of ten.
KINDS = [
    ("string", 0, ["SET {key} " + VALUE]),
    ("string with a deadline", 0, ["SET {key} " + VALUE + " EX 100000"]),
    ("string, then EXPIRE", 0, ["SET {key} " + VALUE, "EXPIRE {key} 100000"]),
    ("counter", 0, ["INCR {key}"]),
    ("counter on a string", 0, ["SET {key} 1000", "INCRBY {key} 5"]),
    ("hash of 10 at once", 0, ["HSET {key} " + " ".join(f"f{i} {VALUE}" for i in range(10))]),
    ("hash of 10 one by one", 10, [f"HSET {{key}} f{i} {VALUE}" for i in range(10)]),
    ("set of 10 one by one", 10, [f"SADD {{key}} member:{i:08}" for i in range(10)]),
    ("zset of 10 one by one", 10, [f"ZADD {{key}} {i} member:{i:08}" for i in range(10)]),
    ("hash of 10 incremented", 10, [f"HINCRBY {{key}} f{i} 1" for i in range(10)]),
    ("zset of 10 incremented", 10, [f"ZINCRBY {{key}} {i} member:{i:08}" for i in range(10)]),
    ("list of 10 at once", 0, ["RPUSH {key}" + f" {VALUE}" * 10]),
    ("list of 10 one by one", 10, [f"RPUSH {{key}} {VALUE}"] * 10),
]


class Loader:
    """One client that writes in batches; replies are counted, and no error is among them."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)

    def close(self):
        self.socket.close()

    def run(self, lines):
        self.socket.sendall(b"".join(line.encode() + b"\r\n" for line in lines))
        replies = b""
        while replies.count(b"\r\n") < len(lines):
            part = self.socket.recv(1 << 16)
            if not part:
                raise OSError("the server closed the connection")
            replies += part
        if b"-" in replies[:1] + b"".join(replies.split(b"\r\n-")[1:]):
            raise OSError("refused: %r" % replies[:100])

    def ask(self, line):
        """A command whose reply is one bulk string."""
        self.socket.sendall(line.encode() + b"\r\n")
        reply = b""
        while b"\r\n" not in reply:
            reply += self.socket.recv(1 << 16)
        head, _, text = reply.partition(b"\r\n")
        while len(text) < int(head[1:]) + 2:
            text += self.socket.recv(1 << 16)
        return text.decode()

    def load(self, count, commands):
        """All keys get their first command, then all their second one, and so on."""
        for command in commands:
            for first in range(0, count, BATCH):
                keys = range(first, min(count, first + BATCH))
                self.run([command.format(key="key:%012d" % i) for i in keys])


def figures(port):
    """INFO's numbers that matter here."""
    client = Loader(port)
    client.run(["MEMORY PURGE"])
    lines = dict(line.split(":", 1) for line in client.ask("INFO").splitlines() if ":" in line)
    client.close()
    names = ("used_memory", "used_memory_rss", "ring_tombstones")
    keys = lines.get("db0", "keys=0").split(",")[0].split("=")[1]
    return {name: int(lines.get(name, 0)) for name in names} | {"keys": int(keys)}


class ReplicaRows:
    def __init__(self, comparison, root):
        self.comparison, self.root = comparison, root
        self.arguments = comparison.arguments

    def run(self):
        kinds = [kind for kind in KINDS if self.comparison.wanted("replicas: " + kind[0])]
        if kinds:
            print(f"{'':<34} {'':<15} {'alone':>11} {'ring':>11}", flush=True)
        for kind in kinds:
            try:
                self.row(*kind)
            except OSError as error:
                self.comparison.fail("replicas: " + kind[0], str(error))

    def row(self, kind, elements, commands):
        count = self.arguments.keys // (10 if "10" in kind else 1)
        alone = self.growth(start_node(self.arguments), count, commands)
        ring = self.growth(start_ring(self.arguments, self.root, RACKS), count, commands)
        budget = PER_KEY + PER_ELEMENT * elements
        for i, what in enumerate(("B accounted", "B resident")):
            more = ring[i] - alone[i]
            shown = [f"{each:.1f}" for each in (alone[i], ring[i])]
            self.comparison.report("replicas: " + kind, what, *shown, None, None, False)
            self.comparison.judge(f"<= {budget} more, {more:+.1f}", more <= budget)

    def growth(self, running, count, commands):
        """Bytes that a key makes a node grow by, accounted and resident."""
        try:
            before = [figures(port) for port in running.ports]
            client = Loader(running.ports[0])
            client.load(count, commands)
            client.close()
            deadline = time.monotonic() + SETTLE_SECONDS
            after = [figures(port) for port in running.ports]
            while any(each["keys"] < count or each["ring_tombstones"] > 0 for each in after):
                if time.monotonic() > deadline:
                    raise OSError("the ring did not settle: %s" % after)
                time.sleep(1)
                after = [figures(port) for port in running.ports]
            time.sleep(2)
            after = [figures(port) for port in running.ports]
        finally:
            running.stop()
        return [
            sum(a[name] - b[name] for a, b in zip(after, before)) / len(after) / count
            for name in ("used_memory", "used_memory_rss")
        ]
