# SPDX-License-Identifier: Apache-2.0
"""Rows C1 to C20 of the bad-input catalogue: values with extreme, odd or hostile arguments."""


from bad_row import HIGH, LOW, MIB, NOT_FLOAT, NOT_INT, RANGE, SYNTAX, TOO_LONG, expect, row
from resp_client import Error
from tally import require, same

ROWS = []


def rows(name, **bounds):
    return row(ROWS, name, **bounds)


@rows("C1")
def setrange_far(scene):
    client = scene.client()
    expect(client, ["SETRANGE", "k", "536870912", "x"], TOO_LONG)
    expect(client, ["SETRANGE", "k", "536870911", "xy"], TOO_LONG)
    expect(client, ["SETRANGE", "k", "-1", "x"], b"-offset is out of range")
    expect(client, ["SETRANGE", "k", HIGH, "x"], TOO_LONG, b"-out of range")
    same(client.call("EXISTS", "k"), 0)


@rows("C2", rss_mib=1600)
def append_to_the_limit(scene):
    client = scene.client()
    admin = scene.client()
    limit = admin.must("CONFIG", "GET", "proto-max-bulk-len")[1]
    client.must("CONFIG", "SET", "proto-max-bulk-len", str(MIB))
    try:
        client.must("SET", "k", b"x" * (MIB // 2))
        same(client.must("APPEND", "k", b"y" * (MIB // 2)), MIB)
        expect(client, ["APPEND", "k", "z"], TOO_LONG)
        same(client.call("STRLEN", "k"), MIB)
        expect(client, ["SETRANGE", "k", str(MIB), "z"], TOO_LONG)
    finally:
        client.must("CONFIG", "SET", "proto-max-bulk-len", limit)


@rows("C3")
def setbit_far(scene):
    client = scene.client()
    text = b"-bit offset is not an integer or out of range"
    for offset in ("4294967296", "-1", "9223372036854775808", HIGH, "abc", ""):
        expect(client, ["SETBIT", "k", offset, "1"], text)
        expect(client, ["GETBIT", "k", offset], text)
    expect(client, ["SETBIT", "k", "1", "2"], b"-bit is not an integer or out of range")
    same(client.call("EXISTS", "k"), 0)


@rows("C4")
def bitfield_edges(scene):
    client = scene.client()
    for kind in ("u64", "i65", "u0", "i0", "x8", "u", ""):
        expect(client, ["BITFIELD", "k", "GET", kind, "0"], b"-Invalid bitfield type")
    far = b"-bit offset is not an integer or out of range"
    for offset in ("-1", "#-1", "#1152921504606846976", HIGH, LOW, "4294967296", "#", "a"):
        expect(client, ["BITFIELD", "k", "SET", "u8", offset, "1"], far)
    client.must("BITFIELD", "k", "SET", "i64", "0", LOW)
    same(client.call("BITFIELD", "k", "OVERFLOW", "FAIL", "INCRBY", "i64", "0", "-1"), [None])
    same(client.call("BITFIELD", "k", "OVERFLOW", "SAT", "INCRBY", "i64", "0", LOW), [int(LOW)])
    same(client.call("BITFIELD", "k", "OVERFLOW", "WRAP", "INCRBY", "i64", "0", "-1"), [int(HIGH)])
    same(client.call("BITFIELD", "k", "OVERFLOW", "WRAP", "INCRBY", "i64", "0", "1"), [int(LOW)])
    same(client.call("BITFIELD", "k", "OVERFLOW", "SAT", "INCRBY", "u8", "100", LOW), [0])
    same(client.call("BITFIELD", "k", "OVERFLOW", "SAT", "INCRBY", "u8", "100", HIGH), [255])
    expect(client, ["BITFIELD", "k", "INCRBY", "i8", "0", "9223372036854775808"], NOT_INT)
    expect(client, ["BITFIELD", "k", "OVERFLOW", "FOO"], b"-Invalid OVERFLOW type")


@rows("C5", rss_mib=128)
def bit_ranges(scene):
    client = scene.client()
    for unit in ("BYTE", "BIT"):
        same(client.call("BITCOUNT", "none", LOW, HIGH, unit), 0)
        same(client.call("BITPOS", "none", "0", LOW, HIGH, unit), 0)
        same(client.call("BITPOS", "none", "1", LOW, HIGH, unit), -1)
    client.must("SET", "k", b"\xff" * (16 * MIB))
    for unit in ("BYTE", "BIT"):
        same(client.call("BITCOUNT", "k", LOW, HIGH, unit), 128 * MIB)
        same(client.call("BITPOS", "k", "0", LOW, HIGH, unit), -1)
        same(client.call("BITPOS", "k", "1", LOW, HIGH, unit), 0)
        same(client.call("BITCOUNT", "k", HIGH, LOW, unit), 0)
        same(client.call("BITPOS", "k", "1", HIGH, HIGH, unit), -1)


@rows("C6", rss_mib=400)
def bitop_of_large(scene):
    client = scene.client()
    size = 16 * MIB
    client.must("SET", "a", b"\x0f" * size)
    same(client.call("BITOP", "NOT", "a", "a"), size)
    same(client.call("GETRANGE", "a", "0", "1"), b"\xf0\xf0")
    same(client.call("BITOP", "XOR", "a", *["a"] * 9), size)
    same(client.call("GETRANGE", "a", "-1", "-1"), b"\xf0")
    same(client.call("BITOP", "XOR", "a", "a", "a"), size)
    same(client.call("BITCOUNT", "a"), 0)
    expect(client, ["BITOP", "NOT", "a", "a", "a"], b"-BITOP NOT must be called with a single")


@rows("C7")
def getrange_extremes(scene):
    client = scene.client()
    client.must("SET", "k", "hello")
    same(client.call("GETRANGE", "k", LOW, HIGH), b"hello")
    same(client.call("GETRANGE", "k", "0", LOW), b"h")
    same(client.call("GETRANGE", "k", HIGH, LOW), b"")
    same(client.call("GETRANGE", "k", HIGH, HIGH), b"")
    same(client.call("GETRANGE", "k", LOW, LOW), b"h")
    same(client.call("GETRANGE", "none", LOW, HIGH), b"")
    expect(client, ["GETRANGE", "k", "9223372036854775808", "0"], NOT_INT)


@rows("C8")
def integer_limits(scene):
    client = scene.client()
    overflow = b"-increment or decrement would overflow"
    client.must("SET", "k", HIGH)
    expect(client, ["INCR", "k"], overflow)
    expect(client, ["INCRBY", "k", HIGH], overflow)
    client.must("SET", "k", LOW)
    expect(client, ["DECR", "k"], overflow)
    expect(client, ["INCRBY", "k", LOW], overflow)
    expect(client, ["DECRBY", "k", LOW], b"-decrement would overflow")
    same(client.call("GET", "k"), LOW.encode())
    for text in (" 1", "01", "1 ", "+1", "12345678901234567890", "1\x00", "", "-0", "1.0", "1e2"):
        client.must("SET", "k", text)
        expect(client, ["INCR", "k"], NOT_INT)
        expect(client, ["INCRBY", "other", text], NOT_INT)
        same(client.call("GET", "k"), text.encode())


@rows("C9")
def float_limits(scene):
    client = scene.client()
    for text in ("nan", "1e", "", " 1", "1 ", "abc", "1e5000"):
        expect(client, ["INCRBYFLOAT", "k", text], NOT_FLOAT)
    for text in ("inf", "-inf", "+inf", "infinity"):
        expect(client, ["INCRBYFLOAT", "k", text], b"-increment would produce NaN or Infinity")
    same(client.call("EXISTS", "k"), 0)
    client.must("SET", "k", "abc")
    expect(client, ["INCRBYFLOAT", "k", "1"], NOT_FLOAT)
    client.must("SET", "k", "0")
    same(client.call("INCRBYFLOAT", "k", "0x1p3"), b"8")
    same(client.call("INCRBYFLOAT", "k", "-8"), b"0")
    expect(client, ["INCRBYFLOAT", "k", "-0"], b"0", b"-0")
    client.must("SET", "k", "3.0")
    same(client.call("INCRBYFLOAT", "k", "1.10"), b"4.1")
    same(client.call("GET", "k"), b"4.1")


@rows("C10")
def hash_float_poison(scene):
    client = scene.client()
    client.must("HSET", "h", "f", "1e308")
    client.call("HINCRBYFLOAT", "h", "f", "1e308")
    for text in ("inf", "-inf", "nan"):
        expect(client, ["HINCRBYFLOAT", "h", "f", text], b"-NaN or Infinity", NOT_FLOAT)
    client.must("HSET", "h", "g", "inf")
    expect(client, ["HINCRBYFLOAT", "h", "g", "1"], b"-NaN or Infinity", b"-not a float")
    same(len(client.must("HGETALL", "h")), 4)
    same(client.call("HGET", "h", "g"), b"inf")


@rows("C11")
def scores_without_nan(scene):
    client = scene.client()
    nan = b"-resulting score is not a number (NaN)"
    expect(client, ["ZADD", "z", "nan", "m"], NOT_FLOAT)
    expect(client, ["ZADD", "z", "-nan", "m"], NOT_FLOAT)
    client.must("ZADD", "z", "inf", "up", "-inf", "down", "-0.0", "zero", "0", "nil")
    expect(client, ["ZINCRBY", "z", "-inf", "up"], nan)
    expect(client, ["ZADD", "z", "INCR", "inf", "down"], nan)
    same(client.call("ZRANGE", "z", "0", "-1"), [b"down", b"nil", b"zero", b"up"])
    client.must("ZADD", "other", "-inf", "up")
    client.must("ZUNIONSTORE", "out", "2", "z", "other", "AGGREGATE", "SUM")
    same(client.call("ZSCORE", "out", "up"), b"0")
    client.must("ZUNIONSTORE", "out", "1", "z", "WEIGHTS", "0")
    for _, score in zip(*[iter(client.must("ZRANGE", "out", "0", "-1", "WITHSCORES"))] * 2):
        require(float(score) == 0.0, "inf * 0 gave %r" % score)
    client.must("ZUNIONSTORE", "out", "1", "z", "WEIGHTS", "inf")
    require(b"nan" not in client.must("ZRANGE", "out", "0", "-1", "WITHSCORES"), "a NaN score")
    for how in ("MIN", "MAX"):
        client.must("ZINTERSTORE", "out", "2", "z", "other", "AGGREGATE", how)
        same(client.call("ZSCORE", "out", "up"), b"-inf" if how == "MIN" else b"inf")


@rows("C12")
def score_ranges(scene):
    client = scene.client()
    client.must("ZADD", "z", "1", "a", "2", "b")
    for text in ("(nan", "((1", "+inf (", "nan", "1 "):
        expect(client, ["ZRANGEBYSCORE", "z", text, "2"], b"-min or max is not a float")
        expect(client, ["ZCOUNT", "z", "0", text], b"-min or max is not a float")
    same(client.call("ZRANGEBYSCORE", "z", "-inf", "+inf", "LIMIT", "-5", "-1"), [])
    same(client.call("ZRANGEBYSCORE", "z", "-inf", "+inf", "LIMIT", "0", HIGH), [b"a", b"b"])
    same(client.call("ZRANGEBYSCORE", "z", "-inf", "+inf", "LIMIT", HIGH, HIGH), [])
    same(client.call("ZRANGE", "z", LOW, HIGH), [b"a", b"b"])
    same(client.call("ZREMRANGEBYRANK", "z", HIGH, LOW), 0)


@rows("C13")
def lexical_ranges(scene):
    client = scene.client()
    client.must("ZADD", "z", "0", "a", "0", "b")
    for text in ("a", "", "--", "+a"):
        expect(client, ["ZRANGEBYLEX", "z", text, "+"], b"-min or max not valid string range item")
    same(client.call("ZRANGEBYLEX", "z", "[", "+"), [b"a", b"b"])
    same(client.call("ZRANGEBYLEX", "z", "-", b"(\xff" + b"x" * 65536), [b"a", b"b"])
    same(client.call("ZRANGEBYLEX", "z", b"(\xff" + b"x" * 65536, "+"), [])
    same(client.call("ZLEXCOUNT", "z", "+", "-"), 0)


@rows("C14", rss_mib=128)
def random_counts(scene):
    client = scene.client()
    client.must("HSET", "h", "a", "1", "b", "2")
    client.must("SADD", "s", "a", "b")
    client.must("ZADD", "z", "1", "a", "2", "b")
    for command, key, extra in (
        ("HRANDFIELD", "h", "WITHVALUES"),
        ("SRANDMEMBER", "s", None),
        ("ZRANDMEMBER", "z", "WITHSCORES"),
    ):
        expect(client, [command, key, LOW], RANGE)
        expect(client, [command, key, "9223372036854775808"], RANGE, NOT_INT)
        same(len(client.must(command, key, HIGH)), 2)
        same(len(client.must(command, key, "-100000")), 100000)
        same(client.call(command, "none", HIGH), [])
        if extra:
            expect(client, [command, key, LOW, extra], RANGE)
            expect(client, [command, key, "-4611686018427387905", extra], RANGE)
            same(len(client.must(command, key, "4611686018427387903", extra)), 4)


@rows("C15")
def pop_counts(scene):
    client = scene.client()
    client.must("SADD", "s", "a", "b")
    same(len(client.must("SPOP", "s", HIGH)), 2)
    client.must("RPUSH", "l", "a", "b", "a")
    expect(client, ["LPOP", "l", "-1"], b"-out of range, must be positive")
    expect(client, ["RPOP", "l", LOW], b"-out of range, must be positive")
    if not scene.is_redis:  # Redis 7.0 takes it as no limit.
        expect(client, ["LPOS", "l", "a", "RANK", LOW], RANGE)
    expect(client, ["LPOS", "l", "a", "RANK", "0"], b"-RANK can't be zero")
    expect(client, ["LPOS", "l", "a", "MAXLEN", "-1"], b"-MAXLEN can't be negative")
    expect(client, ["LPOS", "l", "a", "COUNT", "-1"], b"-COUNT can't be negative")
    same(client.call("LPOS", "l", "a", "RANK", "-" + HIGH), None)
    same(len(client.must("LPOP", "l", HIGH)), 3)
    client.must("ZADD", "z", "1", "a")
    same(len(client.must("ZPOPMIN", "z", HIGH)), 2)
    expect(client, ["ZPOPMIN", "z", "-1"], b"-out of range, must be positive")


@rows("C16", rss_mib=160)
def list_indexes(scene):
    client = scene.client()
    client.must("RPUSH", "l", "a", "b", "c")
    for index in ("4294967296", "4294967297", HIGH, LOW, "3", "-4"):
        expect(client, ["LSET", "l", index, "x"], b"-index out of range")
        same(client.call("LINDEX", "l", index), None)
    same(client.call("LTRIM", "l", LOW, HIGH), b"OK")
    same(client.call("LRANGE", "l", LOW, HIGH), [b"a", b"b", b"c"])
    same(client.call("LINSERT", "l", "BEFORE", "nopivot", "x"), -1)
    expect(client, ["LINDEX", "l", "9223372036854775808"], NOT_INT)
    count = 1000000 if scene.long else 100000
    for _ in range(count // 10000):
        client.must("RPUSH", "big", *["e"] * 10000)
    same(len(client.must("LRANGE", "big", "0", HIGH)), count)
    same(client.call("LINDEX", "big", str(count + 2**32)), None)


@rows("C17", rss_mib=400)
def large_pushes(scene):
    client = scene.client()
    count = 1000000 if scene.long else 200000
    same(client.must("LPUSH", "l", *["x"] * count), count)
    same(client.call("LLEN", "l"), count)
    client.must("DEL", "l")
    size = 256 * MIB if scene.long else 32 * MIB
    same(client.must("RPUSH", "l", b"y" * size), 1)
    same(len(client.must("LINDEX", "l", "0")), size)
    client.must("DEL", "l")
    for size in (8191, 8192, 8193, 65535, 65536, 65537):
        client.must("RPUSH", "edge", b"z" * size)
        client.must("HSET", "edgeh", b"z" * size, "v")
        client.must("SADD", "edges", b"z" * size)
        client.must("ZADD", "edgez", str(size), b"z" * size)
    sizes = [8191, 8192, 8193, 65535, 65536, 65537]
    same([len(item) for item in client.must("LRANGE", "edge", "0", "-1")], sizes)
    same(sorted(map(len, client.must("HKEYS", "edgeh"))), sizes)
    same(sorted(map(len, client.must("SMEMBERS", "edges"))), sizes)
    same([len(item) for item in client.must("ZRANGE", "edgez", "0", "-1")], sizes)


@rows("C18")
def encoding_thresholds(scene):
    client = scene.client()
    names = (
        "hash-max-listpack-entries",
        "hash-max-listpack-value",
        "set-max-intset-entries",
        "zset-max-listpack-entries",
        "zset-max-listpack-value",
    )
    for name in names:
        kept = client.must("CONFIG", "GET", name)[1]
        try:
            for value in ("0", "1", "2147483648", HIGH, "9223372036854775808", "-1", "abc", ""):
                reply = client.call("CONFIG", "SET", name, value)
                if value in ("-1", "abc", "9223372036854775808"):
                    require(isinstance(reply, Error), "%s %r was taken" % (name, value))
                if isinstance(reply, Error):
                    continue
                client.must("DEL", "h", "s", "z")
                for number in range(20):
                    client.must("HSET", "h", "f%d" % number, "v" * number)
                    client.must("SADD", "s", str(number))
                    client.must("ZADD", "z", str(number), "m" * (number + 1))
                same(client.call("HLEN", "h"), 20)
                same(client.call("SCARD", "s"), 20)
                same(client.call("ZCARD", "z"), 20)
                same(client.call("ZSCORE", "z", "mmm"), b"2")
        finally:
            client.must("CONFIG", "SET", name, kept)
    for entries in (127, 128, 129, 511, 512, 513):
        client.must("DEL", "h", "s", "z")
        for number in range(entries):
            client.send("HSET", "h", "f%d" % number, str(number))
            client.send("SADD", "s", str(number))
            client.send("ZADD", "z", str(number), "m%d" % number)
        client.read_all(entries * 3)
        same(client.call("HGET", "h", "f%d" % (entries - 1)), b"%d" % (entries - 1))
        same(client.call("SISMEMBER", "s", str(entries - 1)), 1)
        same(client.call("ZRANK", "z", "m%d" % (entries - 1)), entries - 1)
        same([client.call(c, k) for c, k in (("HLEN", "h"), ("SCARD", "s"), ("ZCARD", "z"))],
             [entries] * 3)  # fmt: skip


@rows("C19", rss_mib=600)
def many_pairs(scene):
    client = scene.client()
    same(client.call("MSETNX", "a", "1", "a", "2"), 1)
    same(client.call("GET", "a"), b"2")
    same(client.call("MSETNX", "b", "1", "a", "3", "b", "2"), 0)
    same(client.call("EXISTS", "b"), 0)
    expect(client, ["MSET", "a", "1", "b"], b"-wrong number of arguments for 'mset' command")
    expect(client, ["MSETNX", "a"], b"-wrong number of arguments for 'msetnx' command")
    count = 500000 if scene.long else 100000
    words = ["MSET"]
    for number in range(count):
        words += ["key%d" % number, "v"]
    same(client.call(*words), b"OK")
    same(client.call("GET", "key%d" % (count - 1)), b"v")
    same(client.call("DEL", *words[1::2]), count)


@rows("C20")
def expiry_limits(scene):
    client = scene.client()
    client.must("SET", "k", "v")
    for command in ("EXPIRE", "PEXPIRE"):
        expect(client, [command, "k", HIGH],
            b"-invalid expire time in '%s' command" % command.lower().encode())
    expect(client, ["EXPIREAT", "k", HIGH], b"-invalid expire time in 'expireat' command")
    expect(client, ["EXPIRE", "k", LOW], b"-invalid expire time")
    same(client.call("PEXPIREAT", "k", HIGH), 1)
    require(client.must("PTTL", "k") > 0, "a far expiry came at once")
    for words in (["EX", "0"], ["PX", "-5"], ["EX", "9223372036854775"], ["EX", HIGH], ["PXAT",
            "0"]):
        expect(client, ["SET", "k", "v"] + words, b"-invalid expire time in 'set' command")
    expect(client, ["SET", "k", "v", "EXAT", "33177117420", "PX", "5"], SYNTAX)
    expect(client, ["GETEX", "k", "EX", "0"], b"-invalid expire time in 'getex' command")
    expect(client, ["SETEX", "k", "0", "v"], b"-invalid expire time in 'setex' command")
    expect(client, ["PSETEX", "k", HIGH, "v"], b"-invalid expire time in 'psetex' command")
    same(client.call("GET", "k"), b"v")
    for words in (["EXPIRE", "k", "-1"], ["PEXPIREAT", "k", "1"], ["EXPIRE", "k", "0"],
            ["PEXPIREAT", "k", LOW]):
        client.must("SET", "k", "v")
        expect(client, words, 1, b"-invalid expire time")
        if words[2] != LOW:
            same(client.call("EXISTS", "k"), 0)
