# SPDX-License-Identifier: Apache-2.0
"""How a node with a disk ends: a start that fails late, an end while others wait for the disk."""

import resource
import signal
import socket
import threading

import resp_client
from durable_cold import LIMIT, fill
from durable_node import Node
from durable_snapshot import limit_files
from tally import require, same


def start_fails(times=4):
    """One that finds its port taken, and has begun to read its data back, says so and ends."""
    with Node(fsync="no", options=list(LIMIT)) as node, socket.socket() as taken:
        with node.client() as client:
            fill(client, 15000)
        node.shut_down()
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        for _ in range(times):
            node.start_refused(address, options=["--client-listen", address])
        node.start()
        node.await_read()
        with node.client() as client:
            same(client.must("DBSIZE"), 15000)


def many_save_at_once(clients=8, times=20):
    """Of all who ask for a snapshot at once one gets it."""
    failures = []

    def ask(node):
        try:
            with node.client() as client:
                for _ in range(times):
                    for reply in client.pipeline([("BGSAVE",)] * 20):
                        require(reply in (b"Background saving started",
                                          b"ERR Background save already in progress"), reply)
        except Exception as error:  # pylint: disable=broad-except
            failures.append(repr(error))

    with Node(fsync="no", options=["--server-threads", "4"]) as node:
        with node.client() as client:
            client.must("SET", "k", "v")
        askers = [threading.Thread(target=ask, args=(node,)) for _ in range(clients)]
        for each in askers:
            each.start()
        for each in askers:
            each.join()
        same(failures, [])
        node.await_true("all are made", lambda: node.info()["rdb_bgsave_in_progress"] == "0")
        same(node.info()["rdb_last_bgsave_status"], "ok")


def ends_while_others_wait():
    """Whoever waits for a disk that takes nothing keeps neither it nor the node from going on."""
    with Node(fsync="everysec") as node, node.client() as waiting, node.client() as client:
        client.must("SET", "k", "v")
        limit_files(node, 100)
        node.await_true("it fails", lambda: is_refused(client))
        for request in (("MULTI",), ("GET", "k"), ("WAITAOF", 1, 0, 0)):
            client.must(*request)
        same(client.must("EXEC"), [b"v", [0, 0]])
        limit_files(node, resource.RLIM_INFINITY)
        node.await_true("it recovers", lambda: not is_refused(client))
        limit_files(node, 100)
        node.await_true("it fails again", lambda: is_refused(client))
        waiting.send("WAITAOF", 1, 0, 0)
        same(client.must("PING"), b"PONG")
        node.process.send_signal(signal.SIGTERM)
        same(node.process.wait(20), 0)


def is_refused(client):
    return isinstance(client.call("SET", "more", "x" * 500), resp_client.Error)
