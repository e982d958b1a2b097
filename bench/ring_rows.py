# SPDX-License-Identifier: Apache-2.0
"""The rows of bench/compare on a ring: three racks of one node each on this machine, beside one
node that is alone.

The ring is started by scripts/ring; load and processor time are those of all its nodes. Both stay
up for all rows, and take turns within a round. What a write costs per copy is the ring's processor
time for it divided by its three copies, over what the node that is alone spends on the same write.
"""

import os
import re
import statistics
import subprocess

from contestant import Contestant, measure, start_node

RACKS = 3
# Workload, level, pipeline, goals: requests per second, microseconds of processor time per request.
# The goals are shares of what three Dynomite with three redis-server did on a machine of two cores:
# 27k and 32k SET per second at 50 us with DC_ONE; with DC_QUORUM 23k SET, 19k GET at 49 to 54 us.
ROWS = [
    ("SET", "dc_one", 1, 40_500, 25.0),
    ("SET", "dc_one", 16, 320_000, 4.9),
    ("SET", "dc_quorum", 1, 34_500, 30.0),
    ("SET", "dc_quorum", 16, 184_000, 6.0),
    ("GET", "dc_quorum", 1, 28_500, 30.0),
    ("GET", "dc_quorum", 16, 152_000, 6.0),
]
COPY_GOAL = 1.5  # Pipelined.


def start_ring(arguments, root, racks=RACKS):
    script = os.path.join(root, "scripts", "ring")
    words = [script, "--racks", str(racks), "--server", arguments.server]
    for base in range(23000, 33000, 100):
        ports = ["--base-port", str(base), "--"] + arguments.dyno_flags.split()
        process = subprocess.Popen(words + ports, stdout=subprocess.PIPE, text=True)
        text = ""
        for line in process.stdout:
            text += line
            if " nodes serve" in line:
                pids = [int(pid) for pid in re.findall(r"\(pid (\d+)\)", text)]
                return Contestant(process, pids, list(range(base, base + racks)))
        process.wait()
    raise OSError("no ring: " + text)


class RingRows:
    def __init__(self, comparison, root):
        self.comparison, self.root = comparison, root
        self.arguments = comparison.arguments

    def run(self):
        rows = [row for row in ROWS if self.comparison.wanted(self.name(row))]
        if not rows:
            return
        running = []
        try:
            running.append(start_node(self.arguments))
            running.append(start_ring(self.arguments, self.root))
            print(f"{'':<34} {'':<15} {'alone':>11} {'ring':>11}", flush=True)
            for row in rows:
                self.row(row, *running)
        except OSError as error:
            self.comparison.fail("ring", str(error))
        finally:
            for each in running:
                each.stop()

    @staticmethod
    def name(row):
        test, level, pipeline, _, _ = row
        return f"ring {test} {level.upper()} P={pipeline}"

    def row(self, row, alone, ring):
        test, level, pipeline, rate_goal, cpu_goal = row
        flags = ["-P", str(pipeline), "--ratio", "1:0" if test == "SET" else "0:1"]
        levels = ["--read-level", level, "--write-level", level]
        rounds = []
        for i in range(self.arguments.rounds):
            order = [(alone, flags), (ring, flags + levels)]
            measured = {}
            for contestant, each in order if i % 2 == 0 else reversed(order):
                load = ["--load"] if i == 0 else []
                keys = ["-d", "32", "-r", str(self.arguments.keys)]
                measured[contestant] = measure(self.arguments, contestant, keys + each + load)
            if None in measured.values():
                return self.comparison.fail(self.name(row), "the load tool failed")
            rounds.append((measured[alone], measured[ring]))
        self.report(row, rounds, "requests/s", lambda figures: figures[0], rate_goal, True)
        self.report(row, rounds, "CPU/request", lambda figures: figures[1], cpu_goal, False)
        if test == "SET":
            copies = [(one, (ours[0], ours[1] / RACKS)) for one, ours in rounds]
            self.report(row, copies, "CPU/copy", lambda figures: figures[1], None, False)
            ratio = statistics.median(ours[1] / one[1] for one, ours in copies)
            if pipeline > 1:
                self.comparison.judge(f"<= {COPY_GOAL}x of the node alone", ratio <= COPY_GOAL)

    def report(self, row, rounds, what, of, goal, at_least):
        alone = statistics.median(of(one) for one, _ in rounds)
        ring = statistics.median(of(ours) for _, ours in rounds)
        ratio = statistics.median(of(ours) / of(one) for one, ours in rounds)
        rates = what == "requests/s"
        shown = [f"{each:,.0f}" if rates else f"{each:.3f} us" for each in (alone, ring)]
        self.comparison.report(self.name(row), what, *shown, ratio, None, at_least)
        if goal is not None:
            sign, unit = (">=", "/s") if rates else ("<=", " us")
            met = ring >= goal if at_least else ring <= goal
            self.comparison.judge(f"{sign} {goal:,g}{unit}", met)
