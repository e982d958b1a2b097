# SPDX-License-Identifier: Apache-2.0
"""A small server that speaks RESP2 and misbehaves on purpose, for the tests of dyno-bench.

It runs in threads of this process and holds strings, hash fields, set and sorted set members,
counters and lists in one dictionary. A *fault* names what goes wrong; without one it is correct.
"""

import socket
import threading
import time


class FaultyServer:
    """Listens on a free port of 127.0.0.1 until the `with` block is left."""

    def __init__(self, fault="", after=500):
        self.fault = fault
        self.after = after  # requests before the fault first shows
        self.requests = 0
        self.faults = 0  # how often the fault showed
        self.data = {}
        self.lock = threading.Lock()
        self.asleep = False
        self.stopping = False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.listener.close()

    def accept(self):
        while not self.stopping:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        reader = client.makefile("rb")
        try:
            while not self.stopping:
                words = read_command(reader)
                if words is None:
                    return
                answer = self.answer(words)
                if answer is None:
                    return
                client.sendall(answer)
        except (OSError, ValueError):
            pass
        finally:
            client.close()

    def answer(self, words):
        """The reply's bytes; None closes the connection."""
        verb = words[0].upper()
        if verb in (b"INFO", b"PING"):
            return b"+PONG\r\n"
        with self.lock:
            self.requests += 1
            due = self.requests > self.after
            if due and self.fault == "sleep" and not self.asleep:
                # With the lock held: nobody is answered meanwhile.
                self.asleep = True
                time.sleep(1.0)
            if due:
                wrong = self.misbehave(verb)
                if wrong is not NOTHING:
                    return wrong
            return self.execute(verb, words[1:])

    def misbehave(self, verb):
        """A wrong answer of the transport kind, or NOTHING."""
        if self.fault == "close":
            self.faults += 1
            return None
        if self.fault == "stall":
            self.faults += 1
            self.lock.release()
            try:
                while not self.stopping:
                    time.sleep(0.05)
            finally:
                self.lock.acquire()
            return None
        if self.fault == "garbage":
            self.faults += 1
            return b"HTTP/1.1 400 Bad Request\r\n\r\n"
        if self.fault == "error":
            self.faults += 1
            return b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
        if self.fault == "wrong type" and verb == b"GET":
            self.faults += 1
            return b":17\r\n"
        if self.fault == "half":
            self.faults += 1
            return b"$100\r\nonly this"
        if self.fault == "extra":
            self.faults += 1
            return b"+OK\r\n+OK\r\n+OK\r\n"
        return NOTHING

    def now_and_then(self, fault):
        """True for one in fifty requests when `fault` is set and due."""
        hit = self.fault == fault and self.requests > self.after and self.requests % 50 == 0
        self.faults += hit
        return hit

    def execute(self, verb, words):
        key = words[0]
        if verb in (b"SET", b"HSET", b"ZADD", b"SADD"):
            where, value = {
                b"SET": lambda: ((key,), words[1]),
                b"HSET": lambda: ((key, words[1]), words[2]),
                b"ZADD": lambda: ((key, words[2]), words[1]),
                b"SADD": lambda: ((key, words[1]), b"1"),
            }[verb]()
            added = where not in self.data
            if not self.now_and_then("lose writes"):
                if self.now_and_then("corrupt"):
                    value = value[:-1] + b"#"
                self.data[where] = value
            return b"+OK\r\n" if verb == b"SET" else b":%d\r\n" % added
        if verb in (b"DEL", b"HDEL", b"SREM", b"ZREM"):
            where = (key,) if verb == b"DEL" else (key, words[1])
            known = where in self.data
            if known and not self.now_and_then("forget deletes"):
                del self.data[where]
            return b":%d\r\n" % known
        if verb == b"INCR":
            value = int(self.data.get((key,), b"0"))
            value += 2 if self.now_and_then("count twice") else 1
            self.data[(key,)] = b"%d" % value
            return b":%d\r\n" % value
        if verb == b"RPUSH":
            elements = self.data.setdefault((key,), [])
            if not self.now_and_then("lose writes"):
                elements.append(words[1])
            return b":%d\r\n" % len(elements)
        if verb in (b"LINDEX", b"LRANGE"):
            elements = self.data.get((key,), [])
            if verb == b"LRANGE":
                return b"*%d\r\n" % len(elements) + b"".join(bulk(each) for each in elements)
            return bulk(elements[-1] if elements else None)
        if verb == b"SISMEMBER":
            return b":%d\r\n" % ((key, words[1]) in self.data)
        if verb in (b"GET", b"HGET", b"ZSCORE"):
            return bulk(self.data.get((key,) if verb == b"GET" else (key, words[1])))
        return b"-ERR unknown command '" + verb + b"'\r\n"


NOTHING = object()


def bulk(text):
    return b"$-1\r\n" if text is None else b"$%d\r\n%s\r\n" % (len(text), text)


def read_command(reader):
    """The words of one request; None at the end."""
    head = reader.readline()
    if not head:
        return None
    if not head.startswith(b"*"):
        return head.split() or None
    words = []
    for _ in range(int(head[1:])):
        size = int(reader.readline()[1:])
        words.append(reader.read(size))
        reader.read(2)
    return words
