# SPDX-License-Identifier: Apache-2.0
"""redis-py, as Debian packages it.  Prints "ok NAME" or "failed NAME: why"; argument: the port."""

import sys
import threading

import redis


def strings(r):
    assert r.ping()
    assert r.set("k", "v", ex=100, nx=True)
    assert r.set("k", "v", nx=True) is None
    assert r.get("k") == b"v" and r.ttl("k") == 100
    assert r.mget("k", "none") == [b"v", None]
    assert r.incrbyfloat("f", 0.5) == 0.5
    assert r.setrange("k", 3, "x") == 4 and r.getrange("k", 0, -1) == b"v\x00\x00x"
    assert r.bitfield("b").set("u8", 0, 255).get("u8", 0).execute() == [0, 255]
    assert r.getex("k", persist=True) and r.getdel("k") and not r.exists("k")


def collections(r):
    r.hset("h", mapping={"a": 1, "b": "two"})
    assert r.hgetall("h") == {b"a": b"1", b"b": b"two"}
    r.rpush("l", 1, 2, 3)
    assert r.lrange("l", 0, -1) == [b"1", b"2", b"3"] and r.lpos("l", 2) == 1
    assert r.lmove("l", "l2", "LEFT", "RIGHT") == b"1"
    r.sadd("s", "a", "b")
    assert r.smembers("s") == {b"a", b"b"} and r.smismember("s", ["a", "z"]) == [1, 0]
    r.zadd("z", {"a": 1, "b": 2.5})
    assert r.zrange("z", 0, -1, withscores=True) == [(b"a", 1.0), (b"b", 2.5)]
    assert r.zadd("z", {"a": 5}, gt=True, ch=True) == 1
    assert r.zmscore("z", ["a", "none"]) == [5.0, None]
    r.geoadd("g", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"))
    assert round(r.geodist("g", "Palermo", "Catania")) == 166274
    assert r.geosearch("g", member="Palermo", radius=200, unit="km", sort="ASC")
    r.pfadd("p", "a", "b", "c")
    assert r.pfcount("p") == 3
    assert r.sort("l", desc=True) == [b"3", b"2"]


def pipelines(r):
    pipe = r.pipeline(transaction=False)
    for number in range(1000):
        pipe.set("p%d" % number, number)
        pipe.get("p%d" % number)
    replies = pipe.execute()
    assert len(replies) == 2000 and replies[-1] == b"999"


def transactions(r):
    def raise_it(pipe):
        value = int(pipe.get("t"))
        pipe.multi()
        pipe.set("t", value + 1)

    r.set("t", 0)
    threads = [
        threading.Thread(target=lambda: [r.transaction(raise_it, "t") for _ in range(25)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert r.get("t") == b"100", r.get("t")


def locks(r):
    """A lock without the script that releases it: SET NX PX, then WATCH and DEL."""
    assert r.set("lock", "token", nx=True, px=10000)
    assert not r.set("lock", "other", nx=True, px=10000)
    with r.pipeline() as pipe:
        pipe.watch("lock")
        assert pipe.get("lock") == b"token"
        pipe.multi()
        pipe.delete("lock")
        assert pipe.execute() == [1]


def blocking(r):
    timer = threading.Timer(0.05, lambda: r.rpush("queue", "job"))
    timer.start()
    assert r.blpop("queue", 5) == (b"queue", b"job")
    assert r.blpop("queue", 0.05) is None
    r.zadd("zq", {"m": 1})
    assert r.bzpopmin("zq", 1) == (b"zq", b"m", 1.0)


def scanning(r):
    assert len(set(r.scan_iter("p*", count=100))) >= 1000
    assert dict(r.hscan_iter("h")) == {b"a": b"1", b"b": b"two"}
    assert set(r.sscan_iter("s")) == {b"a", b"b"}
    assert dict(r.zscan_iter("z")) == {b"a": 5.0, b"b": 2.5}


def errors(r):
    r.set("string", "v")
    for call, kind in (
        (lambda: r.lpush("string", "x"), "WRONGTYPE"),
        (lambda: r.execute_command("NOSUCH"), "unknown command"),
        (lambda: r.execute_command("GET"), "wrong number of arguments"),
    ):
        try:
            call()
        except redis.ResponseError as error:
            assert kind in str(error), error
        else:
            raise AssertionError("no error for " + kind)


def server(r):
    info = r.info()
    for name in ("redis_version", "used_memory", "connected_clients", "role", "uptime_in_seconds"):
        assert name in info, name
    assert info["db0"]["keys"] == r.dbsize()
    assert r.config_get("databases") == {"databases": "16"}
    assert r.config_set("maxmemory-policy", "noeviction")
    assert [c for c in r.client_list() if c["cmd"]]
    assert r.client_setname("tester") and r.client_getname() == "tester"
    assert isinstance(r.client_id(), int) and r.time()[0] > 1600000000
    assert isinstance(r.slowlog_get(), list) and isinstance(r.memory_usage("string"), int)
    assert len(r.command_count() and r.command()) > 150
    assert r.object("encoding", "string") == b"embstr"


def monitoring(r):
    with r.monitor() as monitor:
        r.get("watched-by-monitor")
        for _ in range(20):
            if "watched-by-monitor" in monitor.next_command()["command"]:
                return
    raise AssertionError("MONITOR did not show the command")


def main():
    r = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]), socket_timeout=20)
    r.flushall()
    cases = (strings, collections, pipelines, transactions, locks, blocking, scanning, errors)
    failed = 0
    for case in cases + (server, monitoring):
        try:
            case(r)
            print("ok " + case.__name__)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            line = sys.exc_info()[2].tb_next.tb_lineno
            print("failed %s: line %d: %s %s" % (case.__name__, line, type(error).__name__, error))
    sys.exit(1 if failed else 0)


main()
