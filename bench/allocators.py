#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares allocators for the objects that are too large for Dyno's own, each preloaded in turn.

Usage: bench/allocators.py [--server build/dyno-server] [LIBRARY...]

Each round starts a server for each library and prints the CPU time per command of writing,
overwriting and appending to large strings and of filling large hashes, the resident bytes per byte
of value after writing and after overwriting with other sizes, and what is still resident when all
is deleted. The libraries are Debian's jemalloc and mimalloc unless others are named.
"""

import argparse
import os
import random
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))

# pylint: disable=wrong-import-position
from resp_client import encode
from server_process import ServerProcess

LIBRARIES = [
    "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
    "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2",
]
KEYS = 8000
BATCH = 20
BYTES = os.urandom(1 << 17)


class Load:
    """One server under load; sizes are the same for every library."""

    def __init__(self, server):
        self.server = server
        self.client = server.client()
        self.random = random.Random(5)
        self.sizes = {}
        self.resident_before = server.rss()

    def cpu_us(self, commands):
        """Microseconds of the server's CPU time per command."""
        before = self.server.cpu_seconds()
        for start in range(0, len(commands), BATCH):
            part = commands[start : start + BATCH]
            self.client.sock.sendall(b"".join(encode(words) for words in part))
            self.client.read_all(len(part))
        return (self.server.cpu_seconds() - before) / len(commands) * 1e6

    def sets(self, keys):
        """SETs of 8 to 64 KiB."""
        commands = []
        for key in keys:
            self.sizes[key] = int(8300 * 8 ** self.random.random())
            commands.append(["SET", "k%d" % key, BYTES[: self.sizes[key]]])
        return commands

    def resident(self):
        """Resident bytes per byte of value."""
        return (self.server.rss() - self.resident_before) / sum(self.sizes.values())


def measure(command, library):
    """One line about one library."""
    os.environ["LD_PRELOAD"] = library
    with ServerProcess(command) as server:
        del os.environ["LD_PRELOAD"]
        load = Load(server)
        figures = ["SET %5.2f us" % load.cpu_us(load.sets(range(KEYS)))]
        figures.append("%.2f bytes/byte" % load.resident())
        others = [load.random.randrange(KEYS) for _ in range(3 * KEYS)]
        figures.append("overwriting %5.2f us" % load.cpu_us(load.sets(others)))
        figures.append("%.2f bytes/byte" % load.resident())
        appends = [["APPEND", "a%d" % (number % 500), BYTES[:1000]] for number in range(40000)]
        figures.append("APPEND %5.2f us" % load.cpu_us(appends))
        fields = [["HSET", "h%d" % (number % 4), "f%d" % number, "v"] for number in range(100000)]
        figures.append("HSET %5.2f us" % load.cpu_us(fields))
        load.client.must("FLUSHALL")
        time.sleep(2)
        figures.append("left %.0f MiB" % ((server.rss() - load.resident_before) / (1 << 20)))
        print("%-18s %s" % (os.path.basename(library), ", ".join(figures)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default=os.path.join(ROOT, "build", "dyno-server"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("libraries", nargs="*", default=LIBRARIES)
    options = parser.parse_args()
    for _ in range(options.rounds):
        for library in options.libraries:
            measure(options.server, library)


if __name__ == "__main__":
    main()
