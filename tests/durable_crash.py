# SPDX-License-Identifier: Apache-2.0
"""Kill -9 at random instants under load: nothing that was answered is lost, nothing is half there.

Each writer is a thread with one connection and keys of its own.  It notes what it has sent and what
was answered; a command that was sent and not answered may or may not have happened, and that is
the only freedom that the data has after the restart.
"""

import random
import threading
import time

import resp_client
from durable_node import Node
from tally import require

GONE = (OSError, resp_client.Closed)
GROUP = 12  # Keys of one MSET or MULTI.


class Writer:
    """What one connection wrote: it survives the node's processes."""

    def __init__(self, number, rng):
        self.name = "w%d" % number
        self.rng = rng
        self.sent = {"count": 0, "list": 0, "mset": 0, "multi": 0}
        self.acked = dict(self.sent)
        # Key -> the values that it may have: the last one answered, and those sent after it.
        self.values = {}
        self.next_value = 0
        self.errors = []

    def keys(self, kind):
        return ["%s:%s:%d" % (kind, self.name, i) for i in range(GROUP)]

    def run(self, node):
        try:
            with node.client() as client:
                while True:
                    self.step(client)
        except GONE:
            pass

    def step(self, client):
        """One round of a few commands in a pipeline, with what their answers settle."""
        steps = [self.rng.choice((self.count, self.push, self.mset, self.multi, self.put))()
                 for _ in range(self.rng.randrange(1, 6))]
        client.send_raw(b"".join(bytes_out for bytes_out, _, _ in steps))
        for _, replies, settle in steps:
            for _ in range(replies):
                reply = client.read_reply()
                if isinstance(reply, resp_client.Error):
                    self.errors.append(reply)
            settle()

    def numbered(self, kind, *words):
        self.sent[kind] += 1
        number = self.sent[kind]

        def settle():
            self.acked[kind] = number

        return b"".join(resp_client.encode(each) for each in words), len(words), settle

    def count(self):
        return self.numbered("count", ("INCR", "count:" + self.name))

    def push(self):
        return self.numbered("list", ("RPUSH", "list:" + self.name, self.sent["list"] + 1))

    def mset(self):
        number = self.sent["mset"] + 1
        pairs = [word for key in self.keys("mset") for word in (key, number)]
        return self.numbered("mset", ("MSET", *pairs))

    def multi(self):
        number = self.sent["multi"] + 1
        body = [("HSET", key, "f", number) for key in self.keys("multi")]
        return self.numbered("multi", ("MULTI",), *body, ("EXEC",))

    def put(self):
        key = "put:%s:%d" % (self.name, self.rng.randrange(50))
        self.next_value += 1
        value = b"%d" % self.next_value + b"x" * self.rng.choice((0, 10, 5000))
        if self.rng.random() < 0.2:
            value = None
        possible = self.values.setdefault(key, [[None]])
        entry = [value]  # Values may repeat; this object does not.
        possible.append(entry)

        def settle():
            at = next(i for i, each in enumerate(possible) if each is entry)
            del possible[:at]

        words = ("DEL", key) if value is None else ("SET", key, value)
        return resp_client.encode(words), 1, settle

    def check(self, client, loses):
        """After a restart.  With `loses` the end may be missing, but no middle and no half."""
        require(not self.errors, "%s was answered %r" % (self.name, self.errors[:3]))
        found = {}
        found["count"] = int(client.must("GET", "count:" + self.name) or 0)
        items = client.must("LRANGE", "list:" + self.name, 0, -1)
        found["list"] = int(items[-1]) if items else 0
        require(items == [b"%d" % (i + 1) for i in range(found["list"])],
                "%s: the list has holes: %r" % (self.name, items[-20:]))
        msets = {int(value or 0) for value in client.must("MGET", *self.keys("mset"))}
        multis = {int(client.must("HGET", key, "f") or 0) for key in self.keys("multi")}
        require(len(msets) == 1, "%s: half an MSET: %r" % (self.name, msets))
        require(len(multis) == 1, "%s: half a MULTI: %r" % (self.name, multis))
        found["mset"], found["multi"] = msets.pop(), multis.pop()
        for kind, value in found.items():
            low = 0 if loses else self.acked[kind]
            require(low <= value <= self.sent[kind], "%s %s: %d answered, %d sent, %d found"
                    % (self.name, kind, self.acked[kind], self.sent[kind], value))
            self.acked[kind] = self.sent[kind] = value
        for key in self.values:
            value = client.must("GET", key)
            if not loses:
                require([value] in self.values[key],
                        "%s is %.30r, not of %.300r" % (key, value, self.values[key]))
            self.values[key] = [[value]]


def crash_cycles(fsync, cycles, seed, options=(), also=()):
    """`also`: writers of other kinds."""
    rng = random.Random(seed)
    writers = [Writer(i, random.Random(rng.random())) for i in range(6)]
    writers += also
    with Node(fsync=fsync, options=options) as node:
        for cycle in range(cycles):
            threads = [threading.Thread(target=writer.run, args=(node,)) for writer in writers]
            for thread in threads:
                thread.start()
            time.sleep(rng.uniform(0.02, 0.5))
            node.kill()
            for thread in threads:
                thread.join()
            node.start()
            if rng.random() < 0.2:
                node.crash()  # While it reads back.
            with node.client() as client:
                try:
                    for writer in writers:
                        writer.check(client, fsync == "everysec")
                except AssertionError as error:
                    raise AssertionError("cycle %d: %s" % (cycle, error)) from None
        total = sum(sum(writer.acked.values()) for writer in writers)
        require(total > 10 * cycles, "only %d writes" % total)
        print("%s: %d kills, %d groups of writes" % (fsync, cycles, total), flush=True)


def everysec_loses_little():
    """At everysec a kill loses at most what was written just before it."""
    with Node(fsync="everysec") as node:
        stamps = []
        stop = threading.Event()

        def write():
            try:
                with node.client() as client:
                    while not stop.is_set():
                        number = client.must("INCR", "n")
                        stamps.append((number, time.monotonic()))
            except GONE:
                pass

        thread = threading.Thread(target=write)
        thread.start()
        time.sleep(2.5)
        node.kill()
        killed = time.monotonic()
        stop.set()
        thread.join()
        node.start()
        with node.client() as client:
            found = int(client.must("GET", "n"))
        lost_s = max((killed - at for number, at in stamps if number > found), default=0)
        require(lost_s < 1.5, "writes of %.2f s are lost" % lost_s)
        print("everysec: a kill lost the last %.0f ms of writes" % (1000 * lost_s))
