#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Data on disk: what survives, what a crash and a bad disk may do, and what they may not.

The cases are in durable_*.py by topic; --only NAME runs those whose name has it in it, --long
kills a node five hundred times.
"""

import os
import shlex
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

# pylint: disable=wrong-import-position
import durable_cold
import durable_crash
import durable_damage
import durable_data
import durable_end
import durable_node
import durable_restart
import durable_ring
import durable_snapshot
import tally


def cases(long):
    kills = {"always": 250, "no": 200, "everysec": 50} if long else {"always": 3, "no": 3}
    yield "data at always", durable_data.all_types, "always", 100000 if long else 3000
    if long:
        yield "data at everysec", durable_data.all_types, "everysec", 100000
        yield "data at no", durable_data.all_types, "no", 100000
    yield "changes after a restart", durable_data.changes_after_restart, "no"
    yield "flushes", durable_data.flushed_data
    yield "expired counters", durable_data.expired_counters
    yield "an idle log", durable_data.idle_log
    yield "space", durable_data.space_comes_back
    for fsync, count in kills.items():
        yield "kills at " + fsync, durable_crash.crash_cycles, fsync, count, 11
    if long:
        # Files and compactions all the time.
        small = ("--storage-buffer", "1mb")
        yield "kills with small buffers", durable_crash.crash_cycles, "no", 100, 12, small
    yield "values leave and return", durable_cold.values_leave_and_return
    yield "kills beyond memory", durable_cold.kills, "no", 60 if long else 4
    yield "full disk beyond memory", durable_cold.full_disk
    yield "ends while reading", durable_cold.ends_while_reading
    yield "starts that fail late", durable_end.start_fails
    yield "snapshots at once", durable_end.many_save_at_once
    yield "ends while others wait", durable_end.ends_while_others_wait
    yield "eviction", durable_cold.eviction_takes_keys
    yield "loss at everysec", durable_crash.everysec_loses_little
    yield "answers while reading", durable_restart.at_once_and_right
    yield "changes while reading", durable_restart.changes_while_reading
    yield "torn tail", durable_damage.torn_tail, 1 if long else 29
    yield "flipped bits in the log", durable_damage.flipped_log, 40 if long else 3
    yield "damaged files", durable_damage.damaged_files
    yield "missing log", durable_damage.missing_log
    yield "foreign directories", durable_damage.foreign_directories
    yield "deleted directory", durable_damage.deleted_directory
    yield "snapshots", durable_snapshot.snapshots
    yield "kills at snapshots", durable_snapshot.kills_during_snapshots, 30 if long else 2
    yield "full disk at always", durable_snapshot.full_disk, "always"
    yield "full disk at everysec", durable_snapshot.full_disk, "everysec"
    yield "figures", durable_snapshot.figures
    yield "a node of a ring is killed", durable_ring.one_is_killed, "always"
    yield "all of a ring are killed", durable_ring.all_are_killed, "always", 10 if long else 1
    yield "hints are lost", durable_ring.hints_are_lost
    yield "a node of a ring starts on an old copy", durable_ring.one_is_old
    yield "a ring around one that was alone", durable_ring.one_was_alone


def main():
    parser = tally.arguments(__doc__)
    parser.add_argument("--only", default="", help="run the cases whose name has this in it")
    given = parser.parse_args()
    words = shlex.split(given.server)
    durable_node.SERVER += [os.path.abspath(words[0])] + words[1:]
    count = tally.Tally("durable")
    for name, function, *args in cases(given.long):
        if given.only in name:
            count.run(name, function, *args)
    count.finish()


if __name__ == "__main__":
    main()
