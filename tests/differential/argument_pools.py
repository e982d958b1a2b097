# SPDX-License-Identifier: Apache-2.0
"""The argument values that random commands are made of, edge cases included.

Nothing here may make a server allocate more than a few hundred KiB for one command, produce an
endless reply, or block: both servers run every command.
"""

KEYS_EACH = 8

BINARY = bytes(range(256))
NOW_S = 2000000000  # Any moment that is far in the future of every test run.

INTS = [b"%d" % n for n in (0, 1, -1, 2, 3, 5, 7, 10, -2, -3, 20, 100, 127, 128, 129, 255, 256)]
WIDE_INTS = [
    b"%d" % n
    for n in (
        2**31 - 1,
        2**31,
        -(2**31),
        2**32,
        2**32 + 1,
        2**53 + 1,
        2**63 - 1,
        -(2**63),
        2**63,
        -(2**63) - 1,
        2**64 - 1,
    )
]
NOT_INTS = [b"", b"abc", b"1.5", b" 1", b"1 ", b"+1", b"01", b"-", b"0x10", b"1e3", b"-0", b"1\x00"]
SMALL_INTS = [b"%d" % n for n in range(-6, 12)] * 4

FLOATS = [
    b"0", b"1", b"-1", b"2", b"3", b"0.1", b"1.5", b"-2.75", b"3.0e10", b"1e17", b"1e20", b"1e21",
    b"1e-5", b"1e-7", b"123456789.123456", b"3.14159265358979", b"17179869184", b"1e15", b"100",
    b"0.30000000000000004", b"-123456.789", b"4503599627370497.5", b"9007199254740993", b"1e300",
]  # fmt: skip
ODD_FLOATS = [
    b"inf", b"-inf", b"+inf", b"infinity", b"nan", b"abc", b"", b" 1", b"1 ", b"0x1p3", b"1e400",
    b"-0", b"-0.0", b"1.7976931348623157e308", b"-1.7976931348623157e308", b"1e", b".5",
    b"5.", b"1_000", b"1,5",
]  # fmt: skip

VALUES = (
    [b"v%d" % i for i in range(20)]
    + INTS
    + WIDE_INTS
    + NOT_INTS
    + FLOATS[:12]
    + [
        b"a" * 43, b"b" * 44, b"c" * 45, b"d" * 63, b"e" * 64, b"f" * 65, b"g" * 300, BINARY,
        b"\x00", b"\r\n", b"$3\r\nfoo\r\n", "é世界".encode(), b"\xff\xfe", b"foobar", b"mynewtext",
        b"ohmytext", b"h" * 4096,
    ]
)  # fmt: skip

MEMBERS = (
    [b"m%d" % i for i in range(30)]
    + [b"%d" % i for i in range(-3, 20)]
    + [b"", b"\x00", b"a", b"b", b"c", b"x" * 63, b"y" * 64, b"z" * 65, b"32768", b"-32769"]
    + [b"2147483648", b"9223372036854775807", b"9223372036854775808", b"007", b"\xff", b"a\xff"]
)

TTLS = [b"%d" % n for n in (1000, 5000, 86400, 100000000)] * 6 + [
    b"0", b"-1", b"-5", b"9223372036854775807", b"9223372036854776", b"-9223372036854775808",
    b"9223372036854775", b"abc", b"", b"1.5",
]  # fmt: skip
PTTLS = [b"%d" % n for n in (1000000, 5000000, 86400000, 100000000000)] * 6 + [
    b"0", b"-1", b"-5", b"9223372036854775807", b"9223372036854775808", b"abc", b"1 ",
]  # fmt: skip
ATS = [b"%d" % (NOW_S + n) for n in (0, 1000, 100000, 10**8)] * 4 + [
    b"0", b"1", b"-1", b"1000000000", b"9223372036854775807", b"9223372036854776", b"x",
]  # fmt: skip
PATS = [b"%d" % ((NOW_S + n) * 1000 + 7) for n in (0, 1000, 100000, 10**8)] * 4 + [
    b"0", b"1", b"-1", b"1000000000000", b"9223372036854775807", b"9223372036854775808", b"x",
]  # fmt: skip

POOLS = {
    "v": VALUES,
    "i": SMALL_INTS + INTS + WIDE_INTS + NOT_INTS,
    "si": SMALL_INTS,
    "incr": INTS * 4 + WIDE_INTS + NOT_INTS,
    "f": FLOATS * 3 + ODD_FLOATS + [b"5e-324"],
    # Where a later sum depends on the order of additions, only what is exact in any order.
    "w": [b"%d" % n for n in (0, 1, 2, 3, -1, 10)] * 4 + [b"0.5", b"abc", b"nan", b""],
    "score": FLOATS[:10] * 4 + FLOATS + ODD_FLOATS,
    "m": MEMBERS,
    "e": MEMBERS + VALUES[:40],
    "ttl": TTLS,
    "pttl": PTTLS,
    "at": ATS,
    "pat": PATS,
    # String offsets: small, or beyond every limit.
    "off": [b"%d" % n for n in (0, 1, 2, 5, 10, 63, 100, 5000)] * 4
    + [b"-1", b"536870912", b"536870913", b"4294967296", b"9223372036854775807", b"abc", b""],
    "bitoff": [b"%d" % n for n in (0, 1, 7, 8, 9, 63, 64, 100, 1023, 20000)] * 4
    + [b"-1", b"4294967296", b"9223372036854775807", b"-9223372036854775808", b"abc", b""],
    "bit": [b"0", b"1"] * 8 + [b"2", b"-1", b"a", b""],
    "bftype": [b"u1", b"u8", b"i8", b"u16", b"i16", b"i5", b"u7", b"u32", b"i32", b"u63",
        b"i64"] * 3
    + [b"u64", b"i65", b"u0", b"i0", b"x8", b"u", b"", b"U8", b"i-1"],
    "bfoff": [b"0", b"1", b"7", b"8", b"100", b"#0", b"#1", b"#5", b"1000", b"#100"] * 3
    + [b"-1", b"#-1", b"4294967296", b"#", b"abc", b"#1x", b"9223372036854775807"],
    "bfval": INTS + WIDE_INTS[:8] + [b"abc"],
    "zmin": [b"-inf", b"+inf", b"0", b"1", b"(1", b"(0", b"2", b"(2.5", b"-1", b"10", b"(-inf"] * 3
    + [b"inf", b"(inf", b"nan", b"(nan", b"((1", b"+inf (", b"", b"(", b"abc", b"1e400", b"1 "],
    "lex": [b"-", b"+", b"[a", b"(a", b"[m1", b"(m2", b"[m5", b"[", b"(", b"[b", b"[\xff"] * 3
    + [b"a", b"", b"--", b"+inf", b"[[a"],
    "limoff": [b"0", b"1", b"2", b"5"] * 6 + [b"-1", b"-5", b"abc", b"9223372036854775807",
        b"1000"],
    "limcnt": [b"0", b"1", b"2", b"5", b"-1"] * 6 + [b"-5", b"x", b"9223372036854775807", b"1000"],
    "cnt": [b"0", b"1", b"2", b"3", b"5", b"10", b"100"] * 4
    + [b"-1", b"-9223372036854775808", b"9223372036854775807", b"abc", b""],
    "rndcnt": [b"0", b"1", b"2", b"3", b"5", b"10", b"100", b"-1", b"-3", b"-20", b"200"] * 3
    + [b"-9223372036854775808", b"9223372036854775808", b"abc", b""],
    "all": [b"100000"],
    "nkeys": [b"1", b"2", b"3"] * 6 + [b"0", b"-1", b"abc", b"9223372036854775807", b"4"],
    "pattern": [b"*", b"*", b"?0", b"[sh]*", b"h?", b"*1", b"[^s]*", b"\\*", b"[a-", b"", b"s\\",
        b"**",
                b"[z-a]*", b"[\\]]", b"m[0-3]*", b"*0*", b"x"],
    "type": [b"string", b"hash", b"list", b"set", b"zset", b"STRING", b"foo", b"stream"],
    "lon": [b"%.6f" % (n * 7.3 - 170) for n in range(40)] + [b"181", b"-180.1", b"nan", b"x", b""],
    "lat": [b"%.6f" % (n * 2.1 - 40) for n in range(40)] + [b"85.06", b"-90", b"nan", b"x"],
    "radius": [b"0", b"1", b"100", b"1000", b"5000", b"20000"] * 3 + [b"-1", b"nan", b"1e308",
        b"x", b""],
    "unit": [b"m", b"km", b"mi", b"ft", b"KM"] * 4 + [b"", b"cm"],
    "sortby": [b"nosort", b"w_*", b"h0->f1", b"h*->f1", b"*", b"s*", b"x", b"*->", b"*->f"],
    "sortget": [b"#", b"s*", b"h*->f1", b"*", b"nokey", b"h*->", b"w_*"],
    "scancur": [b"abc", b"x0", b"18446744073709551616", b"1x", b" 0"],
    "bltime": [b"-1", b"-1.5", b"abc", b"nan", b"", b"inf", b"0.000001", b"0.001"],
    "db": [b"0", b"1", b"15", b"16", b"-1", b"abc", b"", b"2147483648"],
    "hll": MEMBERS + [b"u%d" % i for i in range(3000)],
    "odd": [b"", b"FOO", b"NX", b"XX", b"GET", b"LIMIT", b"-1", b"0", b"abc", b"WITHSCORES",
        b"\x00",
            b"9223372036854775807", b"-9223372036854775808", b"COUNT", b"ch", b"1.5"],
}  # fmt: skip

# name -> (prefix, how many)
NUMBERED = {"field": (b"f", 12), "member": (b"m", 40), "num": (b"", 600)}

FIELD_COUNTS = (127, 128, 129)


def _pairs(count, prefix=b"f", size=3):
    out = []
    for i in range(count):
        out += [b"%s%d" % (prefix, i), b"v%d" % i + b"x" * (size - 3)]
    return out


def _scored(count):
    out = []
    for i in range(count):
        out += [b"%d" % (i * 7 % 100), b"m%d" % i]
    return out


# Argument lists around the encoding thresholds.
MANY = {
    "pairs": [_pairs(n) for n in (127, 128, 129, 511, 512, 513)],
    "longpair": [[b"long", c * n] for n in (63, 64, 65) for c in (b"q", b"1")]
    + [[c * n, b"long"] for n in (63, 64, 65) for c in (b"q",)],
    "elements": [[b"e%d" % i for i in range(n)] for n in (100, 127, 128, 129, 130, 600)]
    + [[b"q" * 100] * n for n in (79, 80, 81)]
    + [[b"q" * n] for n in (4096, 8180, 8192, 8193)],
    "ints": [[b"%d" % (i * step) for i in range(n)] for n in (511, 512, 513) for step in (1,
        70000)],
    "members": [[b"s%d" % i for i in range(n)] for n in (127, 128, 129)]
    + [[b"q" * n] for n in (63, 64, 65)],
    "scored": [_scored(n) for n in (127, 128, 129)]
    + [[b"1", b"q" * n] for n in (63, 64, 65)],
    "hlls": [[b"h%d" % i for i in range(start, start + n)] for start in (0, 5000) for n in (100,
        900)],
}  # fmt: skip

# Replies of these are only checked for shape or against the reply that follows; their commands
# must stay well formed for the follow-up to fit.
FRAGILE_MODES = ("random:", "lex:", "spop", "shape")

# Commands whose argument must not be swapped for an odd one: it could mean an endless reply,
# hundreds of MiB, or the end of the connection.
KEEP_ARGUMENTS = {
    b"SETRANGE", b"SETBIT", b"BITFIELD", b"SELECT", b"EXPIRE", b"PEXPIRE", b"EXPIREAT",
    b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER", b"SPOP", b"BLPOP", b"BRPOP", b"BLMOVE",
    b"BRPOPLPUSH", b"BLMPOP", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP", b"SCAN", b"HSCAN", b"SSCAN",
    b"ZSCAN", b"SET", b"PSETEX", b"SETEX", b"GETEX", b"PEXPIREAT", b"MOVE", b"COPY",
}  # fmt: skip

# Commands that a changed argument could make wait for ever, or return an arbitrary part, or a dump
# of 7.0's version.
NEVER_CHANGED = {
    b"DUMP",
    b"BLPOP", b"BRPOP", b"BLMOVE", b"BRPOPLPUSH", b"BLMPOP", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP",
    b"WAIT", b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER", b"SPOP", b"SCAN", b"HSCAN", b"SSCAN",
        b"ZSCAN",
}  # fmt: skip

# One score each: what BYLEX asks for.
SAME_SCORE = [
    [b"a", b"b", b"c", b"d"],
    [b"m%d" % i for i in range(10)],
    [b"", b"a", b"aa", b"a\xff", b"b", b"\xff", b"ab", b"["],
    [b"m%d" % i for i in range(129)],
    [b"a"],
]
