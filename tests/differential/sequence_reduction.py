# SPDX-License-Identifier: Apache-2.0
"""Shrinks a sequence of commands that makes two servers differ, and prints it.

First only the commands that touch the keys of the differing command (and the keys those commands
touch, and so on) are kept, then parts are left out as long as the same kind of difference stays.
"""

import time

KEYLESS = (b"", b"*")


def text(args):
    """A command as redis-cli would take it."""
    words = []
    for arg in args:
        plain = arg.decode("latin-1")
        if plain and all(33 <= ord(c) < 127 and c not in "\"'\\" for c in plain):
            words.append(plain if len(plain) < 200 else plain[:60] + "...(%d bytes)" % len(plain))
            continue
        out = ""
        for byte in arg[:200]:
            char = chr(byte)
            if char in '"\\':
                out += "\\" + char
            elif 32 <= byte < 127:
                out += char
            else:
                out += "\\x%02x" % byte
        words.append('"%s"%s' % (out, "...(%d bytes)" % len(arg) if len(arg) > 200 else ""))
    if len(words) > 40:
        words = words[:20] + ["...(%d arguments)" % len(words)]
    return " ".join(words)


def touching(units, last, keys):
    """The units that can have an influence on the keys of the last unit."""
    known = set(keys)
    wanted = {arg for command in last for arg in command.args()[1:]} & known
    grown = True
    while grown:
        grown = False
        for unit in units:
            args = {arg for command in unit for arg in command.args()[1:]} & known
            if args & wanted and not args <= wanted:
                wanted |= args
                grown = True
    kept = []
    for unit in units:
        if any(set(command.args()[1:]) & wanted for command in unit):
            kept.append(unit)
    return kept


class Reduction:
    """Repeats parts of a sequence on a flushed pair of servers."""

    def __init__(self, pair, keys, seconds=20):
        self.pair = pair
        self.keys = keys
        self.deadline = time.monotonic() + seconds

    def differs(self, units, last):
        """The difference that these units and then the last one make, if any."""
        self.pair.flush()
        self.pair.error_texts = []
        commands = [command for unit in units for command in unit]
        for start in range(0, len(commands), 200):
            if self.pair.run(commands[start : start + 200]):
                return None
        if last is None:
            return self.pair.compare_state(self.keys)
        found = self.pair.run(last)
        self.pair.error_texts = []
        return found

    def shrink(self, units, last):
        """The fewest units found that still end in a difference, or None if it does not repeat."""
        if last is not None:
            fewer = touching(units, last, self.keys)
            if self.differs(fewer, last):
                units = fewer
        if not self.differs(units, last):
            return None
        size = max(1, len(units) // 2)
        while time.monotonic() < self.deadline:
            start, shrunk = 0, False
            while start < len(units) and time.monotonic() < self.deadline:
                candidate = units[:start] + units[start + size :]
                if self.differs(candidate, last):
                    units, shrunk = candidate, True
                else:
                    start += size
            if size == 1 and not shrunk:
                break
            size = max(1, size // 2)
        return units
