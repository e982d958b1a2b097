# SPDX-License-Identifier: Apache-2.0
"""Endless random commands in units that belong together.

A unit is a list of commands that must reach the server on one connection without others between:
a transaction, or a random reply with the full reading that it is checked against.
"""

import argument_pools
import command_families
import command_grammar
from command_grammar import Command, of

FULL_READ = {
    "HGETALL": lambda key: Command([command_grammar.bulk(b"HGETALL"), key], "pairs"),
    "SMEMBERS": lambda key: Command([command_grammar.bulk(b"SMEMBERS"), key], "unordered"),
    "ZRANGE": lambda key: Command(
        [command_grammar.bulk(word) for word in (b"ZRANGE",)]
        + [key]
        + [command_grammar.bulk(word) for word in (b"0", b"-1", b"WITHSCORES")],
        "exact",
    ),
    "KEYS": lambda key: of("KEYS", "*", mode="unordered"),
}

# Redis' SORT refuses sound numbers when an earlier command has parsed one beyond all doubles and
# left its ERANGE behind; this resets it.  (A denormal score in the same listpack leaves one, too:
# no pool of scores has any.)
CLEAR_ERRNO = of("ZADD", "never", "XX", "0", "x")

STRAY = (
    [of("EXEC")],
    [of("DISCARD")],
    [of("MULTI"), of("MULTI"), of("DISCARD")],
    [of("MULTI"), of("WATCH", "string0"), of("EXEC")],
    [of("MULTI"), of("DISCARD"), of("EXEC")],
    [of("MULTI"), of("EXEC")],
    [of("MULTI", "x")],
    [of("WATCH")],
    [of("UNWATCH")],
    [of("MULTI"), of("GET"), of("SET", "string1", "never"), of("EXEC")],
    [of("MULTI"), of("NOSUCH", "a"), of("DISCARD")],
)


class CommandStream:
    """All commands of one run, from its seed."""

    def __init__(self, seed, families):
        self.transactions = "transaction" in families
        families = [name for name in families if name != "transaction"]
        self.grammar = command_grammar.Grammar(seed, families)
        for name in families:
            self.grammar.add_family(name, command_families.FAMILIES[name])
        self.rand = self.grammar.rand
        self.keys = [command_grammar.raw(key) for key in self.grammar.all_keys]

    def unit(self):
        chance = self.rand()
        if self.transactions and chance < 0.01:
            return self.transaction()
        if chance > 0.995:
            command = self.grammar.one()
            words = [command_grammar.bulk(b"COMMAND"), command_grammar.bulk(b"GETKEYS")]
            return [Command(words + command.parts, "exact")]
        command = self.grammar.one()
        if command.name in (b"SORT", b"SORT_RO"):
            return [CLEAR_ERRNO, command]
        mode = command.mode
        if mode == "exact" or ":" not in mode and mode != "spop":
            return [command]
        key = command.parts[1] if len(command.parts) > 1 else b""
        if mode == "spop":
            command.mode = "popped"
            tail = [Command([command_grammar.bulk(b"SCARD"), key], "exact")]
            tail.append(Command([command_grammar.bulk(b"DEL"), key], "exact"))
            return [FULL_READ["SMEMBERS"](key), command] + tail
        if mode.startswith("lex:"):
            return self.same_score(command, int(mode[4:]))
        command.mode = "subset"
        return [command, FULL_READ[mode.partition(":")[2]](key)]

    def same_score(self, command, where):
        """The command after its source key became a sorted set of one score."""
        command.mode = "exact"
        key = command.parts[where] if len(command.parts) > where else b"$1\r\nx\r\n"
        choices = argument_pools.SAME_SCORE
        members = choices[int(self.rand() * len(choices))]
        fill = of("ZADD", "", *[word for member in members for word in ("5", member)])
        fill.parts[1] = key
        return [Command([command_grammar.bulk(b"DEL"), key], "exact"), fill, command]

    def transaction(self):
        rand = self.rand
        if rand() < 0.3:
            return list(STRAY[int(rand() * len(STRAY))])
        unit = []
        if rand() < 0.4:
            watched = self.grammar.all_keys[int(rand() * len(self.grammar.all_keys))]
            unit.append(Command([command_grammar.bulk(b"WATCH"), watched], "exact"))
            if rand() < 0.5:
                touch = b"DEL" if rand() < 0.5 else b"PERSIST"
                unit.append(Command([command_grammar.bulk(touch), watched], "exact"))
        queued = []
        for _ in range(1 + int(rand() * 6)):
            command = self.grammar.one()
            if ":" in command.mode or command.mode == "spop":
                continue
            if command.name in (b"ZRANK", b"ZREVRANK") and len(command.parts) == 4:
                continue  # 7.0 refuses to queue it, 7.2 takes the third argument for an option.
            if command.name in (b"SORT", b"SORT_RO"):
                queued.append(CLEAR_ERRNO)
            queued.append(command)
        unit.append(of("MULTI"))
        unit += [Command(command.parts, "exact") for command in queued]
        if rand() < 0.05:
            return unit + [of("DISCARD")]
        execute = of("EXEC")
        execute.mode = queued
        return unit + [execute]
