# SPDX-License-Identifier: Apache-2.0
"""A ring of three racks whose nodes keep their data on disk: one is killed under load, and all.
And one that grows around a node that was alone."""

import random
import shutil
import threading
import time

import durable_node
import local_ring
import resp_client
from local_ring import Ring
from tally import require, same

GONE = (OSError, resp_client.Closed)


class DurableRing(Ring):
    """Each node has a directory of its own, which outlives its processes."""

    def __init__(self, fsync, level, more=()):
        options = ["--storage-mode=durable", "--storage-fsync=" + fsync, *more]
        options += ["--ring-read-consistency=" + level, "--ring-write-consistency=" + level]
        super().__init__(options=options)

    def start(self, node):
        shared = self.options
        self.options = shared + ["--storage-path=%s/data%d" % (self.directory, node.port)]
        super().start(node)
        self.options = shared


def ring(fsync, level, more=()):
    local_ring.SERVER[:] = durable_node.SERVER
    return DurableRing(fsync, level, more)


def write(nodes, number, acked, stop):
    """Counts keys of its own up at one node after the other, and notes what was answered."""
    rng = random.Random(number)
    while not stop.is_set():
        try:
            with resp_client.Client(rng.choice(nodes).port, timeout=5) as client:
                while not stop.is_set():
                    key = "n%d:%d" % (number, rng.randrange(200))
                    acked.setdefault(key, [0, 0])[1] += 1
                    if not isinstance(client.call("INCR", key), resp_client.Error):
                        acked[key][0] += 1
        except GONE:
            time.sleep(0.02)


class Load:
    """Writers while the `with` block runs; `acked` has what was answered and what was sent."""

    def __init__(self, nodes, first, acked):
        self.stop = threading.Event()
        self.threads = [
            threading.Thread(target=write, args=(nodes, first + i, acked, self.stop))
            for i in range(4)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def check(nodes, acked):
    """Every node tells every counter, between what was answered and what was sent."""
    for node in nodes.nodes:
        with nodes.client(node) as client:
            for key, (least, most) in acked.items():
                found = int(client.must("GET", key) or 0)
                require(least <= found <= most, "%s at %d: %d answered, %d sent, %d found"
                        % (key, node.port, least, most, found))


def one_is_killed(fsync):
    """It comes back with what it had, and is told only what it missed."""
    acked = {}
    with ring(fsync, "dc_quorum") as three:
        with three.client(three.nodes[0]) as client:
            client.pipeline([("SET", "still%d" % i, "v%d" % i) for i in range(3000)])
        with Load(three.nodes[:2], 0, acked):
            time.sleep(0.5)
            three.kill(three.nodes[2])
            time.sleep(0.5)
            three.start(three.nodes[2])
            three.await_normal(three.nodes)
            time.sleep(0.3)
        with three.client(three.nodes[2]) as client:
            read = int(resp_client.info(client, "persistence")["storage_keys_read"])
            same(client.must("DBSIZE"), 3000 + len(acked))
        require(read >= 3000, "only %d keys were read from disk" % read)
        three.assert_equal(list(acked)[::11] + ["still%d" % i for i in range(0, 3000, 97)])
        check(three, acked)


def all_are_killed(fsync, cycles):
    """Nothing that a quorum has answered is lost."""
    acked = {}
    with ring(fsync, "dc_quorum") as three:
        for cycle in range(cycles):
            with Load(three.nodes, 100 + 10 * cycle, acked) as load:
                time.sleep(0.7)
                for node in three.nodes:
                    node.process.kill()
                load.end()
            for node in three.nodes:
                node.process.wait()
            for node in three.nodes:
                three.start(node)
            three.await_normal(three.nodes)
            three.await_settled()
            three.assert_equal(list(acked)[::29])
            check(three, acked)
        print("ring, %s: %d writes answered by a quorum" %
              (fsync, sum(least for least, _ in acked.values())))


def hints_are_lost(count=6000):
    """What a node missed is found again, though more than is kept, and its keepers are killed.

    The writes are in the data of those who have them, and digests tell which slots differ.
    """
    with ring("everysec", "dc_quorum", ["--ring-hint-limit=1mb"]) as three:
        one, other, away = three.nodes
        names = ["k%d" % i for i in range(count)]
        with three.client(one) as client:
            client.pipeline([("SET", name, "before") for name in names[: count // 2]])
            three.await_settled()
            three.kill(away)
            for begin in range(0, count, 500):
                group = names[begin : begin + 500]
                commands = [
                    ("DEL", name) if name.endswith("3") else ("SET", name, name + "x" * 1000)
                    for name in group
                ]
                require(not any(isinstance(reply, resp_client.Error)
                                for reply in client.pipeline(commands)), "writes are refused")
            three.await_true("hints outgrow their bound",
                             lambda: int(three.ring_info(one)["ring_hint_slots"]) > 0)
            client.must("WAITAOF", 1, 0, 0)
        with three.client(other) as client:
            client.must("WAITAOF", 1, 0, 0)
        for node in (one, other):
            three.kill(node)
        for node in three.nodes:
            three.start(node)
        three.await_normal(three.nodes)
        three.await_settled()
        three.assert_equal(names[::7])
        for node in three.nodes:
            with three.client(node) as client:
                same(client.must("DBSIZE"), sum(not name.endswith("3") for name in names))
                for name, value in zip(names, client.pipeline([("GET", name) for name in names])):
                    wanted = None if name.endswith("3") else (name + "x" * 1000).encode()
                    same((node.port, name, value), (node.port, name, wanted))


def one_is_old(count=600):
    """A node is started on a copy of its data from before something was removed.

    The others have forgotten that meanwhile, so that only the copy's age tells that it is gone.
    """
    with ring("everysec", "dc_quorum") as three:
        one, other, old = three.nodes
        names = ["k%d" % i for i in range(count)]
        gone = names[::2]
        with three.client(one) as client:
            client.pipeline([("SET", name, "v" + name) for name in names])
            client.must("HSET", "hash", *(word for name in names for word in (name, "v")))
            three.await_settled()
            with three.client(old) as older:
                same(older.must("RING", "SNAPSHOT", "old"), b"OK")
            client.pipeline([("DEL", name) for name in gone])
            client.must("HDEL", "hash", *gone)
            three.await_settled()

            def is_forgotten():
                client.must("INCR", "later")  # What is written tells the disks how far they are.
                return all(int(three.ring_info(node)["ring_tombstones"]) == 0
                           for node in three.nodes)

            three.await_true("what was removed is forgotten", is_forgotten, seconds=40)
            three.kill(old)
            client.must("SET", "while away", "1")
        data = "%s/data%d" % (three.directory, old.port)
        shutil.rmtree(data + "/db")
        shutil.copytree(data + "/snapshots/old/db", data + "/db")
        for drops in (1, 0):
            three.start(old)
            three.await_normal(three.nodes)
            same(int(three.ring_info(old)["ring_old_data_dropped"]), drops)
            for node in three.nodes:
                with three.client(node) as client:
                    client.must("RING", "REPAIR")
            three.await_settled()
            three.assert_equal(names[::7] + ["hash", "later", "while away"])
            for node in three.nodes:
                with three.client(node) as client:
                    same(client.must("EXISTS", *gone), 0)
                    same(client.must("HLEN", "hash"), count - len(gone))
                    same(client.must("DBSIZE"), count - len(gone) + 3)
            # What it holds now is on its disk, and no longer old.
            with three.client(old) as client:
                client.must("WAITAOF", 1, 0, 0)
            three.kill(old)


class JoiningRing(DurableRing):
    """One of its nodes is alone, until the others begin."""

    is_joined = False

    def __enter__(self):
        self.start(self.nodes[0])
        self.await_true("it serves alone", lambda: self.client(self.nodes[0]).close() is None)
        return self

    def seeds(self, dialer):
        return super().seeds(dialer) if self.is_joined else []

    def join(self):
        self.kill(self.nodes[0])
        self.is_joined = True
        for node in self.nodes:
            self.start(node)
        self.await_normal(self.nodes)
        self.await_settled()


def one_was_alone(count=300):
    """All that it has kept is what its ring begins with, and counters go on from there."""
    local_ring.SERVER[:] = durable_node.SERVER
    reads = []
    with JoiningRing("always", "dc_quorum") as three:
        with three.client(three.nodes[0]) as client:
            for i in range(count):
                reads += [("GET", "s%d" % i), ("HGETALL", "h%d" % i), ("LRANGE", "l%d" % i, 0, -1)]
                reads += [("ZSCORE", "z%d" % i, "m"), ("PEXPIRETIME", "s%d" % i)]
                client.must("SET", "s%d" % i, "v%d" % i, *(["EX", 100000] if i % 3 == 0 else []))
                client.must("INCRBY", "n%d" % i, i)
                client.must("HSET", "h%d" % i, "f", i)
                client.must("ZINCRBY", "z%d" % i, 1.5, "m")
                client.must("RPUSH", "l%d" % i, "a", "b", "c")
                client.must("LPOP", "l%d" % i)
                if i % 5 == 0:
                    client.must("DEL", "s%d" % i, "h%d" % i)
            wanted, size = client.pipeline(reads), client.must("DBSIZE")
        three.join()
        for node in three.nodes:
            with three.client(node) as client:
                # Nodes that start together serve at once, and compare what they have meanwhile.
                three.await_true(
                    "%d has it all" % node.port, lambda ask=client: ask.must("DBSIZE") == size
                )
                for read, found, value in zip(reads, client.pipeline(reads), wanted):
                    same((node.port, read, found), (node.port, read, value))
                for i in range(count):
                    client.must("INCR", "n%d" % i)
        with three.client(three.nodes[1]) as client:
            client.must("DEL", "l7")
        three.await_settled()
        three.assert_equal(["n%d" % i for i in range(0, count, 7)] + ["l7", "h3", "z3", "s5"])
        for node in three.nodes:
            with three.client(node) as client:
                for i in range(count):
                    same(client.must("GET", "n%d" % i), b"%d" % (i + len(three.nodes)))
                same(client.must("EXISTS", "l7"), 0)
