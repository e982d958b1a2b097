# SPDX-License-Identifier: Apache-2.0
"""Every type, option and expiry survives SHUTDOWN and kill -9; what is gone leaves the disk."""

import os
import random
import time

from durable_node import Node, content, differences, everything
from tally import require, same

MIB = 1 << 20


def fill_strings(client):
    must = client.must
    must("SET", "plain", "value")
    must("SET", b"bin\x00\xff\r\nary", bytes(range(256)))
    must("SET", "", "the empty name")
    must("SET", "number", "41")
    must("INCR", "number")
    must("INCRBYFLOAT", "float", "3.25")
    must("INCRBYFLOAT", "float", "-1.125")
    must("DECRBY", "below", "9223372036854775807")
    must("SET", "then counted", "5", "EX", "1000")
    must("INCRBY", "then counted", "7")
    must("APPEND", "appended", "one")
    must("APPEND", "appended", "two")
    must("SETRANGE", "ranged", "10", "tail")
    must("SETBIT", "bits", "1000", "1")
    must("BITFIELD", "bits", "SET", "u8", "8", "200")
    must("SET", "kept ttl", "a", "PX", "1000000")
    must("SET", "kept ttl", "b", "KEEPTTL")
    must("SET", "lost ttl", "a", "EX", "1000")
    must("SET", "lost ttl", "b")
    must("SET", "persisted", "a", "EX", "1000")
    must("PERSIST", "persisted")
    must("SET", "getset", "old")
    must("SET", "getset", "new", "GET", "XX")
    must("SET", "getdel", "x")
    must("GETDEL", "getdel")
    must("SET", "never", "x", "NX", "EXAT", "32503680000")
    must("MSETNX", "msetnx1", "a", "msetnx2", "b")
    must("PFADD", "sketch", *["e%d" % i for i in range(3000)])
    must("PFADD", "sketch2", *["f%d" % i for i in range(50)])
    must("PFMERGE", "sketches", "sketch", "sketch2")


def fill_collections(client):
    must = client.must
    must("RPUSH", "list", *range(20))
    must("LPUSH", "list", "head")
    must("LPOP", "list", "3")
    must("LSET", "list", "4", "set")
    must("LINSERT", "list", "BEFORE", "set", "inserted")
    must("LREM", "list", "1", "9")
    must("LTRIM", "list", "1", "14")
    must("LMOVE", "list", "moved to", "LEFT", "RIGHT")
    must("HSET", "hash", "a", "1", "b", "2", "c", "3", "", "empty")
    must("HDEL", "hash", "b")
    must("HINCRBY", "hash", "n", "12")
    must("HINCRBYFLOAT", "hash", "f", "1.5")
    must("HSET", "fields end", "a", "1", "b", "2", "c", "3")
    must("HPEXPIRE", "fields end", "1000000", "FIELDS", "2", "a", "b")
    must("HPERSIST", "fields end", "FIELDS", "1", "b")
    must("SADD", "ints", *range(100))
    must("SREM", "ints", "5", "6")
    must("SADD", "words", *["w%d" % i for i in range(300)])
    must("SPOP", "words", "17")
    must("SMOVE", "ints", "moved", "7")
    must("SUNIONSTORE", "union", "ints", "words")
    must("ZADD", "zset", "1", "a", "-inf", "low", "inf", "high", "2.5", "b")
    must("ZINCRBY", "zset", "1.25", "a")
    must("ZADD", "zset", "XX", "GT", "CH", "9", "b")
    must("ZPOPMIN", "zset")
    must("ZUNIONSTORE", "zunion", "2", "zset", "ints", "WEIGHTS", "2", "1")
    must("GEOADD", "geo", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania")
    must("SET", "was string", "x")
    must("DEL", "was string")
    must("RPUSH", "was string", "a list")
    must("SET", "overwritten", "x")
    must("SADD", "set then string", "m")
    must("SET", "set then string", "string")


def fill_moves(client):
    must = client.must
    must("SET", "rename me", "x", "EX", "5000")
    must("RENAME", "rename me", "renamed")
    must("SADD", "rename over", "old")
    must("RPUSH", "rename from", "1", "2")
    must("RENAME", "rename from", "rename over")
    must("HSET", "copy me", "f", "v")
    must("HINCRBY", "copy me", "n", "3")
    must("COPY", "copy me", "copied")
    must("COPY", "copy me", "copied", "DB", "3")
    must("SET", "move me", "x")
    must("MOVE", "move me", "2")
    must("MULTI")
    client.call("SET", "in transaction", "1")
    client.call("RPUSH", "list in transaction", "a", "b")
    client.call("INCR", "number")
    must("EXEC")
    must("MSET", *["m%d" % (i // 2) if i % 2 == 0 else i for i in range(40)])
    must("RPUSH", "to sort", *range(9, 0, -1))
    must("SORT", "to sort", "STORE", "sorted")
    must("SET", "dumped", "as it is", "EX", "3000")
    must("RESTORE", "restored", "2000000", must("DUMP", "dumped"))
    must("SELECT", "5")
    must("SET", "flushed", "x")
    must("SADD", "flushed too", "x")
    must("FLUSHDB")
    must("SET", "after flush", "y")
    must("SELECT", "15")
    must("SET", "last database", "y")
    must("SELECT", "0")


def fill_large(client, scale):
    client.must("SET", "large", bytes(random.Random(1).randbytes(10 * MIB)))
    client.must("APPEND", "large", "tail")
    for start in range(0, scale, 1000):
        numbers = range(start, start + 1000)
        client.must("RPUSH", "large list", *["v%d" % i for i in numbers])
        client.must("SADD", "large set", *["v%d" % i for i in numbers])
        client.must("HSET", "large hash", *[word for i in numbers for word in ("f%d" % i, i)])
        client.must("ZADD", "large zset", *[word for i in numbers for word in (i * 1.5, "m%d" % i)])
    client.must("LTRIM", "large list", scale // 10, -1)
    client.must("LREM", "large list", 1, "v%d" % (scale // 2))
    client.must("ZREMRANGEBYRANK", "large zset", 0, scale // 10)


def all_types(fsync, scale):
    with Node(fsync=fsync) as node:
        with node.client() as client:
            client.must("SET", "before the flush", "x")
            client.must("FLUSHALL")
            fill_strings(client)
            fill_collections(client)
            fill_moves(client)
            fill_large(client, scale)
            client.must("SET", "short", "x", "PX", "50")
            client.must("HSET", "short fields", "a", "1", "b", "2")
            client.must("HPEXPIRE", "short fields", "50", "FIELDS", "1", "a")
            time.sleep(0.2)
            before = everything(client)
            sketches = client.must("PFCOUNT", "sketches")
        require((0, b"short") not in before, "an expired key is told")
        require(len(before) > 60, "only %d keys" % len(before))
        for end in (node.shut_down, node.kill, node.shut_down):
            if fsync == "everysec":
                node.info()  # What was written last is with the system by then.
            end()
            node.start()
            with node.client() as client:
                after = everything(client)
                same(differences(before, after), "")
                same(client.must("PFCOUNT", "sketches"), sketches)
                same(client.must("GET", "number"), b"43")


def changes_after_restart(fsync):
    """What is read back can be changed, and the change survives in turn."""
    with Node(fsync=fsync) as node:
        with node.client() as client:
            fill_strings(client)
            fill_collections(client)
        for turn in range(3):
            node.crash()
            with node.client() as client:
                same(client.must("INCR", "turns"), turn + 1)
                same(client.must("HINCRBY", "hash", "n", "1"), 13 + turn)
                client.must("RPUSH", "list", "turn%d" % turn)
                client.must("LPOP", "list")
                client.must("SADD", "ints", 1000 + turn)
                client.must("SREM", "ints", 10 + turn)
                client.must("APPEND", "appended", "!")
                client.must("ZINCRBY", "zset", "1", "a")
                if turn == 1:
                    client.must("DEL", "hash")
                    client.must("HINCRBY", "hash", "n", "14")
                before = everything(client)
            node.crash()
            with node.client() as client:
                same(differences(before, everything(client)), "")
                same(client.must("GET", "appended"), b"onetwo" + b"!" * (turn + 1))


def flushed_data():
    """FLUSHALL and FLUSHDB hold across a kill, and spare what came after."""
    with Node() as node:
        with node.client() as client:
            for db in (0, 1, 2):
                client.must("SELECT", db)
                client.pipeline([("SET", "k%d" % i, "v") for i in range(500)])
            client.must("FLUSHDB")
            client.must("SET", "later", "2")
            node.crash()
        with node.client() as client:
            same([len([k for k in everything(client) if k[0] == db]) for db in (0, 1, 2)],
                 [500, 500, 1])
            client.must("FLUSHALL")
            client.must("SET", "k7", "again")
        for end in (node.kill, node.shut_down):
            end()
            node.start()
            with node.client() as client:
                same(list(everything(client)), [(0, b"k7")])


def expired_counters():
    """What was counted under a key that expired does not show under a later one of its name."""
    with Node() as node:
        with node.client() as client:
            client.must("HINCRBY", "key", "counted", 5)
            client.must("PEXPIRE", "key", 50)
            client.must("HINCRBY", "hash", "counted", 5)
            client.must("HPEXPIRE", "hash", 50, "FIELDS", 1, "counted")
            client.must("HSET", "hash", "stays", "x")
            time.sleep(3)  # Until its traces are dropped.
            client.must("HSET", "key", "other", "x")
            client.must("HSET", "hash", "other", "x")
            before = everything(client)
        node.crash()
        with node.client() as client:
            same(differences(before, everything(client)), "")


def idle_log(count=20000):
    """What is in the log becomes files while nothing is written, so that a restart is short."""

    def log_bytes():
        return sum(os.path.getsize(path) for path in node.files(".log"))

    with Node("everysec") as node:
        rng = random.Random(3)
        with node.client() as client:
            for start in range(0, count, 1000):
                client.pipeline([("SET", "k%d" % i, rng.randbytes(100))
                                 for i in range(start, start + 1000)])
            client.must("WAITAOF", 1, 0, 0)
            require(log_bytes() > MIB, "the log has only %d bytes" % log_bytes())
            node.await_true("the log is short", lambda: log_bytes() < MIB / 20)
            before = everything(client)
        node.crash()
        with node.client() as client:
            same(differences(before, everything(client)), "")


def used_bytes(node):
    return sum(os.path.getsize(path) for path in node.files(".sst") + node.files(".log"))


def space_comes_back():
    """Expired, deleted and overwritten data leaves the files."""
    with Node(options=["--storage-buffer", "1mb"]) as node:
        rng = random.Random(2)
        value = rng.randbytes(1000)
        with node.client() as client:
            for start in range(0, 12000, 1000):
                numbers = range(start, start + 1000)
                client.pipeline(
                    [("SET", "ttl%d" % i, rng.randbytes(1000), "PX", "3000") for i in numbers]
                )
                client.pipeline([("SET", "del%d" % i, rng.randbytes(1000)) for i in numbers])
                client.pipeline([("SET", "one", rng.randbytes(1000)) for _ in range(300)])
            client.must("SET", "stays", value)
            full = used_bytes(node)
            require(full > 12 * MIB, "only %d bytes were written" % full)
            client.pipeline([("UNLINK", "del%d" % i) for i in range(12000)])
            node.await_true("keys end", lambda: client.must("DBSIZE") == 2)
            time.sleep(2.5)  # Traces are kept for a second.
            client.must("BGREWRITEAOF")
            node.await_true("space comes back", lambda: used_bytes(node) < full / 20)
            print("space: %d bytes before, %d after" % (full, used_bytes(node)))
            same(content(client, "stays")[1], value)
        node.crash()
        with node.client() as client:
            same(client.must("DBSIZE"), 2)
