# SPDX-License-Identifier: Apache-2.0
"""Who takes part in a row of bench/compare that dyno-bench does not run whole by itself: processes
that stay up for several measurements, and one measurement of them.
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Contestant:
    """A node, or a ring: its processes, and where clients go."""

    def __init__(self, process, pids, ports):
        self.process, self.pids, self.ports = process, pids, ports

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()


def start_process(words):
    """A server on a port that stands in its command line as PORT; it may not serve yet."""
    port = free_port()
    words = [word.replace("PORT", str(port)) for word in words]
    with open(os.devnull, "wb") as nothing:
        process = subprocess.Popen(words, stdout=nothing, stderr=nothing)
    return Contestant(process, [process.pid], [port])


def start_node(arguments, *flags):
    """A dyno-server that serves."""
    words = [arguments.server, "--client-listen", "127.0.0.1:PORT", "--admin-listen", ""]
    node = start_process(words + arguments.dyno_flags.split() + list(flags))
    deadline = time.monotonic() + START_SECONDS
    while node.process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", node.ports[0]), timeout=1).close()
            return node
        except OSError:
            time.sleep(0.05)
    raise OSError("%s does not serve" % arguments.server)


def measure(arguments, contestant, flags):
    """Requests per second and microseconds of processor time for each, or None."""
    words = [arguments.bench, "-q", "--no-info", "-c", "50"]
    words += ["--duration", arguments.duration, "--warmup", "0.3s"]
    words += ["--server-pid", ",".join(map(str, contestant.pids))]
    for port in contestant.ports:
        words += ["-e", "127.0.0.1:%d" % port]
    with tempfile.NamedTemporaryFile(mode="r", encoding="utf-8") as file:
        done = subprocess.run(
            words + ["--json", file.name] + flags, capture_output=True, text=True, check=False
        )
        if arguments.verbose or done.returncode != 0:
            print(done.stdout + done.stderr, flush=True)
        if done.returncode != 0:
            return None
        run = json.load(file)["runs"][-1]
    if run["failed"]:
        print(f"{'':<34} {run['failed']} requests failed: {run['errors']}", flush=True)
    return run["throughput"], run["server_cpu_us_per_request"]
