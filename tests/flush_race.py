#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pipelines on one thread while another empties the data set: looking ahead into tables that are
taken away must not fall, and every reply must still be one of those that could be."""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import tally
from resp_client import encode
from server_process import ServerProcess
from tally import require

PIPELINE = 64
KEYS = 4096


def pipelines(server, until, problems):
    """SET and GET in long pipelines; a GET finds its key's value or nothing."""
    client = server.client()
    turn = 0
    try:
        while time.monotonic() < until:
            keys = [f"k{(turn * 31 + i * 17) % KEYS}" for i in range(PIPELINE)]
            turn += 1
            client.sock.sendall(b"".join(encode(["SET", k, k]) + encode(["GET", k]) for k in keys))
            replies = client.read_all(2 * PIPELINE)
            for key, found in zip(keys, replies[1::2]):
                if found not in (None, key.encode()):
                    problems.append((key, found))
    except Exception as error:  # pylint: disable=broad-except
        problems.append(error)


def run(server_command, seconds):
    """Two writers against one who flushes."""
    with ServerProcess(server_command, dyno_options={"server-threads": "3"}) as server:
        problems = []
        until = time.monotonic() + seconds
        writers = [
            threading.Thread(target=pipelines, args=(server, until, problems)) for _ in range(2)
        ]
        for writer in writers:
            writer.start()
        flusher = server.client()
        while time.monotonic() < until:
            flusher.must("FLUSHALL")
        for writer in writers:
            writer.join()
        require(not problems, "replies: %r" % problems[:3])
        require(server.alive(), "the server is gone")


def main():
    """The command line."""
    options = tally.arguments(__doc__).parse_args()
    result = tally.Tally("flush_race")
    result.run("flush_race", run, options.server, 20 if options.long else 3)
    result.finish()


if __name__ == "__main__":
    main()
