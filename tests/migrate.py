#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MIGRATE to a real redis-server, to another server of ours, and to targets that misbehave.

Targets that are slow, silent or refuse some keys are played by a small server of this file.  No key
may be lost whatever the target does, and no other client may wait for it.
"""

import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import local_ring
import resp_client
import tally
from resp_client import Error
from server_process import ServerProcess, free_port
from tally import ALLOWANCE, require

PASSWORD = "open sesame"
CHANGED = b"TRYAGAIN A key changed while it was sent: it stays, and the target has what it was"
BUSY = b"BUSY Too many MIGRATE commands are running"
RING = b"ERR MIGRATE on a ring is possible at a node that owns the keys, with writes at DC_ONE"
AT_ONCE_MAX = 4


class Target:
    """A server that answers each request with what `answer(words)` returns; None: no answer."""

    def __init__(self, answer):
        self.answer = answer
        self.seen = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listening.close()

    def _accept(self):
        try:
            while True:
                link, _ = self.listening.accept()
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()
        except OSError:
            pass

    def _serve(self, link):
        try:
            self._answer_all(link)
        except OSError:
            pass  # Who asked has gone.

    def _answer_all(self, link):
        buffer, at = bytearray(), 0
        with link:
            while True:
                try:
                    words, at = resp_client.parse(buffer, at)
                except resp_client.Incomplete:
                    more = link.recv(65536)
                    if not more:
                        return
                    buffer += more
                    continue
                self.seen.append(words)
                reply = self.answer(words)
                if reply == b"":
                    return
                if reply is not None:
                    link.sendall(reply)


def same(got, wanted, what=""):
    require(got == wanted, "%s: %r instead of %r" % (what, got, wanted))


def migrate(client, port, *words):
    return client.call("MIGRATE", "127.0.0.1", port, *words)


def fill(client):
    """Keys of every type and encoding; returns their names."""
    for command in (
        ["FLUSHALL"],
        ["SET", "text", b"\x00\xff binary"],
        ["SET", "number", "12345678901"],
        ["SET", "large", "x" * 3000000],
        ["RPUSH", "list", "a", "1", "b"],
        ["SADD", "numbers", "1", "2", "300000"],
        ["SADD", "set", "a", "b", "7"],
        ["ZADD", "zset", "1.5", "a", "-inf", "b"],
        ["HSET", "hash", "f", "1", "g", "x" * 100],
        ["SETBIT", "bits", "1000", "1"],
        ["PFADD", "sketch", "a", "b"],
    ):
        client.must(*command)
    for begin in range(0, 3000, 500):
        client.must("RPUSH", "long list", *["item %d" % i for i in range(begin, begin + 500)])
        client.must("SADD", "large set", *["m%d" % i for i in range(begin, begin + 500)])
    for i in range(1500):
        client.must("HSET", "large hash", "f%d" % i, i)
        client.must("ZADD", "large zset", i, "m%d" % i)
    return sorted(client.must("KEYS", "*"))


def content(client, key):
    """A key's value in an order that does not depend on the server."""
    kind = bytes(client.must("TYPE", key))
    if kind == b"string":
        return kind, client.must("GET", key)
    if kind == b"list":
        return kind, client.must("LRANGE", key, 0, -1)
    if kind == b"set":
        return kind, sorted(client.must("SMEMBERS", key))
    if kind == b"zset":
        return kind, client.must("ZRANGE", key, 0, -1, "WITHSCORES")
    if kind == b"hash":
        flat = client.must("HGETALL", key)
        return kind, sorted(zip(flat[::2], flat[1::2]))
    return kind, None


def moves_all(server, target):
    """Every type arrives as it was, with its deadline, and is gone here; and back again."""
    here, there = server.client(), target.client()
    there.must("FLUSHALL")
    keys = fill(here)
    here.must("PEXPIRE", "text", 100000)
    wanted = {key: content(here, key) for key in keys}
    same(migrate(here, target.port, "", 0, 5000, "COPY", "KEYS", *keys), b"OK", "COPY")
    same({key: content(here, key) for key in keys}, wanted, "what COPY leaves")
    same({key: content(there, key) for key in keys}, wanted, "what COPY makes")
    ttl = there.must("PTTL", "text")
    require(60000 < ttl <= 100000, "deadline %d" % ttl)
    same(there.must("PTTL", "list"), -1, "no deadline")

    reply = migrate(here, target.port, "", 0, 5000, "KEYS", "text", "nope")
    same(reply, Error(b"ERR Target instance replied with error: BUSYKEY Target key name already "
                      b"exists."), "without REPLACE")
    same(here.must("EXISTS", "text"), 1, "a refused key")
    there.must("SET", "list", "in the way")
    same(migrate(here, target.port, "", 0, 5000, "REPLACE", "KEYS", *keys), b"OK", "REPLACE")
    same(here.must("DBSIZE"), 0, "keys that have moved")
    same({key: content(there, key) for key in keys}, wanted, "what has moved")
    if not target.is_redis:
        same(migrate(there, server.port, "", 0, 5000, "KEYS", *keys), b"OK", "back")
        same({key: content(here, key) for key in keys}, wanted, "what has come back")
        same(there.must("DBSIZE"), 0, "keys that have gone back")
    there.must("FLUSHALL")
    here.must("FLUSHALL")


def other_databases(server, target):
    """SELECT is sent when it is needed, and a database that is not there loses nothing."""
    here, there = server.client(), target.client()
    here.must("SELECT", 3)
    here.must("SET", "k", "v")
    same(migrate(here, target.port, "k", 5, 1000), b"OK", "to database 5")
    same(here.must("EXISTS", "k"), 0)
    there.must("SELECT", 5)
    same(there.must("GET", "k"), b"v")
    here.must("SET", "k", "w")
    reply = migrate(here, target.port, "k", 99, 1000, "REPLACE")
    same(reply, Error(b"ERR Target instance replied with error: ERR DB index is out of range"))
    same(here.must("GET", "k"), b"w", "after a refused SELECT")
    for client in (here, there):
        client.must("FLUSHALL")


def with_password(server, target):
    """AUTH and AUTH2, right and wrong, at a server with a password."""
    here = server.client()
    there = target.client()
    there.call("AUTH", PASSWORD)
    error = b"ERR Target instance replied with error: "
    here.must("SET", "k", "v")
    reply = migrate(here, target.port, "k", 0, 1000)
    same(reply, Error(error + b"NOAUTH Authentication required."))
    reply = migrate(here, target.port, "k", 0, 1000, "AUTH", "wrong")
    require(isinstance(reply, Error) and reply.startswith(error + b"WRONGPASS"), repr(reply))
    same(here.must("EXISTS", "k"), 1, "a refused key")
    same(migrate(here, target.port, "k", 0, 1000, "AUTH", PASSWORD), b"OK")
    here.must("SET", "k", "w")
    reply = migrate(here, target.port, "k", 2, 1000, "AUTH2", "default", PASSWORD, "REPLACE")
    same(reply, b"OK")
    there.must("SELECT", 2)
    same(there.must("GET", "k"), b"w")
    require("sesame" not in repr(here.must("SLOWLOG", "GET", 100)), "password in the slow log")


def as_redis_answers(server, reference):
    """Errors that need no target, or have none, word for word."""
    ours, theirs = server.client(), reference.client()
    for client in (ours, theirs):
        client.must("SET", "k", "v")
    closed = free_port()
    for words in (
        ["127.0.0.1", closed, "k", 0, 500],
        ["127.0.0.1", closed, "", 0, 500, "KEYS", "nope", "k"],
        ["no such host", closed, "k", 0, 500],
        ["127.0.0.1", closed, "nope", 0, 500],
        ["127.0.0.1", closed, "", 0, 500],
        ["127.0.0.1", closed, "", 0, 500, "KEYS"],
        ["127.0.0.1", closed, "", -1, -1, "COPY", "KEYS", "nope"],
        ["127.0.0.1", closed, "k", 0, 500, "KEYS", "k"],
        ["127.0.0.1", closed, "k", 0, "x", "FOO"],
        ["127.0.0.1", closed, "k", 0, 500, "AUTH"],
        ["127.0.0.1", closed, "k", 0, 500, "AUTH2", "default"],
        ["127.0.0.1", closed, "k", "x", 500],
        ["127.0.0.1", closed, "k", 0, "10000000000000000000"],
    ):
        same(ours.call("MIGRATE", *words), theirs.call("MIGRATE", *words), repr(words))
    for words in (
        ["", 0, 1, "AUTH", "KEYS", "KEYS", "a", "b"],
        ["k", 0, 1],
        ["k", 0, 1, "KEYS", "a"],
    ):
        getkeys = ["COMMAND", "GETKEYS", "MIGRATE", "h", 1] + words
        same(ours.call(*getkeys), theirs.call(*getkeys), repr(words))
    same(ours.must("GET", "k"), b"v")


def some_fail(server, _):
    """What the target has acknowledged is gone, what it refused or did not answer is not."""
    here = server.client()
    names = ["k%d" % i for i in range(6)]

    def run(answer):
        here.must("MSET", *[word for name in names for word in (name, "v")])
        with Target(answer) as target:
            reply = migrate(here, target.port, "", 0, 300, "KEYS", *names)
        return reply, [int(name[1:]) for name in names if here.must("EXISTS", name)]

    def some(words):
        return b"-ERR no\r\n" if words[1] in (b"k1", b"k4") else b"+OK\r\n"

    reading = Error(b"IOERR error or timeout reading to target instance")
    refused = Error(b"ERR Target instance replied with error: ERR no")
    same(run(some), (refused, [1, 4]), "some refused")
    ends = {b"k3": b""}
    same(run(lambda words: ends.get(words[1], b"+OK\r\n")), (reading, [3, 4, 5]), "ended")
    silent = {b"k2": None}
    began = time.monotonic()
    same(run(lambda words: silent.get(words[1], b"+OK\r\n" if words[1] < b"k2" else None)),
         (reading, [2, 3, 4, 5]), "silent")
    require(time.monotonic() - began < 3 * ALLOWANCE, "the time-out is 0.3 s")
    strange = {b"k0": b"$2\r\nOK\r\n"}
    same(run(lambda words: strange.get(words[1], b"+OK\r\n")), (reading, [0, 1, 2, 3, 4, 5]),
         "a reply of another kind")


def changed_meanwhile(server, _):
    """A key that another client changes while it is sent stays; one that it deletes has moved."""
    here, other = server.client(), server.client()

    def run(*words):
        def answer(_):
            other.must(*words)  # Also shows that the slot is not locked.
            return b"+OK\r\n"

        here.must("SET", "k", "v")
        with Target(answer) as target:
            return migrate(here, target.port, "k", 0, 5000)

    same(run("SET", "k", "w"), Error(CHANGED))
    same(here.must("GET", "k"), b"w")
    same(run("PEXPIRE", "k", 100000), Error(CHANGED))
    same(here.must("EXISTS", "k"), 1)
    same(run("GET", "k"), b"OK", "read meanwhile")
    same(here.must("EXISTS", "k"), 0)
    same(run("DEL", "k"), b"OK", "deleted meanwhile")
    same(run("SET", "another", "v"), b"OK", "another key changed")
    here.must("SET", "k", "v")
    with Target(lambda _: b"+OK\r\n") as target:
        reply = migrate(here, target.port, "", 0, 5000, "REPLACE", "KEYS", "k", "k")
    same(reply, b"OK", "named twice")


def nobody_waits(server, _):
    """Other clients go on, on one network thread too; too many at once are refused."""
    clients = [server.client() for _ in range(AT_ONCE_MAX + 1)]
    other = server.client()
    other.must("MSET", *[word for i in range(5) for word in ("k%d" % i, "v")])
    with Target(lambda _: None) as target:
        for i, client in enumerate(clients[:AT_ONCE_MAX]):
            client.send("MIGRATE", "127.0.0.1", target.port, "k%d" % i, 0, 1500)
        worst = 0
        began = time.monotonic()
        while time.monotonic() - began < 0.5 or len(target.seen) < AT_ONCE_MAX:
            require(time.monotonic() - began < 1, "they do not run at once")
            asked = time.monotonic()
            other.must("SET", "k4", "w")
            worst = max(worst, time.monotonic() - asked)
        require(worst < 0.1 * ALLOWANCE, "another client waited %.0f ms" % (worst * 1000))
        same(migrate(clients[AT_ONCE_MAX], target.port, "k4", 0, 1000), Error(BUSY))
        for client in clients[:AT_ONCE_MAX]:
            same(client.read(), Error(b"IOERR error or timeout reading to target instance"))
    same(other.must("DBSIZE"), 5)


def to_itself(server, _):
    """Into another database of the same server, though it has one network thread."""
    here = server.client()
    here.must("FLUSHALL")
    here.must("RPUSH", "k", "a", "b")
    same(migrate(here, server.port, "k", 1, 5000), b"OK")
    same(here.must("EXISTS", "k"), 0)
    here.must("SELECT", 1)
    same(here.must("LRANGE", "k", 0, -1), [b"a", b"b"])
    here.must("FLUSHALL")


def many_keys(server, target):
    """More than a window of keys, some of them missing."""
    here, there = server.client(), target.client()
    names = ["key %d" % i for i in range(5000)]
    for begin in range(0, len(names), 1000):
        here.must("MSET", *[w for name in names[begin : begin + 900] for w in (name, name)])
    same(migrate(here, target.port, "", 0, 5000, "KEYS", *names), b"OK")
    same((here.must("DBSIZE"), there.must("DBSIZE")), (0, 4500))
    same(there.must("GET", "key 4899"), b"key 4899")
    there.must("FLUSHALL")


def not_in_multi(server, _):
    """A transaction would keep its slots locked meanwhile."""
    here = server.client()
    here.must("MULTI")
    reply = migrate(here, 1, "k", 0, 10)
    same(reply, Error(b"ERR Command not allowed inside a transaction"))
    require(here.call("EXEC").startswith(b"EXECABORT"), "EXEC")


def ends_soon(options):
    """A server that is told to end does not wait for a target."""
    with Target(lambda _: None) as target, ServerProcess(options.server) as server:
        client = server.client()
        client.must("SET", "k", "v")
        client.send("MIGRATE", "127.0.0.1", target.port, "k", 0, 60000)
        while not target.seen:
            time.sleep(0.01)
        began = time.monotonic()
        server.stop()
        require(time.monotonic() - began < 5 * ALLOWANCE, "the end took long")
        server.start()


def from_a_ring(options, target):
    """At an owner of the key, whose replicas lose it too; refused where nodes would wait."""
    local_ring.SERVER[:] = [os.path.abspath(options.server)]
    with target.client() as there:
        there.must("FLUSHALL")
    with local_ring.Ring(racks=2, nodes=2) as ring:
        with ring.client(ring.nodes[0]) as client:
            owners = ring.holders("k")
        same(len(owners), 2, "owners")
        other = next(node for node in ring.nodes if node not in owners)
        with ring.client(owners[0]) as here, ring.client(other) as elsewhere:
            here.must("RPUSH", "k", "a", "b")
            ring.await_settled()
            same(migrate(elsewhere, target.port, "k", 0, 1000), Error(RING), "not at an owner")
            here.must("CLIENT", "CONSISTENCY", "WRITE", "dc_quorum")
            same(migrate(here, target.port, "k", 0, 1000), Error(RING), "at a quorum")
            here.must("CLIENT", "CONSISTENCY", "WRITE", "dc_one")
            same(migrate(here, target.port, "k", 0, 5000), b"OK", "at an owner")
            ring.assert_equal(["k"])
            same((here.must("EXISTS", "k"), elsewhere.must("EXISTS", "k")), (0, 0))
    with target.client() as there:
        same(there.must("LRANGE", "k", 0, -1), [b"a", b"b"])
        there.must("FLUSHALL")


def main():
    options = tally.arguments(__doc__).parse_args()
    result = tally.Tally("migrate")
    flags = {"server-threads": "1", "latency-slowlog-log-slower-than": "0us"}
    server = ServerProcess(options.server, dyno_options=flags)
    reference = ServerProcess(options.reference)
    ours = ServerProcess(options.server)
    protected = [
        ServerProcess(command, {name: PASSWORD}, password=PASSWORD)
        for command, name in (
            (options.reference, "requirepass"),
            (options.server, "client-requirepass"),
        )
    ]
    with server, reference, ours, protected[0], protected[1]:
        for target in (reference, ours):
            for case in (moves_all, other_databases, many_keys):
                name = "%s to %s" % (case.__name__, "redis" if target.is_redis else "dyno")
                result.run(name, case, server, target)
        for target in protected:
            result.run("with_password", with_password, server, target)
        for case in (as_redis_answers, some_fail, changed_meanwhile, nobody_waits, to_itself,
                     not_in_multi):  # fmt: skip
            with server.client() as client:
                client.must("FLUSHALL")
            result.run(case.__name__, case, server, reference)
        result.run("from_a_ring", from_a_ring, options, reference)
    result.run("ends_soon", ends_soon, options)
    result.finish()


if __name__ == "__main__":
    main()
