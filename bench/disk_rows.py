# SPDX-License-Identifier: Apache-2.0
"""The rows of bench/compare about the disk.

disk, ten times memory   A node whose memory holds a tenth of its values (storage.mode = spill)
                         beside one that holds all: reads of which nine tenths go to a fiftieth of
                         the keys, and reads of keys that never existed.
disk, restart            From the start of a process to its first reply from its data: durable,
                         killed while idle, beside redis-server with a snapshot and with a log.
disk, everysec                          Writes of a durable node beside those of one in memory.
disk, always                            Writes that wait for the disk, beside redis-server's.
"""

import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

from contestant import measure, start_node, start_process

VALUE_BYTES = 1000
# What a key and its value take in memory, about.
KEY_BYTES = VALUE_BYTES + 60
TIMES = 10
HOT = "hotspot:0.02:0.9"
READS_GOAL, ABSENT_GOAL, RESTART_GOAL = 0.5, 0.9, 20
EVERYSEC_GOAL, ALWAYS_GOAL = 0.7, 2
RESTART_SECONDS = 600


class DiskRows:
    def __init__(self, comparison):
        self.comparison, self.arguments = comparison, comparison.arguments
        self.folder = tempfile.mkdtemp(prefix="disk-", dir=comparison.folder)

    def run(self):
        try:
            self.run_spill("disk, ten times memory")
            self.run_restart("disk, restart")
            self.run_everysec("disk, everysec")
            self.run_always("disk, always")
        except (OSError, subprocess.SubprocessError) as error:
            self.comparison.fail("disk", str(error))

    # --- More data than memory

    def run_spill(self, name):
        if not self.comparison.wanted(name):
            return
        keys = self.arguments.keys
        memory = keys * KEY_BYTES // TIMES
        path = os.path.join(self.folder, "spill")
        flags = ["--storage-mode", "spill", "--storage-path", path]
        running = []
        try:
            running.append(start_node(self.arguments))
            running.append(start_node(self.arguments, *flags, "--memory-maxmemory", str(memory)))
            print(f"{'':<34} {'':<15} {'memory':>11} {'disk':>11}", flush=True)
            for node in running:
                self.fill(node, ["-d", str(VALUE_BYTES), "-r", str(keys), "-P", "16"])
            for pipeline in (1, 16):
                reads = ["-r", str(keys), "--dist", HOT, "-t", "get", "-P", str(pipeline)]
                self.ratio_row(f"{name}, GET P={pipeline}", running, reads, READS_GOAL)
            absent = ["-r", str(keys), "--command", "GET never:__key__", "-P", "16"]
            self.ratio_row(f"{name}, absent P=16", running, absent, ABSENT_GOAL)
        finally:
            for node in running:
                node.stop()

    def fill(self, node, flags):
        words = [self.arguments.bench, "-q", "--no-info", "--load-only", "--load-command"]
        words += ["SET __key__ __data__", "-e", "127.0.0.1:%d" % node.ports[0]]
        subprocess.run(words + flags, check=True, stdout=subprocess.DEVNULL)

    def ratio_row(self, name, running, flags, goal):
        rounds = []
        for i in range(self.arguments.rounds + 1):
            measured = {}
            for node in running if i % 2 == 0 else reversed(running):
                measured[node] = measure(self.arguments, node, flags)
            if None in measured.values():
                return self.comparison.fail(name, "the load tool failed")
            # In the first round what is hot comes from disk.
            if i > 0:
                rounds.append([measured[node] for node in running])
        memory, disk = (statistics.median(each[i][0] for each in rounds) for i in (0, 1))
        ratio = statistics.median(ours[0] / all_of[0] for all_of, ours in rounds)
        shown = [f"{each:,.0f}" for each in (memory, disk)]
        self.comparison.report(name, "requests/s", *shown, ratio, goal, True)

    # --- Durable writes

    def run_everysec(self, name):
        if not self.comparison.wanted(name):
            return
        running = []
        try:
            running.append(start_node(self.arguments))
            running.append(self.start_durable("everysec"))
            print(f"{'':<34} {'':<15} {'memory':>11} {'everysec':>11}", flush=True)
            for pipeline in (1, 16):
                row = f"{name}, SET P={pipeline}"
                self.ratio_row(row, running, self.sets(pipeline), EVERYSEC_GOAL)
        finally:
            for node in running:
                node.stop()

    def run_always(self, name):
        if not self.comparison.wanted(name):
            return
        path = os.path.join(self.folder, "always")
        os.makedirs(path)
        words = [self.arguments.redis, "--port", "PORT", "--bind", "127.0.0.1", "--dir", path]
        words += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        running = []
        try:
            running.append(start_process(words))
            self.await_reply(running[0])
            running.append(self.start_durable("always"))
            print(f"{'':<34} {'':<15} {'redis':>11} {'dyno':>11}", flush=True)
            for pipeline in (1, 16):
                row = f"{name}, SET P={pipeline}"
                self.ratio_row(row, running, self.sets(pipeline), ALWAYS_GOAL)
        finally:
            for node in running:
                node.stop()

    def start_durable(self, fsync):
        path = os.path.join(self.folder, fsync + "-dyno")
        flags = ["--storage-mode", "durable", "--storage-path", path, "--storage-fsync", fsync]
        return start_node(self.arguments, *flags)

    def sets(self, pipeline):
        return ["-t", "set", "-d", "32", "-r", str(self.arguments.keys), "-P", str(pipeline)]

    # --- Restart

    def run_restart(self, name):
        if not self.comparison.wanted(name):
            return
        durable = os.path.join(self.folder, "durable")
        node = [self.arguments.server, "--client-listen", "127.0.0.1:PORT", "--admin-listen", ""]
        node += ["--storage-mode", "durable", "--storage-path", durable]
        ours = self.restart(node, [])
        seconds = {}
        for kind, flags in (("rdb", ["--appendonly", "no"]), ("aof", ["--appendonly", "yes"])):
            path = os.path.join(self.folder, kind)
            os.makedirs(path)
            words = [self.arguments.redis, "--port", "PORT", "--bind", "127.0.0.1", "--dir", path]
            before = [["SAVE"]] if kind == "rdb" else []
            seconds[kind] = self.restart(words + ["--save", ""] + flags, before)
            shutil.rmtree(path)
        for kind, theirs in seconds.items():
            shown = [f"{each:.3f} s" for each in (theirs, ours)]
            row = f"{name}, redis with {kind.upper()}"
            self.comparison.report(row, "to first reply", *shown, theirs / ours, RESTART_GOAL, True)

    def restart(self, words, before_end):
        """Seconds from the start of the second process to its first reply from the data."""
        first = start_process(words)
        try:
            self.await_reply(first)
            self.fill(first, ["-r", str(self.arguments.keys), "-d", "32", "-P", "32"])
            for command in before_end:
                self.ask(first, *command)
            time.sleep(2)  # Until what is written once a second is.
        finally:
            first.kill()
        began = time.monotonic()
        second = start_process(words)
        try:
            self.await_reply(second)
            return time.monotonic() - began
        finally:
            second.kill()

    def await_reply(self, server):
        deadline = time.monotonic() + RESTART_SECONDS
        while time.monotonic() < deadline and server.process.poll() is None:
            try:
                if not self.ask(server, "GET", "key:000000000001").startswith(b"-LOADING"):
                    return
            except OSError:
                pass
            time.sleep(0.001)
        raise OSError("%s does not serve" % server.process.args[0])

    @staticmethod
    def ask(server, *words):
        """The beginning of the reply to one command."""
        text = "*%d\r\n" % len(words) + "".join("$%d\r\n%s\r\n" % (len(w), w) for w in words)
        with socket.create_connection(("127.0.0.1", server.ports[0]), RESTART_SECONDS) as link:
            link.sendall(text.encode())
            reply = link.recv(4096)
        if not reply:
            raise OSError("it has closed the connection")
        return reply
