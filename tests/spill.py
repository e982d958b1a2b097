#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""More data than memory: values go to disk and come back, and nobody can tell but by the time.

Commands whose values are away wait for them, in order; memory stays within maxmemory; what cannot
be read is told to who asked for it, and nothing of it outlives the process.
"""

import glob
import os
import random
import resource
import shlex
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import durable_node
import resp_client
import tally
from durable_node import Node
from durable_snapshot import limit_files
from resp_client import Error
from tally import ALLOWANCE, require

MEMORY = 24 << 20
PAD = "x" * 900


def spilling(options=()):
    """A node with little memory and a disk."""
    limits = ["--memory-maxmemory", str(MEMORY)]
    return Node(options=limits + list(options), mode="spill")


def info(client, section="persistence"):
    """The fields of INFO, which may be 0.1 s old."""
    time.sleep(0.15)
    return resp_client.info(client, section)


def fill(client, count, value=lambda i: "%d:%s" % (i, PAD)):
    """Strings key:0 to key:count."""
    for begin in range(0, count, 100):
        names = range(begin, min(begin + 100, count))
        replies = client.pipeline([["SET", "key:%d" % i, value(i)] for i in names])
        require(all(reply == b"OK" for reply in replies), replies[:3])


def chill(client, count=60000, prefix="filler"):
    """Makes what was not used lately go to disk, by writing more than fits."""
    client.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    time.sleep(1.1)  # The clock by which keys are judged has seconds.
    for begin in range(0, count, 500):
        replies = client.pipeline(
            [["SET", "%s:%d" % (prefix, i), PAD] for i in range(begin, begin + 500)]
        )
        require(all(reply == b"OK" for reply in replies), replies[:3])


def everything_comes_back():
    """Several times more than memory holds, each value read again."""
    with spilling() as node, node.client() as client:
        count = 80000
        fill(client, count)
        used = int(info(client, "memory")["used_memory"])
        require(used < MEMORY * 1.25 * ALLOWANCE, "memory: %d of %d" % (used, MEMORY))
        require(client.call("DBSIZE") == count, "keys are missing")
        cold = int(info(client)["storage_cold_keys"])
        require(cold > count / 2, "only %d keys are on disk" % cold)
        for begin in range(0, count, 1000):
            replies = client.pipeline([["GET", "key:%d" % i] for i in range(begin, begin + 1000)])
            for i, reply in enumerate(replies, begin):
                require(reply == ("%d:%s" % (i, PAD)).encode(), "key:%d: %r" % (i, reply))
        used = int(info(client, "memory")["used_memory"])
        require(used < MEMORY * 1.25 * ALLOWANCE, "memory after reading: %d" % used)


def every_type_is_changed_on_disk():
    """Several clients change values of every type that went away, against a model."""
    failures = []

    def work(node, seed):
        draw = random.Random(seed)
        model = {}
        try:
            with node.client() as client:
                for step in range(3000):
                    change(client, draw, model, "%d:%d" % (seed, draw.randrange(1500)), step)
        except Exception as error:  # pylint: disable=broad-except
            failures.append("client %d: %r" % (seed, error))

    # Whoever has not been used for a second would go first otherwise, which none of these keys is.
    # What stays in memory takes some 12 MB: the process itself, RocksDB, and all keys.
    options = ["--memory-maxmemory", "18mb", "--memory-maxmemory-policy", "allkeys-random"]
    with spilling(options) as node, node.client() as client:
        fill(client, 20000)
        workers = [threading.Thread(target=work, args=(node, seed)) for seed in range(6)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        require(not failures, failures)
        figures = info(client)
        require(int(figures["storage_values_read"]) > 500, figures)
        require(int(figures["storage_failures"]) == 0, figures)


def change(client, draw, model, name, step):
    """One change of one key, whose reply tells what it was."""
    kind = name[-1]
    pad = PAD[: draw.randrange(100, 900)]
    if kind in "012":
        value = "%d:%s" % (step, pad)
        old = client.call("SET", "s" + name, value, "GET")
        require(old == model.get("s" + name), "SET s%s: %r" % (name, old))
        model["s" + name] = value.encode()
    elif kind in "345":
        items = model.setdefault("l" + name, [])
        items.append(pad.encode())
        length = client.call("RPUSH", "l" + name, pad)
        require(length == len(items), "RPUSH l%s: %r of %d" % (name, length, len(items)))
        if len(items) > 12:
            first = client.call("LPOP", "l" + name)
            require(first == items.pop(0), "LPOP l%s" % name)
    elif kind in "67":
        count = client.call("HINCRBY", "h" + name, "count", 1)
        client.call("HSET", "h" + name, "pad", pad)
        model["h" + name] = model.get("h" + name, 0) + 1
        require(count == model["h" + name], "HINCRBY h%s: %r" % (name, count))
    else:
        members = model.setdefault("z" + name, set())
        client.call("ZADD", "z" + name, step, pad[:50] + str(step))
        members.add(step)
        count = client.call("ZCARD", "z" + name)
        require(count == len(members), "ZCARD z%s: %r" % (name, count))


def commands_meet_cold_keys():
    """What walks keys, renames, expires and groups them."""
    with spilling() as node, node.client() as client:
        fill(client, 2000)
        client.call("SET", "short", PAD, "PX", 2500)
        client.call("RPUSH", "list", "one", PAD)
        client.call("HSET", "hash", "field", PAD)
        chill(client)
        cold = int(info(client)["storage_cold_keys"])
        require(cold > 20000, "only %d keys are on disk" % cold)
        before = int(info(client)["storage_values_read"])
        require(client.call("EXISTS", "key:1", "list", "nothing") == 2, "EXISTS")
        require(client.call("TYPE", "hash") == b"hash", "TYPE")
        require(client.call("DEL", "key:0") == 1, "DEL")
        cursor, seen = b"0", set()
        while True:
            cursor, names = client.call("SCAN", cursor, "COUNT", 1000)
            seen.update(names)
            if cursor == b"0":
                break
        require(sum(name.startswith(b"key:") for name in seen) == 1999, "SCAN misses keys")
        require(int(info(client)["storage_values_read"]) == before, "values were read for nothing")
        require(client.call("RENAME", "key:1", "renamed") == b"OK", "RENAME")
        require(client.call("GET", "renamed") == ("1:" + PAD).encode(), "renamed")
        require(client.call("COPY", "key:2", "key:3", "REPLACE") == 1, "COPY")
        require(client.call("GET", "key:3") == ("2:" + PAD).encode(), "copied")
        replies = client.pipeline(
            [["MULTI"], ["LPUSH", "list", "zero"], ["HGET", "hash", "field"], ["EXEC"]]
        )
        require(replies[3] == [3, PAD.encode()], replies[3])
        replies = client.pipeline([["GET", "key:10"], ["SET", "a", "b"], ["GET", "key:11"]])
        require(replies[1] == b"OK" and replies[2].startswith(b"11:"), "order")
        values = client.call("MGET", *["key:%d" % i for i in range(20, 220)])
        require(all(v.startswith(b"%d:" % i) for i, v in enumerate(values, 20)), "MGET")
        deadline = time.monotonic() + 10
        while client.call("EXISTS", "short") and time.monotonic() < deadline:
            time.sleep(0.05)
        require(client.call("GET", "short") is None, "it should have expired")
        require(client.call("FLUSHALL") == b"OK", "FLUSHALL")
        require(int(info(client)["storage_cold_keys"]) == 0, "cold keys after FLUSHALL")
        fill(client, 100)
        require(client.call("GET", "key:5") == ("5:" + PAD).encode(), "after FLUSHALL")


def nothing_outlives_the_process():
    """A start finds the directory as others left it, and empties it."""
    with spilling() as node:
        with node.client() as client:
            fill(client, 40000)
        node.start_refused("another process has it")
        node.kill()
        node.start()
        with node.client() as client:
            require(client.call("DBSIZE") == 0, "keys of another process")
            fill(client, 60000, value=lambda i: "again %d %s" % (i, PAD))
            for i in range(0, 60000, 371):
                value = client.call("GET", "key:%d" % i)
                require(value.startswith(b"again %d " % i), "key:%d: %r" % (i, value))


def a_full_memory_is_told():
    """Values too small to move fill memory: writes are refused, the rest goes on."""
    with spilling() as node, node.client() as client:
        error = None
        for begin in range(0, 2000000, 1000):
            replies = client.pipeline([["SET", "n:%d" % i, i] for i in range(begin, begin + 1000)])
            errors = [reply for reply in replies if isinstance(reply, Error)]
            if errors:
                error = errors[0]
                break
        require(error is not None and error.startswith(b"OOM command not allowed"), error)
        require(client.call("GET", "n:5") == b"5", "reads go on")
        require(client.call("FLUSHALL") == b"OK", "FLUSHALL")
        deadline = time.monotonic() + 20
        while isinstance(client.call("SET", "a", "b"), Error):
            require(time.monotonic() < deadline, "writes are still refused")
            time.sleep(0.05)


def a_damaged_file_is_told():
    """A value that cannot be read is an error for who asked; others are served."""
    with spilling() as node, node.client() as client:
        fill(client, 2000)
        chill(client)
        for name in glob.glob(os.path.join(node.path, "spill", "*.sst")):
            try:
                with open(name, "r+b") as file:
                    file.write(os.urandom(os.fstat(file.fileno()).st_size))
            except FileNotFoundError:
                pass  # A compaction has replaced it.
        errors = 0
        for i in range(0, 2000, 10):
            reply = client.call("GET", "key:%d" % i)
            if isinstance(reply, Error):
                require(reply.startswith(b"MISCONF Errors reading from disk: "), reply)
                errors += 1
            else:
                require(reply.startswith(b"%d:" % i), reply)
        require(errors > 0, "all values were read from damaged files")
        # Writes go on until a compaction meets the damage, which may come at any time.
        reply = client.call("SET", "a", "b")
        refused = isinstance(reply, Error) and b"to disk: Corruption: " in reply
        require(reply == b"OK" or refused, reply)
        require(client.call("GET", "a") == (None if refused else b"b"), "reads go on")


def a_failing_disk_is_told():
    """Values that the disk does not take stay in memory: writes are refused, all can be read."""
    with spilling() as node, node.client() as client:
        written = 30000
        fill(client, written)
        limit_files(node, 100)
        refusal = None
        while refusal is None:
            require(written < 200000, "writes are taken, though the disk takes nothing")
            names = range(written, written + 100)
            replies = client.pipeline([["SET", "key:%d" % i, "%d:%s" % (i, PAD)] for i in names])
            for reply in replies:
                if reply != b"OK":
                    refusal = reply
                    break
                written += 1
        require(refusal.startswith(b"MISCONF Errors writing to disk: "), refusal)
        for i in range(0, written, 7):
            reply = client.call("GET", "key:%d" % i)
            require(reply == ("%d:%s" % (i, PAD)).encode(), "key:%d: %.60r" % (i, reply))


CASES = [
    everything_comes_back,
    every_type_is_changed_on_disk,
    commands_meet_cold_keys,
    nothing_outlives_the_process,
    a_full_memory_is_told,
    a_damaged_file_is_told,
    a_failing_disk_is_told,
]


def main():
    """Runs the cases, or those whose names contain --only."""
    parser = tally.arguments("data beyond memory")
    parser.add_argument("--only", default="", help="cases whose names contain this")
    options = parser.parse_args()
    words = shlex.split(options.server)
    durable_node.SERVER += [os.path.abspath(words[0])] + words[1:]
    counts = tally.Tally("spill")
    for case in CASES:
        if options.only in case.__name__:
            counts.run(case.__name__, case)
    counts.finish()


if __name__ == "__main__":
    main()
