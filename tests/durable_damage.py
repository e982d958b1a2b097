# SPDX-License-Identifier: Apache-2.0
"""Damaged directories: a torn end is what a crash leaves, anything else is told and not served."""

import os
import random
import re
import shutil

from durable_node import Node
from tally import require, same


def records(path):
    """Where the records of a log begin and end, by RocksDB's format: crc:4 length:2 type:1."""
    with open(path, "rb") as file:
        data = file.read()
    places, at = [], 0
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        if kind == 0:
            break
        places.append((at, at + 7 + length))
        at += 7 + length
    return places


def truncated(path, size):
    with open(path, "r+b") as file:
        file.truncate(size)


def flipped(path, at, bit):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def killed_node(count):
    """A killed node whose keys k0 ... were written one by one, with the files of its data."""
    node = Node(fsync="always")
    node.start()
    with node.client() as client:
        for i in range(count):
            client.must("SET", "k%d" % i, "value%d" % i)
    node.kill()
    return node


def torn_tail(every):
    """Cut at every byte of the last record: what was before it is there."""
    node = killed_node(12)
    try:
        log = node.files(".log")[-1]
        begin, end = records(log)[-1]
        same(end, os.path.getsize(log))
        for size in range(begin, end, every):
            copy = node.copy()
            truncated(copy.files(".log")[-1], size)
            with copy:
                with copy.client() as client:
                    same(client.must("DBSIZE"), 11)
                    same(client.must("GET", "k10"), b"value10")
                    client.must("SET", "k11", "again")
                copy.crash()
                with copy.client() as client:
                    same(client.must("DBSIZE"), 12)
                    same(client.must("GET", "k11"), b"again")
    finally:
        node.remove()


def flipped_log(places):
    """A bit that is wrong before the end of the log, in each part of a record: refused."""
    node = killed_node(30)
    rng = random.Random(5)
    try:
        found = records(node.files(".log")[-1])
        begin, end = found[len(found) // 2]
        wanted = [begin, begin + 3, begin + 4, begin + 5, begin + 6, begin + 7, end - 1]
        wanted += [rng.randrange(begin, end) for _ in range(places)]
        for at in wanted:
            copy = node.copy()
            flipped(copy.files(".log")[-1], at, rng.randrange(8))
            try:
                copy.start_refused("corrupt", copy.path, ".log")
            except AssertionError as error:
                raise AssertionError("byte %d of the record: %s" % (at - begin, error)) from None
            finally:
                copy.remove()
    finally:
        node.remove()


def node_with_files():
    """A stopped node with data in .sst files."""
    node = Node(fsync="no", options=["--storage-buffer", "1mb"])
    node.start()
    value = random.Random(4).randbytes(500)
    with node.client() as client:
        for start in range(0, 10000, 1000):
            client.pipeline([("SET", "k%d" % i, value) for i in range(start, start + 1000)])
    node.shut_down()
    require(node.files(".sst"), "there are no files")
    return node


def damaged_files():
    """A flipped bit in a file, a missing one, and a missing or garbled list of files."""
    node = node_with_files()
    try:
        name_of_first = os.path.basename(node.files(".sst")[0]).removesuffix(".sst")

        def flip_sst(copy):
            path = max(copy.files(".sst"), key=os.path.getsize)
            flipped(path, os.path.getsize(path) // 3, 5)

        def garble_current(copy):
            with open(os.path.join(copy.path, "db", "CURRENT"), "w", encoding="ascii") as file:
                file.write("nonsense")

        def flip_manifest(copy):
            path = manifest(copy)
            flipped(path, os.path.getsize(path) // 2, 1)

        def manifest(copy):
            names = os.listdir(os.path.join(copy.path, "db"))
            name = next(name for name in names if name.startswith("MANIFEST"))
            return os.path.join(copy.path, "db", name)

        damages = [
            ("a flipped bit in a file", flip_sst, [".sst"]),
            ("a file is missing", lambda copy: os.remove(copy.files(".sst")[0]), [name_of_first]),
            ("CURRENT is missing",
             lambda copy: os.remove(os.path.join(copy.path, "db", "CURRENT")), ["CURRENT"]),
            ("CURRENT is garbled", garble_current, ["CURRENT"]),
            ("MANIFEST is missing", lambda copy: os.remove(manifest(copy)), ["MANIFEST"]),
            ("MANIFEST is flipped", flip_manifest, []),
        ]
        for what, damage, words in damages:
            copy = node.copy()
            damage(copy)
            try:
                copy.start_refused(copy.path, *words)
            except AssertionError as error:
                raise AssertionError("%s: %s" % (what, error)) from None
            finally:
                copy.remove()
    finally:
        node.remove()


def missing_log():
    """A log that is gone though it held what no file has."""
    node = Node(fsync="always")
    node.start()
    try:
        with node.client() as client:
            client.must("SET", "k", "v")
        node.kill()
        os.remove(node.files(".log")[-1])
        node.start_refused("log", node.path)
    finally:
        node.remove()


def foreign_directories():
    """A second process, another cluster, rack or hash seed, a path that cannot be written."""
    with Node() as node:
        with node.client() as client:
            client.must("SET", "k", "v")
        port, process = node.port, node.process
        node.start_refused(node.path, "process")
        node.port, node.process = port, process
        with node.client() as client:
            same(client.must("GET", "k"), b"v")
        node.shut_down()
        for flag, value in (("hash-seed", "7"), ("cluster", "other"), ("rack", "other"),
                            ("dc", "other")):
            node.start_refused(node.path, "another node", options=["--ring-" + flag, value])
        node.start()
        with node.client() as client:
            same(client.must("GET", "k"), b"v")
        file = os.path.join(node.root, "file")
        with open(file, "w", encoding="ascii") as out:
            out.write("no directory")
        process = node.process
        node.start_refused(file, path=os.path.join(file, "below"))
        if os.getuid() != 0:
            node.start_refused("/proc/none", path="/proc/none")
        node.process = process


def deleted_directory():
    """The directory goes under a running node: it goes on, says so, and takes no more writes."""
    node = Node()
    node.start()
    try:
        with node.client() as client:
            client.must("SET", "k", "v")
            shutil.rmtree(node.path)
            node.await_true("it is noticed", lambda: node.info()["aof_last_write_status"] == "err")
            reply = client.call("SET", "k", "w")
            require(reply.startswith(b"MISCONF") and b"gone" in reply, "answered %r" % reply)
            same(client.must("PING"), b"PONG")
            require(client.must("GET", "k") in (b"v", b"w"), "reads do not go on")
            require(re.search("disk fails", node.log()), "nothing was logged:\n" + node.log())
            require(node.process.poll() is None, "it ended")
    finally:
        node.kill()
        node.remove()
