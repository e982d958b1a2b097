# SPDX-License-Identifier: Apache-2.0
"""A node that keeps its data on disk, for the tests of that: a directory that outlives processes.

The directory is the test's, below the temporary directory, and goes when the `with` block is left.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time

import resp_client
from server_process import free_port
from tally import require

SERVER = []  # The command line of the server under test.
START_S = 30


class Node:
    """One directory, and the process that has it, if there is one."""

    def __init__(self, fsync="always", options=(), path=None, mode="durable"):
        self.mode = mode
        self.options = ["--storage-fsync", fsync, "--server-threads", "2"] + list(options)
        self.root = tempfile.mkdtemp(prefix="dyno-durable-")
        self.path = path or os.path.join(self.root, "data")
        self.process = None
        self.port = 0
        self.starts = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        alive = self.process is not None and self.process.poll() is None
        if kind is None and alive:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(30)
            text = self.log()
            shutil.rmtree(self.root, ignore_errors=True)
            require(code == 0, "the node ended with %s:\n%s" % (code, text[-3000:]))
        if alive:
            self.kill()
        if kind is not None:
            print(self.log()[-3000:])
        shutil.rmtree(self.root, ignore_errors=True)

    def launch(self, path=None, options=()):
        """A process on the directory, or another one; it is not waited for."""
        self.port = free_port()
        self.starts += 1
        listen = "127.0.0.1:%d" % self.port
        words = SERVER + ["--client-listen", listen, "--admin-listen", "127.0.0.1:0"]
        words += ["--storage-mode", self.mode, "--storage-path", path or self.path]
        with open(self.log_path(), "wb") as log:
            return subprocess.Popen(
                words + self.options + list(options), stdout=log, stderr=log, cwd=self.root
            )

    def start(self, path=None, options=()):
        self.process = self.launch(path, options)
        deadline = time.monotonic() + START_S
        while True:
            require(self.process.poll() is None, "the node did not start:\n" + self.log()[-3000:])
            try:
                with self.client() as client:
                    if client.call("PING") == b"PONG":
                        return
            except (OSError, resp_client.Closed):
                pass
            require(time.monotonic() < deadline, "the node does not answer:\n" + self.log())
            time.sleep(0.01)

    def start_refused(self, *words, path=None, options=()):
        """A start that fails, with all the words in what it says; nothing is served."""
        process = self.launch(path, options)
        try:
            code = process.wait(START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("it serves, instead of refusing:\n" + self.log()) from None
        text = self.log()
        require(code > 0, "it ended with %d:\n%s" % (code, text))
        for word in words:
            require(word.lower() in text.lower(), "%r is not in:\n%s" % (word, text))
        return text

    def log_path(self):
        return os.path.join(self.root, "%d.log" % self.starts)

    def log(self):
        with open(self.log_path(), encoding="utf-8", errors="replace") as file:
            return file.read()

    def client(self, timeout=60.0, **options):
        return resp_client.Client(self.port, timeout=timeout, **options)

    def info(self):
        time.sleep(0.15)  # INFO may be 0.1 s old.
        with self.client() as client:
            return resp_client.info(client, "persistence")

    def await_true(self, what, judge, seconds=20):
        deadline = time.monotonic() + seconds
        while not judge():
            require(time.monotonic() < deadline, "not in time: %s\n%s" % (what, self.log()[-2000:]))
            time.sleep(0.05)

    def await_read(self):
        """Until all data is read back."""
        self.await_true("all is read back", lambda: self.info()["async_loading"] == "0")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def crash(self):
        """Kill -9, then start again."""
        self.kill()
        self.start()

    def shut_down(self):
        with self.client() as client:
            client.send("SHUTDOWN")
            client.read_until_closed(timeout=30)
        code = self.process.wait(30)
        require(code == 0, "SHUTDOWN ended with %d:\n%s" % (code, self.log()))

    def files(self, ending):
        """The data's files of a kind, by full path, the oldest first."""
        folder = os.path.join(self.path, "db")
        return sorted(
            os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(ending)
        )

    def copy(self):
        """Another node on a copy of the directory, not started."""
        other = Node()
        other.options = self.options
        shutil.copytree(self.path, other.path)
        return other

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


def content(client, key):
    """What a key holds, whatever order it is told in, and when it ends."""
    kind = bytes(client.must("TYPE", key))
    if kind == b"string":
        value = client.must("GET", key)
    elif kind == b"list":
        value = client.must("LRANGE", key, 0, -1)
    elif kind == b"set":
        value = sorted(client.must("SMEMBERS", key))
    elif kind == b"zset":
        value = client.must("ZRANGE", key, 0, -1, "WITHSCORES")
    elif kind == b"hash":
        flat = client.must("HGETALL", key)
        names = sorted(flat[::2])
        ends = client.must("HPEXPIRETIME", key, "FIELDS", len(names), *names) if names else []
        value = (sorted(zip(flat[::2], flat[1::2])), ends)
    else:
        value = None
    return kind, value, client.must("PEXPIRETIME", key)


def everything(client, databases=16):
    """The whole data set: (database, key) -> content."""
    found = {}
    for db in range(databases):
        client.must("SELECT", db)
        for key in client.must("KEYS", "*"):
            found[db, key] = content(client, key)
    client.must("SELECT", 0)
    return found


def differences(before, after):
    """A short text on how two data sets differ, empty when they do not."""
    wrong = []
    for key in sorted(set(before) | set(after)):
        if before.get(key) != after.get(key):
            wrong.append("%r: %.200r -> %.200r" % (key, before.get(key), after.get(key)))
    return "; ".join(wrong[:5])
