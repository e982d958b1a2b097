# SPDX-License-Identifier: Apache-2.0
"""A small RESP2/RESP3 client for the process-level tests.

Replies become Python values that keep the wire type: bytes for a bulk string, int for an integer,
None for any null, list for an array, and the classes below for everything else.  What is read from
the socket is never interpreted further, so that a test sees exactly what the server said.
"""

import socket
import time


class Simple(bytes):
    """A simple string (+OK)."""


class Error(bytes):
    """An error reply (-ERR ...), also a blob error."""


class Double(bytes):
    """A RESP3 double, as its text."""


class BigNumber(bytes):
    """A RESP3 big number, as its text."""


class Verbatim(bytes):
    """A RESP3 verbatim string, with its three-letter format and colon."""



class Map(list):
    """A RESP3 map: a list of (key, value) pairs in wire order."""


class Set(list):
    """A RESP3 set in wire order."""


class Push(list):
    """A RESP3 push message."""


class ProtocolError(Exception):
    """The server sent bytes that are not RESP."""


class Closed(Exception):
    """The server closed the connection."""


def encode(args):
    """One command as a RESP array of bulk strings; str and int are turned into bytes."""
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        if isinstance(arg, str):
            arg = arg.encode()
        elif isinstance(arg, (int, float)):
            arg = str(arg).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(out)


# What a RESP2 null array becomes; the golden texts tell it from a null bulk string.
NULL_ARRAY = None


class Incomplete(Exception):
    """More bytes are needed."""


def _line(buf, pos):
    end = buf.find(b"\r\n", pos)
    if end < 0:
        raise Incomplete
    return end


def parse(buf, pos=0):
    """Parse one reply of `buf` at `pos`: (value, position after it).  Raises Incomplete."""
    if pos >= len(buf):
        raise Incomplete
    end = _line(buf, pos)
    kind = buf[pos]
    text = bytes(buf[pos + 1 : end])
    pos = end + 2
    if kind == 36 or kind == 61 or kind == 33:  # $ = !
        size = int(text)
        if size < 0:
            return None, pos
        if len(buf) < pos + size + 2:
            raise Incomplete
        if buf[pos + size : pos + size + 2] != b"\r\n":
            raise ProtocolError("bulk string without its end")
        data = bytes(buf[pos : pos + size])
        if kind == 61:
            data = Verbatim(data)
        elif kind == 33:
            data = Error(data)
        return data, pos + size + 2
    if kind == 58:  # :
        return int(text), pos
    if kind == 43:  # +
        return Simple(text), pos
    if kind == 45:  # -
        return Error(text), pos
    if kind in b"*~>":
        size = int(text)
        if size < 0:
            return NULL_ARRAY, pos
        items = []
        for _ in range(size):
            item, pos = parse(buf, pos)
            items.append(item)
        if kind == 42:
            return items, pos
        return (Set if kind == 126 else Push)(items), pos
    if kind == 37:  # %
        pairs = Map()
        for _ in range(int(text)):
            key, pos = parse(buf, pos)
            value, pos = parse(buf, pos)
            pairs.append((key, value))
        return pairs, pos
    if kind == 95:  # _
        return None, pos
    if kind == 35:  # #
        if text not in (b"t", b"f"):
            raise ProtocolError("bad boolean %r" % text)
        return text == b"t", pos
    if kind == 44:  # ,
        return Double(text), pos
    if kind == 40:  # (
        return BigNumber(text), pos
    raise ProtocolError("unexpected byte %r" % bytes([kind]))


def skip(buf, pos):
    """The position after the reply that starts at `pos`, without building values."""
    pending = 1
    find = buf.find
    while pending:
        pending -= 1
        end = find(b"\r\n", pos)
        if end < 0:
            raise Incomplete
        kind = buf[pos]
        if kind == 36 or kind == 61 or kind == 33:
            size = int(buf[pos + 1 : end])
            pos = end + 2
            if size >= 0:
                pos += size + 2
        elif kind == 42 or kind == 126 or kind == 62:
            pending += max(0, int(buf[pos + 1 : end]))
            pos = end + 2
        elif kind == 37:
            pending += 2 * int(buf[pos + 1 : end])
            pos = end + 2
        elif kind in b":+-_#,(":
            pos = end + 2
        else:
            raise ProtocolError("unexpected byte %r" % bytes([kind]))
    if pos > len(buf):
        raise Incomplete
    return pos


class Client:
    """One blocking connection.  Not for use by several threads at once."""

    def __init__(self, port, host="127.0.0.1", timeout=30.0, resp=2):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = bytearray()
        self.pushes = []
        if resp == 3:
            self.call("HELLO", "3")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send_raw(self, data):
        self.sock.sendall(data)

    def send(self, *args):
        self.sock.sendall(encode(args))

    def fill(self):
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionError as error:
            raise Closed(str(error)) from None
        if not data:
            raise Closed("closed by the server")
        self.buf += data

    def read(self):
        """The next reply, push messages included."""
        while True:
            try:
                value, end = parse(self.buf)
            except Incomplete:
                self.fill()
                continue
            del self.buf[:end]
            return value

    def read_reply(self):
        """The next reply; push messages are put aside in `pushes`."""
        while True:
            value = self.read()
            if not isinstance(value, Push):
                return value
            self.pushes.append(value)

    def call(self, *args):
        self.send(*args)
        return self.read_reply()

    def must(self, *args):
        """Like call, but an error reply raises."""
        reply = self.call(*args)
        if isinstance(reply, Error):
            raise AssertionError("%.200r answered %r" % (args[:4], reply))
        return reply

    def pipeline(self, commands, chunk=500):
        """Send commands in chunks; all replies in order."""
        replies = []
        for start in range(0, len(commands), chunk):
            part = commands[start : start + chunk]
            self.sock.sendall(b"".join(encode(args) for args in part))
            replies.extend(self.read_all(len(part)))
        return replies

    def read_all(self, count):
        """The next `count` replies; cheap also when they are many."""
        replies = []
        pos = 0
        while len(replies) < count:
            try:
                value, pos = parse(self.buf, pos)
            except Incomplete:
                del self.buf[:pos]
                pos = 0
                self.fill()
                continue
            if isinstance(value, Push):
                self.pushes.append(value)
            else:
                replies.append(value)
        del self.buf[:pos]
        return replies

    def read_until_closed(self, limit=1 << 20, timeout=5.0):
        """Everything up to the end of the connection: (bytes, whether the server closed)."""
        data = bytes(self.buf)
        self.buf.clear()
        deadline = time.monotonic() + timeout
        while len(data) < limit:
            left = deadline - time.monotonic()
            if left <= 0:
                return data, False
            self.sock.settimeout(left)
            try:
                part = self.sock.recv(1 << 16)
            except (TimeoutError, socket.timeout):
                return data, False
            except ConnectionError:
                return data, True
            if not part:
                return data, True
            data += part
        return data, False


def info(client, *sections):
    """INFO as a dictionary of str to str."""
    text = client.must("INFO", *sections)
    text = bytes(text)
    if text.startswith(b"txt:"):
        text = text[4:]
    fields = {}
    for line in text.decode("utf-8", "replace").split("\r\n"):
        if ":" in line and not line.startswith("#"):
            name, value = line.split(":", 1)
            fields[name] = value
    return fields


def blocked_clients(client):
    """How many clients wait in a blocking command, by CLIENT LIST."""
    lines = bytes(client.must("CLIENT", "LIST")).split(b"\n")
    flags = [word for line in lines for word in line.split(b" ") if word.startswith(b"flags=")]
    return sum(b"b" in word[6:] for word in flags)
