#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two data centers of three racks under dyno-bench's verify mode, while nodes are killed and
stopped and the data centers are far apart, cut off from each other, or heard one way only.

The load tool writes and reads every type through all nodes, and reads back at the end what it was
told to be there: nothing may be lost, come back, differ between nodes or be counted wrongly.
"""

import json
import subprocess
import sys
import time
import unittest

import local_ring
from held_link import HeldLink
from local_ring import Ring

SECONDS = 12
ERRORS = ("LOADING", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "UNKNOWN", "ERR Dynomite: Failed")
KILLED = 1  # Connections to this node may break.
BENCH = []


def take_bench(arguments):
    """Takes --bench PROGRAM out of the command line."""
    at = arguments.index("--bench")
    BENCH.append(arguments[at + 1])
    del arguments[at : at + 2]


def start_load(ring, seconds, more=()):
    words = [BENCH[0], "--verify", "-q", "--no-info", "-c", "12", "--rate", "1500"]
    words += ["--duration", "%ds" % seconds, "--verify-settle", "5s", "--json", "-", *more]
    # Every node may be asked, and they are not the same data center's.
    words += ["--allow-stale", "--read-level", "dc_quorum", "--write-level", "dc_quorum"]
    for node in ring.nodes:
        words += ["-e", "127.0.0.1:%d,dc=%s,rack=%s" % (node.port, node.dc, node.rack)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class VerifyTest(unittest.TestCase):
    def test_faults_under_load(self):
        def route(dialer, node):
            return HeldLink(node.peer) if dialer.dc != node.dc else None

        with Ring(racks=3, dcs=2, options=["--server-threads=1"], route=route) as ring:
            for link in ring.links.values():
                link.delay_seconds = 0.02
            load = start_load(ring, SECONDS)
            try:
                began = time.monotonic()
                self.make_faults(ring)
                self.assertLess(time.monotonic() - began, SECONDS, "faults outlasted the load")
                text = load.communicate(timeout=60)[0].decode()
            finally:
                load.kill()
            self.assertEqual(load.returncode, 0, text)
            run = json.loads(text[text.index("{") : text.rindex("}") + 1])["runs"][-1]
            killed = ":%d" % ring.nodes[KILLED].port
            for error in run["errors"]:
                if killed not in error["first"]:
                    self.assertTrue(error["first"].lstrip("-").startswith(ERRORS), error)
            self.assertGreater(run["requests"], SECONDS * 500)
            ring.await_settled()

    def make_faults(self, ring):
        near, far = ring.nodes[:3], ring.nodes[3:]
        time.sleep(0.5)
        ring.kill(ring.nodes[KILLED])
        ring.await_nodes_up(near[0], 5)
        ring.start(ring.nodes[KILLED])
        ring.await_normal(ring.nodes)

        ring.pause(far[2])
        ring.await_nodes_up(far[0], 5)
        ring.resume(far[2])
        ring.await_normal(ring.nodes)

        for one_way in (False, True):
            for (dialer, _), link in ring.links.items():
                mine = dialer in near
                link.hold(forth=mine or not one_way, back=not mine or not one_way)
            ring.await_nodes_up(near[0], 3)
            ring.await_nodes_up(far[0], 3)
            for link in ring.links.values():
                link.release()
            ring.await_normal(ring.nodes)


if __name__ == "__main__":
    take_bench(sys.argv)
    local_ring.main()
