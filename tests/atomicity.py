#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Atomicity: commands over several keys, transactions and blocking pops from many connections.

Connections are spread over the server's threads.  Writers keep an invariant with each command;
readers that ever see it broken, an element lost or doubled, or a waiter served out of turn, fail
the test.  Load comes from processes of their own, so that they really run at the same time.
"""

import multiprocessing
import os
import queue as queue_module
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

# pylint: disable=wrong-import-position
import resp_client
import tally
from resp_client import Client, Error
from server_process import ServerProcess
from tally import require, same

WORKERS = 4


def at_once(bodies, seconds, taken=None, results=None):
    """Run each body(report, deadline) in a process of its own; the texts that they report.

    What the workers put into the queue `taken` is collected in `results` meanwhile.
    """
    queue = multiprocessing.Queue()
    deadline = time.monotonic() + seconds

    def run(body):
        try:
            body(queue.put, deadline)
        except Exception as error:  # pylint: disable=broad-except
            queue.put("%s: %s" % (type(error).__name__, error))

    processes = [multiprocessing.Process(target=run, args=(body,)) for body in bodies]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        if taken:
            drain(taken, results)
        time.sleep(0.02)
        if time.monotonic() > deadline + 60:
            for process in processes:
                process.kill()
            queue.put("a worker did not end")
            break
    if taken:
        drain(taken, results)
    reports = []
    drain(queue, reports)
    return reports


def drain(queue, into):
    """Move everything that is in the queue."""
    while True:
        try:
            into.append(queue.get(timeout=0.05))
        except queue_module.Empty:
            return


def check(reports):
    """No worker has reported anything wrong."""
    require(not reports, "; ".join(str(report) for report in reports[:3]))


def mset_pairs(port, seconds):
    """MSET writes one value to many keys; MGET never sees two different ones."""
    keys = ["pair:%d" % number for number in range(20)]

    def writer(report, deadline):
        client = Client(port)
        number = 0
        while time.monotonic() < deadline:
            order = keys[:]
            random.shuffle(order)
            commands = []
            for _ in range(20):
                number += 1
                words = ["MSET"]
                for key in order:
                    words += [key, "%d-%d" % (os.getpid(), number)]
                commands.append(words)
            for reply in client.pipeline(commands):
                if reply != b"OK":
                    report("MSET answered %r" % reply)
                    return

    def reader(report, deadline):
        client = Client(port)
        while time.monotonic() < deadline:
            order = keys[:]
            random.shuffle(order)
            for values in client.pipeline([["MGET"] + order] * 20):
                if len(set(values)) != 1:
                    report("MGET saw %r" % sorted(set(values)))
                    return

    Client(port).must("MSET", *[word for key in keys for word in (key, "0")])
    check(at_once([writer] * 2 + [reader] * 2, seconds))


def transfers(port, seconds):
    """EXEC moves amounts between accounts; the sum that another EXEC reads is always the same."""
    accounts = ["account:%d" % number for number in range(10)]
    total = 1000 * len(accounts)

    def mover(report, deadline):
        client = Client(port)
        while time.monotonic() < deadline:
            commands = []
            for _ in range(10):
                one, two = random.sample(accounts, 2)
                amount = str(random.randint(1, 50))
                commands += [["MULTI"], ["DECRBY", one, amount], ["INCRBY", two, amount], ["EXEC"]]
            for reply in client.pipeline(commands)[3::4]:
                if not isinstance(reply, list) or len(reply) != 2:
                    report("EXEC answered %r" % reply)
                    return

    def auditor(report, deadline):
        client = Client(port)
        while time.monotonic() < deadline:
            commands = [["MGET"] + accounts, ["MULTI"]] + [["GET", name] for name in accounts]
            replies = client.pipeline(commands + [["EXEC"]])
            for values in (replies[0], replies[-1]):
                found = sum(int(value) for value in values)
                if found != total:
                    report("the sum was %d, not %d" % (found, total))
                    return

    Client(port).must("MSET", *[word for key in accounts for word in (key, "1000")])
    check(at_once([mover] * 2 + [auditor] * 2, seconds))


def watched_counter(port, seconds):
    """WATCH, GET, MULTI, SET, EXEC: no increment is lost, by whichever connection."""
    results = multiprocessing.Array("q", WORKERS)

    def incrementer(number):
        def body(_, deadline):
            client = Client(port)
            while time.monotonic() < deadline:
                client.must("WATCH", "counter")
                value = int(client.must("GET", "counter"))
                replies = client.pipeline([["MULTI"], ["SET", "counter", str(value + 1)], ["EXEC"]])
                if replies[-1] is not None:
                    results[number] += 1

        return body

    client = Client(port)
    client.must("SET", "counter", "0")
    check(at_once([incrementer(number) for number in range(WORKERS)], seconds))
    same(int(client.must("GET", "counter")), sum(results), "the counter")
    require(min(results) > 0, "one connection never won: %r" % list(results))


def increments(port, seconds):
    """INCR, HINCRBY, ZINCRBY, APPEND and RPUSH of one key from many connections."""
    counts = multiprocessing.Array("q", WORKERS)

    def body_of(number):
        def body(_, deadline):
            client = Client(port)
            batch = [["INCR", "n"], ["HINCRBY", "h", "f", "1"], ["ZINCRBY", "z", "1", "m"]]
            batch += [["APPEND", "a", "x"], ["RPUSH", "l", "e"], ["SADD", "s", "%d" % number]]
            while time.monotonic() < deadline:
                client.pipeline(batch * 20)
                counts[number] += 20

        return body

    check(at_once([body_of(number) for number in range(WORKERS)], seconds))
    client, total = Client(port), sum(counts)
    same(int(client.must("GET", "n")), total, "INCR")
    same(int(client.must("HGET", "h", "f")), total, "HINCRBY")
    same(int(float(client.must("ZSCORE", "z", "m"))), total, "ZINCRBY")
    same(client.must("STRLEN", "a"), total, "APPEND")
    same(client.must("LLEN", "l"), total, "RPUSH")
    same(client.must("SCARD", "s"), WORKERS, "SADD")


def moves_and_renames(port, seconds):
    """Tokens go round through LMOVE, SMOVE and RENAME; at every moment each exists once."""
    tokens = 50

    def mover(_, deadline):
        client = Client(port)
        while time.monotonic() < deadline:
            commands = []
            for _ in range(20):
                one, two = random.sample(range(4), 2)
                commands.append(["LMOVE", "ring:%d" % one, "ring:%d" % two, "LEFT", "RIGHT"])
                token = str(random.randrange(tokens))
                commands.append(["SMOVE", "bag:%d" % one, "bag:%d" % two, token])
            client.pipeline(commands)

    def renamer(_, deadline):
        client = Client(port)
        while time.monotonic() < deadline:
            client.pipeline([["RENAME", "name:a", "name:b"], ["RENAME", "name:b", "name:a"]] * 10)

    def counter(report, deadline):
        client = Client(port)
        while time.monotonic() < deadline:
            commands = [["MULTI"]] + [["LLEN", "ring:%d" % n] for n in range(4)]
            commands += [["SCARD", "bag:%d" % n] for n in range(4)] + [["EXEC"]]
            reply = client.pipeline(commands)[-1]
            if sum(reply[:4]) != tokens or sum(reply[4:]) != tokens:
                report("tokens: %r" % reply)
                return
            if client.call("EXISTS", "name:a", "name:b") != 1:
                report("a renamed key was there twice or not at all")
                return
            if len(client.must("SUNION", *["bag:%d" % n for n in range(4)])) != tokens:
                report("SUNION saw a token missing")
                return

    client = Client(port)
    client.must("RPUSH", "ring:0", *[str(number) for number in range(tokens)])
    client.must("SADD", "bag:0", *[str(number) for number in range(tokens)])
    client.must("SET", "name:a", "v")
    check(at_once([mover] * 2 + [renamer, counter], seconds))
    rings = client.pipeline([["LRANGE", "ring:%d" % n, "0", "-1"] for n in range(4)])
    found = sorted(int(token) for ring in rings for token in ring)
    same(found, list(range(tokens)), "the tokens of the lists")


def queue_pops(port, seconds):
    """Producers push numbered jobs, consumers block for them: none lost, none doubled."""
    pushed = multiprocessing.Array("q", 2)
    taken = multiprocessing.Queue()

    def producer(number):
        def body(_, deadline):
            client = Client(port)
            while time.monotonic() < deadline:
                if client.must("LLEN", "jobs") + client.must("LLEN", "other") > 300:
                    time.sleep(0.001)
                    continue
                jobs = ["%d:%d" % (number, pushed[number] + i) for i in range(random.randint(1, 5))]
                if random.random() < 0.3:
                    commands = [["MULTI"]] + [["LPUSH", "jobs", job] for job in jobs] + [["EXEC"]]
                    client.pipeline(commands)
                else:
                    client.must("LPUSH", random.choice(("jobs", "other")), *jobs)
                pushed[number] += len(jobs)

        return body

    def consumer(report, deadline):
        clients = [Client(port) for _ in range(5)]
        mine = []
        commands = (
            ["BRPOP", "jobs", "other", "0.2"],
            ["BLPOP", "other", "jobs", "0.2"],
            ["BLMPOP", "0.2", "2", "jobs", "other", "RIGHT", "COUNT", "3"],
            ["BLMOVE", "jobs", "done", "RIGHT", "LEFT", "0.2"],
        )
        idle = 0
        while idle < 3 or time.monotonic() < deadline:
            sent = [random.choice(commands) for _ in clients]
            for client, words in zip(clients, sent):
                client.send(*words)
            got = 0
            for client, words in zip(clients, sent):
                reply = client.read()
                if isinstance(reply, Error):
                    report("%s answered %r" % (words[0], reply))
                    return
                if reply is None:
                    continue
                got += 1
                if words[0] == "BLMPOP":
                    mine.extend(reply[1])
                elif words[0] != "BLMOVE":
                    mine.append(reply[1])
            idle = 0 if got else idle + 1
        taken.put(mine)

    bodies = [producer(0), producer(1), consumer, consumer]
    results = []
    check(at_once(bodies, seconds, taken, results))
    done = Client(port).must("LRANGE", "done", "0", "-1")
    found = sorted(job for part in results + [done] for job in part)
    wanted = sorted(b"%d:%d" % (n, i) for n in range(2) for i in range(pushed[n]))
    require(len(set(found)) == len(found), "%d jobs were doubled" % (len(found) - len(set(found))))
    require(found == wanted, "%d of %d jobs were taken" % (len(found), len(wanted)))


def order_of_arrival(port, _):
    """Waiters on different threads are served in the order in which they came."""
    admin = Client(port)
    for kind, push in (("BLPOP", "RPUSH"), ("BZPOPMIN", "ZADD")):
        for attempt in range(5):
            key = "turn:%s:%d" % (kind, attempt)
            waiters = [Client(port) for _ in range(24)]
            random.shuffle(waiters)
            for number, waiter in enumerate(waiters):
                waiter.send(kind, key, "0")
                while resp_client.blocked_clients(admin) != number + 1:
                    time.sleep(0.001)
            if push == "RPUSH":
                admin.must("RPUSH", key, *[str(number) for number in range(12)])
                for number in range(12, 24):
                    admin.must("RPUSH", key, str(number))
            else:
                words = [word for number in range(12) for word in (str(number), str(number))]
                admin.must("ZADD", key, *words)
                for number in range(12, 24):
                    admin.must("ZADD", key, str(number), str(number))
            order = [int(waiter.read()[1]) for waiter in waiters]
            same(order, list(range(24)), "%s by arrival" % kind)
            for waiter in waiters:
                waiter.close()


def flush_between(port, seconds):
    """FLUSHALL is one moment: of two keys that are always written together none stays alone."""

    def writer(report, deadline):
        client = Client(port)
        while time.monotonic() < deadline:
            client.pipeline([["MSET", "one", "1", "two", "2"]] * 20)

    def flusher(report, deadline):
        client = Client(port)
        while time.monotonic() < deadline:
            client.must(random.choice(("FLUSHALL", "FLUSHDB")))

    def reader(report, deadline):
        client = Client(port)
        while time.monotonic() < deadline:
            for count in client.pipeline([["EXISTS", "one", "two"]] * 50):
                if count == 1:
                    report("half of an MSET was there")
                    return

    check(at_once([writer, writer, flusher, reader], seconds))


CASES = (
    mset_pairs,
    transfers,
    watched_counter,
    increments,
    moves_and_renames,
    queue_pops,
    order_of_arrival,
    flush_between,
)


def main():
    parser = tally.arguments(__doc__)
    parser.add_argument("cases", nargs="*", help="names; default: all")
    options = parser.parse_args()
    result = tally.Tally("atomicity")
    seconds = 30 if options.long else 3
    with ServerProcess(options.server) as server:
        for case in CASES:
            if options.cases and case.__name__ not in options.cases:
                continue
            with server.client() as client:
                client.must("FLUSHALL")
            result.run(case.__name__, case, server.port, seconds)
            if not server.alive():
                result.fail(case.__name__, "the server ended")
                break
    result.finish()


if __name__ == "__main__":
    main()
