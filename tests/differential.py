#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Differential test: the same random commands to the server under test and to redis-server.

Replies are compared byte for byte (unordered ones as sets, random ones by membership) and after
each sequence the whole state is read back and compared.  A difference is printed with its seed and
the shortest sequence of commands found that shows it.  The named differences between Redis 7.0 and
7.2 are in differential/reply_comparison.py; the commands in differential/command_families.py.
"""

import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "differential")]

# pylint: disable=wrong-import-position
import command_families
import reply_comparison
import sequence_reduction
import tally
from command_grammar import of
from command_stream import CommandStream
from planted_faults import PLANTED
from sequence_reduction import text
from server_pair import Difference, ServerPair
from server_process import ServerProcess

SEQUENCE = 2500
CHUNK = 250
SHOWN = 60
ALL = list(command_families.FAMILIES) + ["transaction"]


class Run:
    """One stream of sequences on one pair of connections."""

    def __init__(self, pair, seed, families):
        self.pair = pair
        self.seed = seed
        self.stream = CommandStream(seed, families)
        self.sequences = 0

    def sequence(self, limit):
        """One sequence on empty servers: (units run, difference or None, differing unit)."""
        self.pair.flush()
        self.sequences += 1
        units, count = [], 0
        while count < limit:
            chunk, size = [], 0
            while size < CHUNK:
                unit = self.stream.unit()
                chunk.append(unit)
                size += len(unit)
            count += size
            difference = self.pair.run([command for unit in chunk for command in unit])
            if difference:
                return self.locate(units, chunk, difference)
            units += chunk
        difference = self.pair.compare_state(self.stream.keys)
        if difference:
            return units, difference, None
        if self.sequences % 10 == 0:
            return units, self.expire_soon(), None
        return units, None, None

    def locate(self, units, chunk, difference):
        """Split the chunk before the unit that holds the differing command."""
        at = 0
        for index, unit in enumerate(chunk):
            at += len(unit)
            if at > difference.index:
                return units + chunk[:index], difference, unit
        return units, difference, chunk[-1]

    def expire_soon(self):
        """Short expiries of every kind: there before, gone after; and SCAN finds all keys."""
        keys = ["soon%d" % i for i in range(6)]
        put = [of("SET", keys[0], "v", "PX", "30"), of("SET", keys[1], "v")]
        put += [of("PEXPIRE", keys[1], "30"), of("HSET", keys[2], "f", "v")]
        put += [of("PEXPIRE", keys[2], "30"), of("RPUSH", keys[3], "a")]
        put += [of("PEXPIRE", keys[3], "30"), of("RENAME", keys[3], keys[4])]
        put += [of("SADD", keys[5], "a"), of("PEXPIRE", keys[5], "30"), of("PERSIST", keys[5])]
        difference = self.pair.run(put)
        time.sleep(0.04)
        after = [of("EXISTS", *keys), of("GET", keys[0]), of("INCR", keys[1]), of("HLEN", keys[2])]
        after += [of("TYPE", keys[4]), of("LPUSHX", keys[4], "b"), of("SCARD", keys[5])]
        after += [of("KEYS", "soon*", mode="unordered"), of("TTL", keys[0]), of("DBSIZE")]
        difference = difference or self.pair.run(after)
        wrong = None if difference else self.pair.compare_scans()
        if wrong:
            return Difference(0, of("SCAN", "0"), wrong.encode(), b"every key once or more")
        return difference


def report(run, units, difference, unit):
    """Print one difference with the shortest sequence that shows it."""
    name = difference.command.name.decode("latin-1")
    print("\nDIFFERENCE at %s (seed %d, RESP%d)" % (name, run.seed, run.pair.resp))
    shrunk = []
    if units or unit:
        shrunk = sequence_reduction.Reduction(run.pair, run.stream.keys).shrink(units, unit)
    if shrunk is None:
        print("  (does not repeat after a flush; the last 20 of %d commands:)" % len(units))
        shrunk = units[-20:]
    commands = [command for part in shrunk for command in part]
    if len(commands) > SHOWN:
        print("  (the last %d of %d commands)" % (SHOWN, len(commands)))
    for command in commands[-SHOWN:]:
        print("  > " + text(command.args()))
    for command in unit or []:
        print("  > " + text(command.args()))
    print("  differing: " + text(difference.command.args()))
    print("  reference: %r" % difference.reference[:1500])
    print("  got:       %r" % difference.mine[:1500], flush=True)


class Findings:
    """The differences of a run: every kind is shown once."""

    def __init__(self, most):
        self.most = most
        self.kinds = set()
        self.count = 0

    def is_new(self, difference):
        self.count += 1
        kind = (difference.command.name, bytes(difference.mine[:16]))
        if kind in self.kinds:
            return False
        self.kinds.add(kind)
        return True

    def enough(self):
        return len(self.kinds) >= self.most or self.count >= 20 * self.most


def show_error_texts(run, findings):
    """Report the replies where both servers refuse, with different texts."""
    for difference in run.pair.error_texts:
        if findings.is_new(difference):
            report(run, [], difference, None)
    run.pair.error_texts = []


def compare(server, reference, options):
    """All sequences on one pair of running servers: (commands run, differences)."""
    versions = {"2": [2], "3": [3], "both": [2, 3]}[options.resp]
    total, findings = 0, Findings(options.max_differences)
    started = time.monotonic()
    for version in versions:
        pair = ServerPair(server, reference, version)
        run = Run(pair, options.seed + version, options.families)
        quota = options.commands // len(versions)
        while pair.commands_run < quota and not findings.enough():
            if options.seconds and time.monotonic() - started > options.seconds:
                break
            before = pair.commands_run
            units, difference, unit = run.sequence(min(SEQUENCE, quota - before))
            commands_run = pair.commands_run
            total += commands_run - before
            show_error_texts(run, findings)
            if not difference:
                continue
            if findings.is_new(difference):
                report(run, units, difference, unit)
            if not (server.alive() and reference.alive()):
                print("a server ended: %s" % server.log()[-3000:])
                return total, findings.count
            pair.close()
            pair = run.pair = ServerPair(server, reference, version)
            pair.commands_run = commands_run
        pair.close()
    return total, findings.count


def self_check(options, result):
    """The reference against itself passes; against itself with a planted fault it does not."""
    with ServerProcess(options.reference) as one, ServerProcess(options.reference) as two:
        for version in (2, 3):
            pair = ServerPair(one, two, version)
            run = Run(pair, options.seed + version, options.families)
            clean = [run.sequence(SEQUENCE)[1] for _ in range(20)]
            if any(clean) or pair.error_texts:
                result.fail("clean run RESP%d" % version, repr(clean))
            else:
                result.ok()
            for name, plant in PLANTED.items():
                fault = plant()
                pair.tamper = fault.tamper
                caught = any(run.sequence(SEQUENCE)[1] or pair.error_texts for _ in range(40))
                pair.tamper, pair.error_texts = None, []
                if caught and fault.done:
                    result.ok()
                else:
                    why = "not noticed" if fault.done else "never had a chance"
                    result.fail("planted %s RESP%d" % (name, version), why)
            pair.close()


def main():
    parser = tally.arguments(__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", type=int, help="how many (default 200000; --long 2000000)")
    parser.add_argument("--families", default=",".join(ALL), help="comma separated")
    parser.add_argument("--resp", choices=("2", "3", "both"), default="both")
    parser.add_argument(
        "--max-differences", type=int, default=1, help="stop after so many kinds (default 1)"
    )
    parser.add_argument("--seconds", type=float, help="stop after this time")
    parser.add_argument("--self-check", action="store_true", help="test this test")
    options = parser.parse_args()
    options.families = options.families.split(",")
    if options.commands is None:
        options.commands = 2000000 if options.long else 200000
    os.environ["LC_ALL"] = "C"
    result = tally.Tally("differential")
    if options.self_check:
        self_check(options, result)
        result.finish()
    with ServerProcess(options.server) as server, ServerProcess(options.reference) as reference:
        total, differences = compare(server, reference, options)
    for name, count in reply_comparison.seen.items():
        print("deliberate difference %s: %d times" % (name, count))
    result.passed = total - differences
    result.failed = differences
    result.finish()


if __name__ == "__main__":
    main()
