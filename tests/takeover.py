#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A loop that changes hands in the middle of a round owes its other clients the rest of it.

One network thread.  A GET of a large string, which never lets go of the loop, keeps it busy until
the client under test and one with a long command both have sent: so both are in the next round, the
long command has its loop taken over, and what was still to do for the first client is done by
another thread.
"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import resp_client
import tally
from server_process import ServerProcess
from tally import require

ROUNDS = 5
LARGE = 32 << 20


class Round:
    """Four connections to a server with one thread."""

    def __init__(self, server):
        self.busy, self.tested = server.client(), server.client()
        self.long, self.looking = server.client(), server.client()

    def run(self, *words):
        """Send `words` in one round with a command that takes a while, and ahead of it."""
        self.busy.send("GET", "large")
        self.tested.send(*words)
        self.long.send("DEBUG", "SLEEP", "0.05")
        self.busy.read()
        require(self.long.read() == b"OK", "DEBUG SLEEP")


def until(condition, text):
    """Wait until it holds."""
    for _ in range(200):
        if condition():
            return
        time.sleep(0.01)
    require(False, text)


def blocked_is_shown(server):
    """A client that began to wait is listed as waiting, and is served and times out."""
    each = Round(server)
    for _ in range(ROUNDS):
        each.run("BLPOP", "queue", "0")
        until(lambda: resp_client.blocked_clients(each.looking) == 1, "not listed as blocked")
        each.looking.must("RPUSH", "queue", "a")
        require(each.tested.read() == [b"queue", b"a"], "not served")
        each.run("BLPOP", "queue", "0.1")
        require(each.tested.read() is None, "did not time out")
        require(resp_client.blocked_clients(each.looking) == 0, "still listed as blocked")


def quit_ends(server):
    """QUIT ends a connection that gets no replies."""
    looking = server.client()
    for _ in range(ROUNDS):
        each = Round(server)
        each.tested.must("CLIENT", "SETNAME", "tested")
        each.tested.send("CLIENT", "REPLY", "OFF")
        each.run("QUIT")
        until(
            lambda: b"name=tested" not in bytes(looking.must("CLIENT", "LIST")),
            "the connection stays open after QUIT",
        )


def replies_in_order(server):
    """A pipeline that was cut anywhere is answered whole and in order."""
    each = Round(server)
    each.looking.must("SET", "counter", "0")
    number = 0
    for _ in range(ROUNDS):
        wire = resp_client.encode(["INCRBY", "counter", "1"]) * 100
        each.busy.send("GET", "large")
        each.tested.send_raw(wire)
        each.long.send("DEBUG", "SLEEP", "0.05")
        each.tested.send_raw(wire)
        replies = each.tested.read_all(200)
        require(replies == list(range(number + 1, number + 201)), "replies: %r" % replies[:5])
        number += 200
        each.busy.read()
        each.long.read()


def main():
    options = tally.arguments(__doc__).parse_args()
    result = tally.Tally("takeover")
    flags = {"server-threads": "1", "client-enable-debug-command": "yes"}
    with ServerProcess(options.server, dyno_options=flags) as server:
        with server.client() as client:
            client.must("SETRANGE", "large", str(LARGE), "x")
        for case in (blocked_is_shown, quit_ends, replies_in_order):
            result.run(case.__name__, case, server)
    result.finish()


if __name__ == "__main__":
    main()
