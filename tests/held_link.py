# SPDX-License-Identifier: Apache-2.0
"""A stretch of network between two processes that can be cut and slowed: a port that passes what
it is sent on to another one.

While a direction is held, its bytes stay where they are, as they would while packets are lost:
nothing is closed, and what was sent before arrives when the direction is released.  A delay holds
every byte for that long.
"""

import collections
import select
import socket
import threading
import time

CHUNK = 65536
CHUNKS_MAX = 64
TURN_SECONDS = 0.02


class _Flow:
    """One direction of one connection."""

    def __init__(self, source, target, forth):
        self.source, self.target, self.forth = source, target, forth
        self.chunks = collections.deque()  # (time at which it is due, bytes)
        self.ended = False


class HeldLink:
    def __init__(self, target_port):
        self.target_port = target_port
        self.delay_seconds = 0.0
        self.bytes_forth = 0
        self._held = {True: False, False: False}  # By direction: forth, and back to the dialer.
        self._flows = []
        self._breaking = threading.Event()
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def hold(self, forth=True, back=True):
        self._held = {True: forth, False: back}

    def release(self):
        self.hold(False, False)

    def sever(self):
        """Closes all connections; what was held of them is lost."""
        self._breaking.set()
        while self._breaking.is_set() and self._thread.is_alive():
            time.sleep(0.001)

    def close(self):
        self._stopping.set()
        self._thread.join()
        self._drop(list(self._flows))
        self._listener.close()

    def _run(self):
        while not self._stopping.is_set():
            if self._breaking.is_set():
                self._drop(list(self._flows))
                self._breaking.clear()
            readable = {
                flow.source: flow
                for flow in self._flows
                if not self._held[flow.forth] and not flow.ended and len(flow.chunks) < CHUNKS_MAX
            }
            waits = any(flow.chunks and not self._held[flow.forth] for flow in self._flows)
            ready, _, _ = select.select(
                [self._listener, *readable], [], [], 0.001 if waits else TURN_SECONDS
            )
            for each in ready:
                if each is self._listener:
                    self._accept()
                elif each.fileno() >= 0:
                    self._read(readable[each])
            for flow in list(self._flows):
                self._pass_on(flow)

    def _accept(self):
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self.target_port), timeout=1)
        except OSError:
            near.close()
            return
        for end in (near, far):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._flows += [_Flow(near, far, True), _Flow(far, near, False)]

    def _read(self, flow):
        try:
            part = flow.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        flow.ended = not part
        self.bytes_forth += len(part) if flow.forth else 0
        flow.chunks.append((time.monotonic() + self.delay_seconds, part))

    def _pass_on(self, flow):
        while flow.chunks and not self._held[flow.forth] and flow in self._flows:
            due, part = flow.chunks[0]
            if due > time.monotonic():
                return
            flow.chunks.popleft()
            try:
                sent = flow.target.send(part) if part else -1
            except BlockingIOError:
                sent = 0
            except OSError:
                sent = -1
            if sent < 0:
                self._drop([each for each in self._flows if each.source is flow.source])
            elif sent < len(part):
                flow.chunks.appendleft((due, part[sent:]))
                return

    def _drop(self, flows):
        """Closes connections with both of their directions."""
        ends = {end for flow in flows for end in (flow.source, flow.target)}
        for end in ends:
            end.close()
        self._flows = [flow for flow in self._flows if flow.source not in ends]
