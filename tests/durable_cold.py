# SPDX-License-Identifier: Apache-2.0
"""More data than memory on a node that keeps it: values leave memory, come back, and survive."""

import random
import resource
import time

import resp_client
from durable_crash import Writer, crash_cycles
from durable_data import fill_collections, fill_moves, fill_strings
from durable_node import Node, differences, everything
from durable_snapshot import limit_files
from tally import ALLOWANCE, require, same

MEMORY = 40 << 20
LIMIT = ("--memory-maxmemory", str(MEMORY))
VALUE = 4000


def value_of(number):
    return b"%d:" % number + b"v" * VALUE


def fill(client, count, prefix="cold"):
    for begin in range(0, count, 100):
        names = range(begin, min(begin + 100, count))
        replies = client.pipeline([("SET", "%s%d" % (prefix, i), value_of(i)) for i in names])
        require(all(reply == b"OK" for reply in replies), replies[:3])


def require_bounded(node, client):
    node.info()  # What INFO tells may be 0.1 s old.
    used = int(resp_client.info(client, "memory")["used_memory"])
    require(used < MEMORY * 1.25 * ALLOWANCE, "memory: %d of %d" % (used, MEMORY))


def values_leave_and_return():
    """Strings of four times the memory and keys of every type: away, changed, killed, restarted."""
    count = 30000
    with Node(fsync="no", options=list(LIMIT)) as node:
        with node.client() as client:
            fill_strings(client)
            fill_collections(client)
            fill_moves(client)
            before = everything(client)
            time.sleep(2.5)  # Until traces are dropped: what has some stays in memory.
            fill(client, count)
            figures = node.info()
            cold = int(figures["storage_cold_keys"])
            require(cold > count / 2, "only %d keys are on disk alone" % cold)
            require_bounded(node, client)
            for i in range(0, count, 100):
                client.must("APPEND", "cold%d" % i, "changed")
                client.must("DEL", "cold%d" % (i + 1))
                client.must("SET", "cold%d" % (i + 2), "short")
                client.must("PEXPIRE", "cold%d" % (i + 3), 100000000)
                client.must("PEXPIRE", "cold%d" % (i + 4), 1)
        for end in (node.kill, node.shut_down):
            end()
            node.start()
            node.await_read()
            with node.client() as client:
                cold = int(node.info()["storage_cold_keys"])
                require(cold > count / 2, "only %d keys are on disk alone after a start" % cold)
                require_bounded(node, client)
                found = everything(client)
                same(sum(key[1].startswith(b"cold") for key in found), count - 2 * (count // 100))
                for i in range(count):
                    check(found.pop((0, b"cold%d" % i), None), i)
                same(differences(before, found), "")
                same(int(node.info()["storage_values_not_read"]), 0)
                require_bounded(node, client)


def check(content, number):
    change = number % 100
    if change in (1, 4):
        return require(content is None, "%d is still there" % number)
    expected = {0: value_of(number) + b"changed", 2: b"short"}.get(change, value_of(number))
    require(content is not None and content[1] == expected, "%d: %.60r" % (number, content))
    return require((content[2] > 0) == (change == 3), "%d ends at %r" % (number, content[2]))


def full_disk():
    """While the disk takes nothing, what is there alone may be out of reach; nothing is lost."""
    count = 15000
    with Node(fsync="no", options=list(LIMIT)) as node:
        with node.client() as client:
            fill(client, count)
            require(int(node.info()["storage_cold_keys"]) > count / 4, "nothing is on disk alone")
            limit_files(node, 100)
            written = count
            try:
                with node.client(timeout=2) as writer:
                    while writer.call("SET", "cold%d" % written, value_of(written)) == b"OK":
                        written += 1
            except OSError:
                pass  # Its answer waits for the disk.
            for i in range(0, count, 500):
                reply = client.call("GET", "cold%d" % i)
                is_told = isinstance(reply, resp_client.Error)
                require(reply.startswith(b"MISCONF Errors reading") if is_told
                        else reply == value_of(i), "cold%d: %.60r" % (i, reply))
            limit_files(node, resource.RLIM_INFINITY)
            node.await_true("it recovers", lambda: client.call("SET", "after", "x") == b"OK", 60)
        for end in (lambda: None, node.crash):
            end()
            with node.client() as client:
                for i in range(0, written, 7):
                    same(client.must("GET", "cold%d" % i), value_of(i))


def ends_while_reading(times=12):
    """A node that is told to end while it reads its data back, and lets values go, ends well."""
    with Node(fsync="no", options=list(LIMIT)) as node:
        with node.client() as client:
            fill(client, 15000)
        caught = 0
        for turn in range(times):
            node.shut_down()
            node.start()
            time.sleep(0.02 * (turn % 4))
            with node.client() as client:
                caught += resp_client.info(client, "persistence")["async_loading"] == "1"
        require(caught > 0, "all was read back each time")
        node.await_read()
        with node.client() as client:
            for i in range(0, 15000, 7):
                same(client.must("GET", "cold%d" % i), value_of(i))


class Filler(Writer):
    """Writes so much that values of all writers leave memory, and reads its own."""

    def step(self, client):
        names = ["fill%d" % self.rng.randrange(12000) for _ in range(20)]
        numbers = {name: self.rng.randrange(1000) for name in names}
        replies = client.pipeline(
            [("SET", name, numbers[name], "GET") for name in numbers]
            + [("SET", name, name.encode() + b"=" + b"f" * VALUE) for name in numbers]
        )
        for name, old in zip(numbers, replies):
            if isinstance(old, resp_client.Error):
                self.errors.append(old)
            elif old is not None:
                value = name.encode() + b"=" + b"f" * VALUE
                require(old == value or len(old) < 4, "%s is %.30r" % (name, old))


def kills(fsync, cycles):
    """As crash_cycles, with values of the writers on disk alone much of the time."""
    filler = Filler(99, random.Random(5))
    crash_cycles(fsync, cycles, 13, LIMIT, also=[filler, Filler(98, random.Random(6))])


def eviction_takes_keys():
    """With a policy that evicts, keys go for good instead, also over a restart."""
    options = list(LIMIT) + ["--memory-maxmemory-policy", "allkeys-lru"]
    with Node(fsync="no", options=options) as node:
        with node.client() as client:
            fill(client, 20000)
            require_bounded(node, client)
            same(int(node.info()["storage_cold_keys"]), 0)
            left = set(client.must("KEYS", "*"))
            require(len(left) < 12000, "%d keys are left" % len(left))
        node.crash()
        with node.client() as client:
            node.await_read()
            found = set(client.must("KEYS", "*"))
            same(found - left, set())
            # A new process' memory is laid out anew, so that a few more may have to go.
            require(len(found) > len(left) * 0.98, "%d of %d are back" % (len(found), len(left)))
