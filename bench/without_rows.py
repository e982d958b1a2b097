# SPDX-License-Identifier: Apache-2.0
"""The rows of bench/compare --without: a node that is alone, of this build and of one from whose
source something was taken out, such as what replicas need. That is to cost a lone node nothing.

Throughput and processor time are medians over rounds of ratios, as everywhere. How much they waver
where others use the machine, too, a build beside itself tells.
"""

import statistics

COMMANDS = [
    ("SET", ["--load", "--ratio", "1:0"]),
    ("GET", ["--load", "--ratio", "0:1"]),
    ("HSET, 10 fields", ["-t", "hset_many"]),
    ("HSET, one hash", ["-t", "hset"]),
    ("ZADD, one zset", ["-t", "zadd"]),
]
TIME_SHARE, MEMORY_SHARE = 0.01, 0.001


class WithoutRows:
    """`memory_rows` are those of bench/compare."""

    def __init__(self, comparison, memory_rows):
        self.comparison, self.memory_rows = comparison, memory_rows
        self.arguments = comparison.arguments

    def run(self):
        for name, flags in COMMANDS:
            self.time_row("without: %s P=32" % name, flags)
        for name, group, command, _ in self.memory_rows:
            self.memory_row("without: " + name, group, command)

    def time_row(self, name, flags):
        if not self.comparison.wanted(name):
            return
        keys = ["-r", str(self.arguments.keys), "-d", "32", "-c", "50", "-P", "32"]
        keys += ["--duration", self.arguments.duration, "--warmup", "0.3s"]
        result = self.comparison.compare(name, keys + flags)
        if result is None:
            return
        without, normal = both(result)
        for label, what, sign in (
            ("requests/s", "throughput", 1),
            ("CPU/request", "server_cpu_us", -1),
        ):
            pairs = [(one[what], two[what]) for one, two in zip(without, normal)]
            ratio = statistics.median(two / one for one, two in pairs)
            shown = [f"{statistics.median(each):.4g}" for each in zip(*pairs)]
            goal = 1 - sign * TIME_SHARE
            self.comparison.report(name, label, *shown, ratio, goal, sign > 0)

    def memory_row(self, name, group, command):
        if not self.comparison.wanted(name):
            return
        elements = str(self.arguments.keys)
        flags = ["--memory", elements, "-r", elements, "--group", str(group), "-d", "32"]
        flags += ["--load-command", command, "--command", "PING"]
        result = self.comparison.compare(name, flags, rounds=1)
        if result is None:
            return
        figures = [rounds[0]["bytes_per_element"] for rounds in both(result)]
        shown = [f"{figure:.2f}" for figure in figures]
        ratio = figures[1] / figures[0]
        self.comparison.report(name, "bytes/element", *shown, ratio, 1 + MEMORY_SHARE, False)


def both(result):
    """The rounds of the other build, and those of this one."""
    rounds = {target["name"]: target["rounds"] for target in result["targets"]}
    return rounds["without"], rounds["dyno"]
