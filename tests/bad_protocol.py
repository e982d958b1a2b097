# SPDX-License-Identifier: Apache-2.0
"""The R rows of the bad-input catalogue: bytes and connections."""

import os
import resource
import socket
import struct
import threading
import time

import resp_client
from bad_row import MIB, expect, refused, row
from resp_client import Closed, Error, Map, encode
from tally import ALLOWANCE, require, same

ROWS = []


def rows(name, **bounds):
    return row(ROWS, name, **bounds)


@rows("R1")
def empty_requests(scene):
    client = scene.client()
    client.send_raw(b"*-1\r\n*0\r\n\r\n" + encode(["PING"]))
    same(client.read(), b"PONG")
    same(client.call("ECHO", "x"), b"x")


@rows("R2")
def bad_multibulk_length(scene):
    for text in (b"2147483648", b"99999999999999999999", b"abc", b"1a", b"+1", b"", b"1 ", b"0x1"):
        refused(scene, b"*" + text + b"\r\n", b"invalid multibulk length")


@rows("R3", rss_mib=64)
def huge_counts_then_silence(scene):
    before = scene.server.rss()
    for _ in range(1000):
        client = scene.client()
        client.send_raw(b"*2147483647\r\n")
    same(scene.client().call("PING"), b"PONG")
    grown = scene.server.rss() - before
    allowed = (1000 * 32768 + 16 * MIB) * ALLOWANCE
    require(grown < allowed, "%d KiB per socket" % (grown // 1000 // 1024))


def protected(scene):
    options = {"requirepass": "secret"}
    return scene.fresh_server(
        redis_options=options, dyno_options={"client-requirepass": "secret"}, password="secret"
    )


@rows("R4")
def unauthenticated_multibulk(scene):
    with protected(scene) as server:
        client = resp_client.Client(server.port)
        refused(scene, b"*1000000\r\n", b"unauthenticated multibulk length", port=client)
        client = resp_client.Client(server.port)
        expect(client, ["GET", "k"], b"-NOAUTH Authentication required.")
        expect(client, ["AUTH", "wrong"], b"-WRONGPASS")
        expect(client, ["AUTH", "secret"], b"OK")
        expect(client, ["GET", "k"], None)


@rows("R5")
def null_bulk_in_request(scene):
    refused(scene, b"*1\r\n$-1\r\n", b"invalid bulk length")


@rows("R6")
def huge_bulk_length(scene):
    for text in (b"536870913", b"9223372036854775807", b"18446744073709551615", b"1x", b""):
        refused(scene, b"*1\r\n$" + text + b"\r\n", b"invalid bulk length")


@rows("R7")
def unauthenticated_bulk(scene):
    with protected(scene) as server:
        client = resp_client.Client(server.port)
        data = b"*2\r\n$3\r\nGET\r\n$20000\r\n" + b"x" * 20000 + b"\r\n"
        refused(scene, data, b"unauthenticated bulk length", port=client)


@rows("R8")
def not_a_bulk(scene):
    refused(scene, b"*1\r\n:1\r\n", b"expected '$', got ':'")
    refused(scene, b"*1\r\n+OK\r\n", b"expected '$', got '+'")
    refused(scene, b"*1\r\n*1\r\n$4\r\nPING\r\n", b"expected '$', got '*'")
    refused(scene, b"*2\r\n$4\r\nPING\r\n:1\r\n", b"expected '$', got ':'")


@rows("R9")
def bulk_without_its_end(scene):
    for tail in (b"xx", b"\n\n", b"\r\r"):
        client = scene.client()
        client.send_raw(b"*1\r\n$4\r\nPING" + tail)
        reply = client.read()
        require(reply == b"PONG" or b"Protocol error" in reply, "%r answered %r" % (tail, reply))
    client = scene.client(timeout=0.3)
    client.send_raw(b"*1\r\n$4\r\nPI")
    try:
        require(False, "half a bulk was answered by %r" % client.read())
    except TimeoutError:
        pass


@rows("R10")
def endless_length_line(scene):
    refused(scene, b"*" + b"1" * 70000, b"too big mbulk count string")
    refused(scene, b"*1\r\n$" + b"1" * 70000, b"too big bulk count string")


@rows("R11")
def endless_inline(scene):
    refused(scene, b"x" * 70000, b"too big inline request")


@rows("R12")
def unbalanced_quotes(scene):
    for text in (b'SET "a\r\n', b"SET 'a\"b\r\n", b'SET "a"b\r\n', b"SET 'a'b\r\n"):
        refused(scene, text, b"unbalanced quotes in request")


@rows("R13")
def odd_inline_bytes(scene):
    client = scene.client()
    client.send_raw(b'ECHO "\\x41"\r\nECHO "\\x4"\r\nECHO "\\n"\r\nECHO \xff\xfe\r\n  PING  \r\n')
    same([client.read() for _ in range(5)], [b"A", b"x4", b"\n", b"\xff\xfe", b"PONG"])
    strange = (b"PI\x00NG\r\n", b"\x00\r\n", b"ECHO a\x00b\r\n", b'"\\x\r\n',
        b"\xff" * 200 + b"\r\n")
    for text in strange:
        client = scene.client()
        client.send_raw(text)
        client.sock.settimeout(1)
        try:
            client.read()
        except (Closed, TimeoutError):
            pass


@rows("R14")
def every_split(scene):
    client = scene.client()
    commands = [
        ["SET", "split", "a\r\nb"],
        ["GET", "split"],
        ["HSET", "h", "f", "v", "g", ""],
        ["HGETALL", "h"],
        ["NOSUCH", "x"],
        ["MGET", "split", "h", "none"],
    ]
    whole = [client.call(*command) for command in commands]
    whole[2] = 0
    for command, expected in zip(commands, whole):
        wire = encode(command)
        for cut in range(1, len(wire)):
            client.send_raw(wire[:cut])
            if cut % 3 == 0:
                time.sleep(0.0005)
            client.send_raw(wire[cut:])
            same(client.read(), expected, "%r cut at %d" % (command, cut))
        for byte in wire:
            client.send_raw(bytes([byte]))
        same(client.read(), expected, "%r byte by byte" % command)
    for cut in range(1, 14):
        text = b"ECHO 'a b'\r\nPING\r\n"
        client.send_raw(text[:cut])
        client.send_raw(text[cut:])
        same([client.read(), client.read()], [b"a b", b"PONG"])


def send_until_stuck(client, data, rounds, stuck_seconds=2.0):
    """Send without reading: 'closed' or 'stuck' or 'sent'."""
    client.sock.settimeout(stuck_seconds)
    try:
        for _ in range(rounds):
            client.sock.sendall(data)
    except TimeoutError:
        return "stuck"
    except OSError:
        return "closed"
    return "sent"


@rows("R15", rss_mib=96)
def never_reads(scene):
    admin = scene.client()
    admin.must("SET", "big", b"x" * 100000)
    limits = admin.must("CONFIG", "GET", "client-output-buffer-limit")[1]
    admin.must("CONFIG", "SET", "client-output-buffer-limit", "normal 16mb 0 0")
    before = scene.server.rss()
    greedy = scene.client()
    outcome = send_until_stuck(greedy, encode(["GET", "big"]) * 1000, 1000)
    grown = scene.server.rss() - before
    admin.must("CONFIG", "SET", "client-output-buffer-limit", limits)
    require(outcome != "sent", "1 M commands whose replies nobody reads were all taken")
    allowed = 96 * MIB * ALLOWANCE
    require(grown < allowed, "%d MiB for one client that does not read" % (grown // MIB))
    same(admin.call("PING"), b"PONG")


@rows("R16", rss_mib=256)
def slow_reader(scene):
    admin = scene.client()
    admin.must("SET", "big", b"x" * (64 * MIB))
    slow = scene.client()
    slow.send("GET", "big")
    worst = 0
    for _ in range(300):
        began = time.monotonic()
        admin.must("PING")
        worst = max(worst, time.monotonic() - began)
        if _ % 30 == 0:
            slow.sock.recv(1)
        time.sleep(0.001)
    require(worst < 0.25 * ALLOWANCE, "another client waited %.0f ms" % (worst * 1000))


@rows("R17")
def slow_loris(scene):
    admin = scene.client()
    admin.must("CONFIG", "SET", "maxclients", "150")
    try:
        loris, refusals = [], 0
        for _ in range(250):
            client = scene.client(timeout=2)
            try:
                client.send_raw(b"*")
            except OSError:
                refusals += 1
                continue
            loris.append(client)
        time.sleep(0.1)
        for client in loris:
            client.sock.setblocking(False)
            try:
                data = client.sock.recv(200)
                require(not data or b"max number of clients reached" in data, repr(data))
                refusals += 1
            except BlockingIOError:
                pass
            except OSError:
                refusals += 1
        require(refusals >= 90, "only %d of 250 were refused at maxclients 150" % refusals)
        for client in loris:
            client.close()
        time.sleep(0.2)
        same(scene.client().call("PING"), b"PONG")
    finally:
        admin.must("CONFIG", "SET", "maxclients", "10000")


@rows("R18")
def vanishing_clients(scene):
    admin = scene.client()
    half = scene.client()
    half.send_raw(encode(["SET", "half", "1"]))
    half.sock.shutdown(socket.SHUT_WR)
    time.sleep(0.05)
    same(admin.call("GET", "half"), b"1", "a request before a half-close")
    admin.must("SET", "big", b"x" * (8 * MIB))
    for _ in range(20):
        reset = scene.client()
        reset.send("GET", "big")
        reset.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reset.sock.recv(100)
        reset.close()
    for way in ("close", "reset"):
        waiting = scene.client()
        waiting.send("BLPOP", "queue", "0")
        until_blocked(admin, 1)
        if way == "reset":
            waiting.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        waiting.close()
        until_blocked(admin, 0)
        same(admin.call("RPUSH", "queue", "job"), 1)
        same(admin.call("LRANGE", "queue", "0", "-1"), [b"job"], "after a waiting client went")
        admin.must("DEL", "queue")
    queueing = scene.client()
    queueing.must("MULTI")
    queueing.must("SET", "queued", "1")
    queueing.close()
    same(admin.call("EXISTS", "queued"), 0)


def until_blocked(admin, count):
    """Wait until so many clients are blocked."""
    for _ in range(200):
        if resp_client.blocked_clients(admin) == count:
            return
        time.sleep(0.01)
    raise AssertionError("the number of blocked clients did not become %d" % count)


@rows("R19")
def hello(scene):
    client = scene.client()
    expect(client, ["HELLO", "4"], b"-NOPROTO unsupported protocol version")
    expect(client, ["HELLO", "1"], b"-NOPROTO")
    expect(client, ["HELLO", "abc"], b"-Protocol version is not an integer or out of range")
    expect(client, ["HELLO", "3", "AUTH"], b"-Syntax error in HELLO option")
    expect(client, ["HELLO", "3", "AUTH", "u"], b"-Syntax error in HELLO option")
    expect(client, ["HELLO", "3", "SETNAME"], b"-Syntax error in HELLO option")
    client.must("HSET", "h", "f", "v")
    both = [["HELLO", "3"], ["HGETALL", "h"], ["HELLO", "2"], ["HGETALL", "h"], ["GET", "none"]]
    replies = client.pipeline(both * 20)
    for at in range(0, len(replies), 5):
        require(isinstance(replies[at], Map), "HELLO 3 is not a map")
        require(isinstance(replies[at + 1], Map), "HGETALL after HELLO 3 is not a map")
        require(not isinstance(replies[at + 2], Map), "HELLO 2 is a map")
        same(replies[at + 3], [b"f", b"v"])
    client.must("MULTI")
    client.must("HGETALL", "h")
    client.call("HELLO", "3")
    client.must("HGETALL", "h")
    client.call("EXEC")
    same(client.call("PING"), b"PONG")


@rows("R20")
def resp3_from_the_client(scene):
    for mark in (b"%", b">", b"|", b"~", b"_", b"#", b",", b"(", b"=", b"!"):
        client = scene.client()
        client.send_raw(mark + b"1\r\n")
        reply = client.read()
        require(
            isinstance(reply, Error) and (b"Protocol error" in reply or b"unknown" in reply),
            "%r answered %r" % (mark, reply),
        )
        refused(scene, b"*1\r\n" + mark + b"1\r\n", b"expected '$', got '" + mark)


@rows("R21")
def other_protocols(scene):
    admin = scene.client()
    for text in (b"POST / HTTP/1.1\r\n", b"Host: x\r\n", b"host: x\r\n"):
        client = scene.client()
        client.send_raw(text + b"\r\nSET pwned 1\r\n")
        data, closed = client.read_until_closed(timeout=3)
        require(closed, "%r: stays open, said %r" % (text, data))
    same(admin.call("EXISTS", "pwned"), 0)
    hello_tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500)
    for text in (hello_tls, b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 100 + b"\r\n"):
        client = scene.client(timeout=1)
        client.send_raw(text)
        client.read_until_closed(timeout=0.3)
    same(admin.call("PING"), b"PONG")


@rows("R22")
def strange_names(scene):
    client = scene.client()
    for name in (b"x" * 524288, b"", b"\x00\x01\xff", b"a\r\nb", b"%s%n"):
        reply = client.call(name, "arg")
        require(isinstance(reply, Error), "%r answered %r" % (name[:10], reply))
        require(b"unknown command" in reply, repr(reply[:100]))
        require(len(reply) < 400, "an error of %d bytes" % len(reply))
    reply = client.call("NOSUCH", b"y" * 524288, b"a\r\nb")
    require(isinstance(reply, Error) and len(reply) < 400, "an error of %d bytes" % len(reply))
    same(client.call("PING"), b"PONG")


@rows("R23", rss_mib=160, redis_worse="arguments that are complete are not counted")
def too_many_arguments(scene):
    client = scene.client(timeout=3)
    client.send_raw(b"*1048577\r\n")
    data, closed = client.read_until_closed(timeout=0.5)
    require(not data or b"Protocol error" in data, repr(data))
    admin = scene.client()
    limit = admin.must("CONFIG", "GET", "client-query-buffer-limit")[1]
    admin.must("CONFIG", "SET", "client-query-buffer-limit", "64mb")
    before = scene.server.rss()
    client = scene.client()
    part = b"$1048576\r\n" + b"x" * MIB + b"\r\n"
    client.send_raw(b"*600\r\n")
    outcome = send_until_stuck(client, part, 599, 10)
    admin.must("CONFIG", "SET", "client-query-buffer-limit", limit)
    grown = scene.server.rss() - before
    require(outcome == "closed", "599 MiB of arguments: " + outcome)
    require(grown < 160 * MIB * ALLOWANCE, "%d MiB are kept for one request" % (grown // MIB))


@rows("R24", rss_mib=96, redis_worse="the queue of a transaction is not counted")
def endless_transaction(scene):
    admin = scene.client()
    limit = admin.must("CONFIG", "GET", "client-query-buffer-limit")[1]
    admin.must("CONFIG", "SET", "client-query-buffer-limit", "16mb")
    try:
        client = scene.client()
        client.must("MULTI")
        part = encode(["SET", "k", b"x" * 1024]) * 100
        stop = threading.Event()

        def drain():
            try:
                while not stop.is_set() and client.sock.recv(1 << 16):
                    pass
            except OSError:
                pass

        reader = threading.Thread(target=drain)
        reader.start()
        outcome = send_until_stuck(client, part, 1000, 10)
        stop.set()
        client.close()
        reader.join()
        require(outcome == "closed", "100 MB in one transaction: " + outcome)
    finally:
        admin.must("CONFIG", "SET", "client-query-buffer-limit", limit)


@rows("R26")
def killing_clients(scene):
    client = scene.client()
    own = client.must("CLIENT", "ID")
    client.must("MULTI")
    client.must("CLIENT", "KILL", "ID", str(own), "SKIPME", "no")
    client.must("PING")
    client.send("EXEC")
    client.read_until_closed(timeout=2)
    admin = scene.client()
    waiting = scene.client()
    number = waiting.must("CLIENT", "ID")
    waiting.send("BLPOP", "nothing", "0")
    until_blocked(admin, 1)
    same(admin.call("CLIENT", "KILL", "ID", str(number)), 1)
    until_blocked(admin, 0)
    for _ in range(50):
        one, two = scene.client(), scene.client()
        ids = one.must("CLIENT", "ID"), two.must("CLIENT", "ID")
        one.send("CLIENT", "KILL", "ID", str(ids[1]))
        two.send("CLIENT", "KILL", "ID", str(ids[0]))
        one.read_until_closed(timeout=0.02)
        two.read_until_closed(timeout=0.02)
    same(admin.call("PING"), b"PONG")


@rows("R27", kept_mib=4)
def silent_replies(scene):
    client = scene.client()
    client.send("CLIENT", "REPLY", "OFF")
    for command in (["NOSUCH"], ["GET"], ["PING"], ["SET", "quiet", "1"], ["EXEC"]):
        client.send(*command)
    client.send("CLIENT", "REPLY", "ON")
    same(client.read(), b"OK")
    same(client.call("GET", "quiet"), b"1")
    client.send("CLIENT", "REPLY", "SKIP")
    client.send("NOSUCH")
    same(client.call("ECHO", "next"), b"next")
    tracked = scene.client(resp=3)
    words = ["CLIENT", "TRACKING", "ON", "BCAST"]
    for number in range(1000):
        words += ["PREFIX", "p%d:" % number]
    tracked.call(*words)
    same(tracked.call("PING"), b"PONG")


@rows("R28", redis_worse="it spins while accept fails")
def no_more_descriptors(scene):
    with scene.fresh_server() as server:
        with server.client() as probe:
            probe.must("PING")
            count = len(os.listdir("/proc/%d/fd" % server.process.pid))
            limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
            few = (count + 20, limits[1])
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, few)
            held = []
            for _ in range(60):
                sock = socket.create_connection(("127.0.0.1", server.port), timeout=5)
                held.append(sock)
            time.sleep(0.2)
            same(probe.call("PING"), b"PONG", "while descriptors are used up")
            used = server.cpu_seconds()
            time.sleep(1)
            used = server.cpu_seconds() - used
            require(used < 0.5, "%.0f %% of a core while accept fails" % (used * 100))
            for sock in held:
                sock.close()
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
            time.sleep(1.5)
        with server.client() as client:
            same(client.call("PING"), b"PONG")


@rows("R29")
def passwords(scene):
    client = scene.client()
    expect(client, ["AUTH", b"x" * MIB], b"-ERR AUTH <password> called", b"-WRONGPASS")
    with protected(scene) as server:
        client = resp_client.Client(server.port)
        replies = [client.call("AUTH", "wrong%d" % number) for number in range(1000)]
        require(all(b"WRONGPASS" in reply for reply in replies), "a wrong password was not refused")
        expect(client, ["AUTH", "default", "secret"], b"OK")
        long = resp_client.Client(server.port)
        outcome = send_until_stuck(long, encode(["AUTH", b"x" * MIB]), 1)
        data = b"" if outcome == "closed" else long.read_until_closed(timeout=3)[0]
        require(b"unauthenticated bulk length" in data or not data, repr(data[:100]))


@rows("R30")
def proxy_header(scene):
    client = scene.client()
    client.send_raw(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
    reply = client.read()
    require(isinstance(reply, Error), repr(reply))
    client = scene.client(timeout=1)
    client.send_raw(b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c" + b"\x01" * 12)
    client.read_until_closed(timeout=0.3)
