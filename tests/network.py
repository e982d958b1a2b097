# SPDX-License-Identifier: Apache-2.0
"""A network of the kernel's own for a ring of real processes: a namespace for each node, which is
cut off, and far away over a stretch that loses packets.

    clients  10.77.0.1 here, 10.77.0.2 ... at the nodes
    dc0, dc1 10.78.0.2 ... at the nodes: a bridge for each data center, each with a tap device, wan0
             and wan1, between which a process carries packets, or loses them (Distance)

So that clients still reach a node which others do not.  Everything lives in namespaces that the
test program enters before (enter()), processes included, and vanishes with it, however it ends.
"""

import collections
import fcntl
import multiprocessing
import os
import random
import select
import struct
import subprocess
import sys
import time

ENTERED = "DYNO_TEST_IN_NAMESPACE"
UNSHARE = ["unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
# As one who is not root; not everywhere is that allowed.
UNSHARE_AS_USER = UNSHARE + ["--user", "--map-root-user"]
# Everything that Network does, in small.
TRIAL = """mount -t tmpfs none /run && mkdir /run/netns && ip netns add trial &&
ip link add veth0 type veth peer name eth0 netns trial && ip link add bridge0 type bridge &&
ip link set veth0 master bridge0 && ip tuntap add mode tap tap0 &&
nsenter --net=/run/netns/trial ip link set eth0 up"""


def enter():
    """Starts the program again in namespaces of its own; returns why that is not possible."""
    if ENTERED in os.environ:
        _run("mount", "-t", "tmpfs", "none", "/run")
        os.mkdir("/run/netns")
        return ""
    why = "namespaces"
    for words in (UNSHARE, UNSHARE_AS_USER):
        try:
            trial = subprocess.run(
                words + ["sh", "-c", TRIAL], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError as error:
            return str(error)
        if trial.returncode == 0:
            os.environ[ENTERED] = "1"
            os.execvp(words[0], words + [sys.executable] + sys.argv)
        why = trial.stdout.decode(errors="replace").strip() or why
    return why


def _run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(words), done.stdout.decode(errors="replace")))
    return done.stdout.decode()


class Distance:
    """Carries packets between two tap devices, each way as it is told.

    What is lost is lost for good, packet by packet, so that the kernel's TCP does what it does.
    """

    TUN_SET_INTERFACE = 0x400454CA
    TAP_WITHOUT_HEADER = 0x0002 | 0x1000
    PACKET_MAX = 65536
    TURN_SECONDS = 0.05  # After which new settings are seen at the latest, when nothing comes.

    def __init__(self, names):
        self.files = [self._open(name) for name in names]
        # By direction: what is sent by the first, and by the second.
        self._delay_seconds = multiprocessing.RawArray("d", 2)
        self._loss = multiprocessing.RawArray("d", 2)
        self._passed = multiprocessing.RawArray("Q", 2)
        self._lost = multiprocessing.RawArray("Q", 2)
        self._process = multiprocessing.get_context("fork").Process(target=self._run, daemon=True)
        self._process.start()

    def set(self, delay_seconds=(0, 0), loss=(0, 0)):
        """Each way; a loss of 1 lets nothing through.  What is on its way arrives."""
        self._delay_seconds[:] = delay_seconds
        self._loss[:] = loss

    def passed(self, way):
        """Packets that got through, ever: 0 is what the first sends."""
        return self._passed[way]

    def lost(self, way):
        return self._lost[way]

    def _open(self, name):
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        wanted = struct.pack("16sH14x", name.encode(), self.TAP_WITHOUT_HEADER)
        fcntl.ioctl(file, self.TUN_SET_INTERFACE, wanted)
        return file

    def _run(self):
        dice = random.Random(1)
        queues = [collections.deque(), collections.deque()]
        while True:
            now = time.monotonic()
            dues = [queue[0][0] for queue in queues if queue]
            wait = max(0, min(dues) - now) if dues else self.TURN_SECONDS
            select.select(self.files, [], [], min(wait, self.TURN_SECONDS))
            for way, queue in enumerate(queues):
                self._take(way, queue, dice)
                now = time.monotonic()
                while queue and queue[0][0] <= now:
                    self._give(way, queue.popleft()[1])

    def _take(self, way, queue, dice):
        due = time.monotonic() + self._delay_seconds[way]
        while True:
            try:
                packet = os.read(self.files[way], self.PACKET_MAX)
            except BlockingIOError:
                return
            if dice.random() < self._loss[way]:
                self._lost[way] += 1
            else:
                queue.append((due, packet))

    def _give(self, way, packet):
        try:
            os.write(self.files[1 - way], packet)
            self._passed[way] += 1
        except OSError:  # The device is down, or full.
            self._lost[way] += 1


class Network:
    """Nodes of two data centers, as local_ring.Ring numbers and places them."""

    def __init__(self):
        self.places = []
        _run("ip", "link", "set", "lo", "up")
        for bridge in ("clients", "dc0", "dc1"):
            _run("ip", "link", "add", bridge, "type", "bridge")
            _run("ip", "link", "set", bridge, "up")
        _run("ip", "address", "add", "10.77.0.1/24", "dev", "clients")
        self.distance = Distance(("wan0", "wan1"))
        for number in range(2):
            _run("ip", "link", "set", "wan%d" % number, "master", "dc%d" % number, "up")

    def place(self, node, number):
        """Gives a node of local_ring a namespace; the number is where it stands among all."""
        name = "node%d" % number
        _run("ip", "netns", "add", name)
        node.command = ["nsenter", "--net=/run/netns/" + name]
        node.host = "10.77.0.%d" % (number + 2)
        node.peer_host = "10.78.0.%d" % (number + 2)
        for inside, bridge, address in (
            ("clients", "clients", node.host),
            ("peers", node.dc, node.peer_host),
        ):
            outside = "%s%d" % (inside, number)
            peer = ["peer", "name", inside, "netns", name]
            _run("ip", "link", "add", outside, "type", "veth", *peer)
            _run("ip", "link", "set", outside, "master", bridge, "up")
            _run(*node.command, "ip", "address", "add", address + "/24", "dev", inside)
            _run(*node.command, "ip", "link", "set", inside, "up")
        _run(*node.command, "ip", "link", "set", "lo", "up")

    def set_up(self, number, is_up):
        """Cuts a node off from everybody, clients too, or connects it again."""
        for device in ("clients", "peers"):
            _run("ip", "link", "set", "%s%d" % (device, number), "up" if is_up else "down")
