# SPDX-License-Identifier: Apache-2.0
"""While the data is read back: commands on single keys are right at once, others wait till all is
there, pipelines keep their order, blocking commands and transactions work across it."""

import random
import threading
import time

import resp_client
from durable_node import Node
from tally import require, same

KEYS = 60000


def load(client):
    for start in range(0, KEYS, 5000):
        client.pipeline([("SET", "k%d" % i, "v%d" % i) for i in range(start, start + 5000)])
    client.must("RPUSH", "queue", "1", "2")
    client.must("SET", "watched", "0")
    client.must("HSET", "h", "f", "1")


def at_once_and_right():
    rng = random.Random(3)
    with Node(fsync="no") as node:
        with node.client() as client:
            load(client)
        node.kill()
        node.start()
        began = time.monotonic()
        with node.client() as one, node.client() as whole, node.client() as blocked:
            whole.send("DBSIZE")
            blocked.send("BLPOP", "pushed later", "10")
            picked = [rng.randrange(KEYS) for _ in range(200)]
            for i in picked[:20]:
                same(one.must("GET", "k%d" % i), b"v%d" % i)
            first_s = time.monotonic() - began
            commands, wanted = pipelined(picked)
            same(one.pipeline(commands), wanted)
            single_s = time.monotonic() - began
            one.must("RPUSH", "pushed later", "x")
            same(blocked.read_reply(), [b"pushed later", b"x"])
            same(one.must("BLPOP", "queue", "1"), [b"queue", b"1"])
            check_watch(node)
            same(whole.read_reply(), KEYS + 103)
            loading_s = time.monotonic() - began
            check_whole(node)
        print("restart: 20 keys after %.0f ms, 400 commands after %.0f ms, all keys after %.0f ms"
              % (1000 * first_s, 1000 * single_s, 1000 * loading_s))


def pipelined(picked):
    """Commands that take turns on keys of many slots, with the only right answers."""
    commands, wanted = [], []
    for turn, i in enumerate(picked[:100]):
        commands += [("GET", "k%d" % i), ("INCR", "new%d" % turn), ("PING",), ("EXISTS", "k%d" % i)]
        wanted += [b"v%d" % i, 1, b"PONG", 1]
    return commands, wanted


def check_watch(node):
    with node.client() as own, node.client() as other:
        own.must("WATCH", "watched", "h")
        own.must("MULTI")
        own.must("INCR", "watched")
        own.must("HINCRBY", "h", "f", "1")
        same(own.must("EXEC"), [1, 2])
        own.must("WATCH", "watched")
        other.must("INCR", "watched")
        own.must("MULTI")
        own.must("SET", "watched", "mine")
        same(own.must("EXEC"), None)
        same(own.must("GET", "watched"), b"2")


def check_whole(node):
    """Commands over the whole data set, each asked at once after a restart of its own."""
    wanted = {b"k%d" % i for i in range(KEYS)}
    for words in (("KEYS", "k*"), ("SCAN", "0", "COUNT", "1000000"), ("RANDOMKEY",)):
        node.crash()
        with node.client() as client:
            reply = client.must(*words)
            if words[0] == "RANDOMKEY":
                require(reply is not None, "no key while it reads back")
            elif words[0] == "KEYS":
                same(len(set(reply)), KEYS)
            else:
                seen, cursor = set(reply[1]), reply[0]
                while cursor != b"0":
                    cursor, part = client.must("SCAN", cursor, "COUNT", "100000")
                    seen.update(part)
                require(wanted <= seen, "SCAN missed %d keys" % len(wanted - seen))


def changes_while_reading():
    """Writers at work from the first moment on: counters stay exact, and FLUSHALL is whole."""
    with Node(fsync="no") as node:
        with node.client() as client:
            load(client)
            client.pipeline([("SET", "n%d" % i, 0) for i in range(50)])
        for turn in range(2):
            node.crash()
            errors = []

            def count():
                with node.client() as own:
                    for reply in own.pipeline([("INCR", "n%d" % (i % 50)) for i in range(5000)]):
                        if isinstance(reply, resp_client.Error):
                            errors.append(reply)

            threads = [threading.Thread(target=count) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            same(errors, [])
            with node.client() as client:
                found = client.must("MGET", *["n%d" % i for i in range(50)])
                same(found, [b"%d" % (400 * (turn + 1))] * 50)
        node.crash()
        with node.client() as client:
            client.must("FLUSHALL")
            client.must("SET", "k1", "after")
            same(client.must("DBSIZE"), 1)
            node.crash()
        with node.client() as client:
            same(client.must("DBSIZE"), 1)
            same(client.must("GET", "k1"), b"after")
