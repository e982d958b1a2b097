# SPDX-License-Identifier: Apache-2.0
"""Snapshots while writing, and a disk that is full for a while."""

import os
import random
import resource
import threading
import time
import urllib.request

import resp_client
from durable_node import Node, differences, everything
from tally import require, same


def snapshots():
    """A copy is as the data was; it serves as a directory of its own."""
    with Node(fsync="no") as node:
        with node.client() as client:
            client.pipeline([("SET", "k%d" % i, "v%d" % i) for i in range(3000)])
            before = everything(client, 1)
            same(client.must("RING", "SNAPSHOT", "first"), b"OK")
            client.must("SET", "k1", "changed")
            client.must("DEL", "k2")
            saved = client.must("LASTSAVE")
            require(abs(saved - time.time()) < 5, "LASTSAVE is %d" % saved)
            same(client.must("SAVE"), b"OK")
            for name in ("", ".", "..", "../x", "a/b", ".x", "x" * 65, "a b", b"a\x00b", "/tmp/x"):
                reply = client.call("RING", "SNAPSHOT", name)
                require(isinstance(reply, resp_client.Error), "%r was taken: %r" % (name, reply))
            require(client.must("BGSAVE").startswith(b"Background saving started"), "BGSAVE")
            node.await_true("BGSAVE ends", lambda: node.info()["rdb_bgsave_in_progress"] == "0")
            same(node.info()["rdb_last_bgsave_status"], "ok")
            now = everything(client, 1)
        folder = os.path.join(node.path, "snapshots")
        same(sorted(os.listdir(folder)), ["first", "saved"])
        node.shut_down()
        for name, wanted in (("first", before), ("saved", now)):
            for _ in range(2):  # The second start is one of any directory.
                node.start(path=os.path.join(folder, name))
                with node.client() as client:
                    same(differences(wanted, everything(client, 1)), "")
                node.kill()
        node.start()


def kills_during_snapshots(cycles):
    """Writers and snapshots at work, then kill -9: the copy of that name is an old or a new one."""
    rng = random.Random(8)
    with Node(fsync="no") as node:
        for cycle in range(cycles):
            least = snapshot_until_killed(node, rng)
            node.start(path=os.path.join(node.path, "snapshots", "again"))
            with node.client() as client:
                values = client.must("MGET", *["n%d" % i for i in range(20)])
                same(len(set(values)), 1)
                require(int(values[0]) >= least, "cycle %d: %s is older than %d"
                        % (cycle, values[0], least))
            node.kill()
            node.start()


def snapshot_until_killed(node, rng):
    """What the last snapshot that was answered must have."""
    written, least = [0], 0
    gone = (OSError, resp_client.Closed)

    def write():
        try:
            with node.client() as client:
                start = int(client.must("GET", "n0") or 0)
                for number in range(start + 1, start + 1000000):
                    client.must("MSET", *[w for i in range(20) for w in ("n%d" % i, number)])
                    written[0] = number
        except gone:
            pass

    writer = threading.Thread(target=write)
    writer.start()
    timer = threading.Timer(rng.uniform(0.4, 0.8), node.kill)
    try:
        with node.client() as client:
            while True:
                before = written[0]
                client.must("RING", "SNAPSHOT", "again")
                least = before
                if not timer.is_alive() and not timer.finished.is_set():
                    timer.start()
    except gone:
        pass
    writer.join()
    timer.join()
    return least


def limit_files(node, size):
    """Files of the node's process can grow to so many bytes, as on a disk that is full."""
    hard = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (size, hard))


def full_disk(fsync):
    """Writes are refused with the reason, reads go on; it recovers by itself, nothing is lost."""
    with Node(fsync=fsync) as node:
        acked, unknown = {}, set()
        with node.client() as client:
            for i in range(200):
                client.must("SET", "k%d" % i, "v")
                acked[b"k%d" % i] = b"v"
        for turn in range(2):
            limit_files(node, 100)
            refusal = write_until_refused(node, turn, acked, unknown)
            require(refusal.startswith(b"MISCONF") and b"too large" in refusal.lower(),
                    "refused with %r" % refusal)
            with node.client() as client:
                same(client.must("GET", "k7"), b"v")
                same(client.must("PING"), b"PONG")
                require(client.must("DBSIZE") >= len(acked), "keys are missing")
            same(node.info()["aof_last_write_status"], "err")
            limit_files(node, resource.RLIM_INFINITY)
            node.await_true("it recovers", lambda: node.info()["aof_last_write_status"] == "ok")
            with node.client() as client:
                client.must("SET", "after%d" % turn, "w")
                acked[b"after%d" % turn] = b"w"
            if fsync == "everysec":
                time.sleep(0.2)
            node.crash()
            with node.client() as client:
                for key, value in acked.items():
                    same((key, client.must("GET", key)), (key, value))
                found = set(client.must("KEYS", "*"))
                require(found <= set(acked) | unknown, "keys that nobody wrote")


def write_until_refused(node, turn, acked, unknown):
    """What refused a write.  One that hangs at the failing disk may or may not be there later."""
    for i in range(5000):
        key = b"full%d:%d" % (turn, i)
        unknown.add(key)
        with node.client(timeout=1.0) as client:
            try:
                reply = client.call("SET", key, "x" * 500)
            except TimeoutError:
                continue
        if isinstance(reply, resp_client.Error):
            unknown.discard(key)
            return bytes(reply)
        acked[key] = b"x" * 500
    raise AssertionError("no write was refused")


def figures():
    """WAITAOF, what INFO tells, and the same as metrics."""
    with Node(fsync="everysec") as node:
        with node.client() as client:
            client.must("SET", "k", "v")
            same(client.must("WAITAOF", 1, 0, 0), [1, 0])
            before = node.info()
            client.pipeline([("SET", "k%d" % i, "x" * 100) for i in range(1000)])
            same(client.must("WAITAOF", 1, 0, 5000), [1, 0])
            after = node.info()
            for name in ("storage_appended_bytes", "storage_batches"):
                require(int(after[name]) > int(before[name]), "%s does not move" % name)
            same((after["aof_enabled"], after["storage_queue_bytes"]), ("1", "0"))
            same(client.must("FLUSHALL"), b"OK")
        port = node.log().split("admin port is open", 1)[1].split('"')[1]
        with urllib.request.urlopen("http://127.0.0.1:%s/metrics" % port, timeout=10) as page:
            text = page.read().decode()
        require("storage_appended_bytes" in text, "metrics do not tell of storage")
