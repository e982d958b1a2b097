# SPDX-License-Identifier: Apache-2.0
"""Decides whether two replies to the same command mean the same.

The modes a command can have:
    exact      byte for byte
    unordered  an array or set in any order
    geo        unordered; with COUNT, members at the same distance may stand for each other
    pairs      a flat array of pairs, or a map, in any order of the pairs
    scan       [cursor, elements in any order]; scanpairs likewise with pairs
    ttl, pttl  a number of seconds or milliseconds, within TOLERANCE_MS
    subset     random elements: the same count, each one in the reply that follows on that server
    popped     likewise, but in the reply before
    shape      the same type and length only
    sort       exact; in any order where BY or a NUL byte (strcoll stops there) leaves it open
    encoding   OBJECT ENCODING, with the names that 7.2 changed
    sorted     likewise, of a key that SORT has read
    a list     EXEC: one mode for each queued command

DELIBERATE is the list of differences between Redis 7.0.15 (the reference) and 7.2 (what we are).
"""

import math

from resp_client import Double, Error, Map, Push, Set

TOLERANCE_MS = 5000

DELIBERATE = {
    "double-text": "7.2 prints doubles in their shortest form, 7.0 with 17 digits",
    "negative-zero": "a score keeps no sign of zero; Redis keeps it in large sorted sets only",
    "set-listpack": "7.2 keeps small sets of strings in a listpack, 7.0 in a hashtable",
    "list-listpack": "7.2 keeps lists up to one node in a listpack, 7.0 always in a quicklist",
    "sort-skiplist": "SORT and SORT_RO turn a sorted set into a skiplist for good in Redis; here "
    "reading changes nothing",
    "getkeys-pfmerge": "7.0 finds no keys in a PFMERGE without sources, which is a valid command",
    "timeout-range": "7.2 says that an infinite timeout is out of range, 7.0 that it is negative",
    "zrank-withscore": "7.2 has ZRANK ... WITHSCORE, so a third argument is a syntax error there",
    "lpos-rank": "7.2 refuses the smallest integer as the RANK of LPOS, 7.0 takes it",
    "bit-arguments": "7.2 checks the arguments of BITCOUNT and BITPOS before the key",
}

seen = {name: 0 for name in DELIBERATE}


def deliberate(name):
    seen[name] += 1
    return True


def shortest_double(value):
    """A double as Redis 7.2 prints it."""
    if math.isnan(value):
        return b"nan"
    if math.isinf(value):
        return b"inf" if value > 0 else b"-inf"
    if value == 0:
        return b"-0" if math.copysign(1, value) < 0 else b"0"
    if abs(value) <= 2**62 and value == int(value):
        return b"%d" % int(value)
    mantissa, _, exponent = ("%r" % value).partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, part = mantissa.lstrip("-").partition(".")
    if part == "0":
        part = ""
    digits = whole + part
    power = int(exponent or 0) - len(part)
    stripped = digits.lstrip("0")
    short = stripped.rstrip("0")
    power += len(stripped) - len(short)
    count = len(short)
    top = abs(power + count - 1)
    if power >= 0 and top < count + 7:
        text = short + "0" * power
    elif power < 0 and (power > -7 or top < 4):
        offset = count - abs(power)
        if offset <= 0:
            text = "0." + "0" * -offset + short
        else:
            text = short[:offset] + "." + short[offset:]
    else:
        text = short[0] + ("." + short[1:] if count > 1 else "")
        text += "e%s%d" % ("-" if power + count - 1 < 0 else "+", top)
    return (sign + text).encode()


def same_double(mine, reference):
    """Whether two texts are the same double and `mine` is how 7.2 prints it."""
    try:
        value = float(reference)
        other = float(mine)
    except ValueError:
        return False
    if value != other and not (math.isnan(value) and math.isnan(other)):
        return False
    if value == 0 and mine in (b"0", b"-0"):
        return deliberate("negative-zero")
    return bytes(mine) == shortest_double(value) and deliberate("double-text")


def exact(mine, reference, name):
    if type(mine) is not type(reference):
        return False
    if isinstance(reference, (list, tuple)):
        return len(mine) == len(reference) and all(
            exact(a, b, name) for a, b in zip(mine, reference)
        )
    if mine == reference:
        return True
    prints_doubles = name[:1] == b"Z" or name[:2] == b"BZ" or isinstance(reference, Double)
    if prints_doubles and isinstance(reference, bytes) and not isinstance(reference, Error):
        return same_double(mine, reference)
    return False


def sortable(value):
    return repr(value)


def unordered(mine, reference, name):
    if type(mine) is not type(reference) or not isinstance(reference, (list, Set, Push)):
        return exact(mine, reference, name)
    if len(mine) != len(reference):
        return False
    return exact(sorted(mine, key=sortable), sorted(reference, key=sortable), name)


def as_pairs(value):
    if isinstance(value, Map):
        return list(value)
    if isinstance(value, list) and value and isinstance(value[0], list):
        return [tuple(item) for item in value]
    return list(zip(value[::2], value[1::2]))


def pairs(mine, reference, name):
    if type(mine) is not type(reference) or not isinstance(reference, list):
        return exact(mine, reference, name)
    if len(mine) != len(reference):
        return False
    left = sorted(as_pairs(mine), key=sortable)
    return exact(left, sorted(as_pairs(reference), key=sortable), name)


def scan(mine, reference, name, inner):
    if not (isinstance(mine, list) and isinstance(reference, list)):
        return exact(mine, reference, name)
    if len(mine) != 2 or mine[0] != reference[0]:
        return False
    return inner(mine[1], reference[1], name)


def close(mine, reference, tolerance):
    if not (isinstance(mine, int) and isinstance(reference, int)):
        return exact(mine, reference, b"")
    if mine < 0 or reference < 0:
        return mine == reference
    return abs(mine - reference) <= tolerance


def flat(value):
    """All leaves of a nested reply."""
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in flat(item)]
    return [value]


def double_or_self(leaf):
    """One form for both ways to print a double."""
    try:
        return float(leaf)
    except (ValueError, TypeError):
        return leaf


def subset(mine, reference, following):
    """Random elements: same shape, and mine are elements of what my server holds."""
    if isinstance(mine, Error) or isinstance(reference, Error):
        return exact(mine, reference, b"")
    if type(mine) is not type(reference) or len(flat(mine)) != len(flat(reference)):
        return False
    held = {double_or_self(leaf) for leaf in flat(following)}
    return all(leaf is None or double_or_self(leaf) in held for leaf in flat(mine))


def shape(mine, reference):
    if isinstance(mine, Error) or isinstance(reference, Error):
        return exact(mine, reference, b"")
    return type(mine) is type(reference) and len(flat(mine)) == len(flat(reference))


def encoding(mine, reference):
    if mine == b"listpack" and reference == b"hashtable":
        return deliberate("set-listpack")
    if mine == b"listpack" and reference == b"quicklist":
        return deliberate("list-listpack")
    return exact(mine, reference, b"")


def sorted_encoding(mine, reference):
    if mine == b"listpack" and reference == b"skiplist":
        return deliberate("sort-skiplist")
    return encoding(mine, reference)


def changed_in_7_2(command, mine, reference):
    """The named differences that depend on the whole command."""
    args = command.args()
    if args[0].upper() in (b"BITCOUNT", b"BITPOS") and isinstance(mine, Error):
        checked_first = isinstance(reference, Error) and reference.startswith(b"WRONGTYPE")
        if len(args) > 2 and (checked_first or reference in (0, -1)):
            return deliberate("bit-arguments")
    if mine == Error(b"ERR timeout is out of range"):
        return reference == Error(b"ERR timeout is negative") and deliberate("timeout-range")
    if args[0].upper() in (b"ZRANK", b"ZREVRANK") and mine == Error(b"ERR syntax error"):
        return len(args) == 4 and deliberate("zrank-withscore")
    if args[0].upper() == b"LPOS" and isinstance(mine, Error) and b"out of range" in mine:
        if b"-9223372036854775808" in args:
            return deliberate("lpos-rank")
    if [arg.upper() for arg in args[:3]] == [b"COMMAND", b"GETKEYS", b"PFMERGE"]:
        return len(args) == 4 and deliberate("getkeys-pfmerge")
    return False


def equal(command, mine, reference, neighbour=None, mode=None):
    """Whether `mine` is right, given the reference's reply."""
    mode = mode or command.mode
    name = command.name
    if isinstance(mode, list):
        return executed(mode, mine, reference)
    if mode == "exact":
        same = exact(mine, reference, name)
    elif mode == "sort":
        same = exact(mine, reference, name) or (
            undecided(command, reference) and unordered(mine, reference, name)
        )
    elif mode == "unordered":
        same = unordered(mine, reference, name)
    elif mode == "geo":
        same = unordered(mine, reference, name) or cut_off(command, mine, reference)
    elif mode == "pairs":
        same = pairs(mine, reference, name)
    elif mode == "scan":
        same = scan(mine, reference, name, unordered)
    elif mode == "scanpairs":
        same = scan(mine, reference, name, pairs)
    elif mode == "ttl":
        same = close(mine, reference, TOLERANCE_MS // 1000)
    elif mode == "pttl":
        same = close(mine, reference, TOLERANCE_MS)
    elif mode in ("subset", "popped"):
        same = subset(mine, reference, neighbour)
    elif mode == "shape":
        same = shape(mine, reference)
    elif mode == "encoding":
        same = encoding(mine, reference)
    elif mode == "sorted":
        same = sorted_encoding(mine, reference)
    else:
        raise ValueError(mode)
    return same or changed_in_7_2(command, mine, reference)


def cut_off(command, mine, reference):
    """Whether both hold as many places, at the same distances as far as these are shown."""
    if b"COUNT" not in command.args() or not shape(mine, reference):
        return False
    if b"WITHDIST" not in command.args() or not isinstance(reference, list):
        return True
    return sorted(item[1] for item in mine) == sorted(item[1] for item in reference)


def undecided(command, reference):
    """Whether the order of a SORT reply is not determined by its arguments."""
    words = {arg.upper() for arg in command.args()}
    if b"BY" in words:
        return True
    return b"ALPHA" in words and any(b"\x00" in leaf for leaf in flat(reference) if leaf)


def executed(commands, mine, reference):
    """The reply of EXEC: each queued command's reply by its own mode."""
    if not (isinstance(mine, list) and isinstance(reference, list)):
        return exact(mine, reference, b"EXEC")
    if len(mine) != len(reference):
        return False
    if len(mine) != len(commands):
        return exact(mine, reference, b"EXEC")
    return all(equal(c, a, b) for c, a, b in zip(commands, mine, reference))
