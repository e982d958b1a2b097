# SPDX-License-Identifier: Apache-2.0
"""Runs the same commands on two servers and finds the first reply that differs.

The raw bytes of a whole chunk are compared first; only where they differ, reply by reply, is
anything parsed.  The end of a chunk's replies is recognised by an ECHO of a marker that no
argument contains.
"""

import resp_client
import reply_comparison
from command_grammar import of
from resp_client import Error


class Difference:
    """One reply that is wrong: where in the list of commands it is, and both replies."""

    def __init__(self, index, command, mine, reference):
        self.index = index
        self.command = command
        self.mine = mine
        self.reference = reference


class ServerPair:
    """One connection to each of the two servers, in step."""

    def __init__(self, server, reference, resp):
        self.clients = [c.client(resp=resp, timeout=15) for c in (server, reference)]
        self.resp = resp
        self.marks = 0
        self.commands_run = 0
        self.tamper = None
        self.error_texts = []
        self.sorted_keys = set()

    def close(self):
        for client in self.clients:
            client.close()

    def exchange(self, commands, compared=False):
        """Both servers' raw replies to the commands; planted faults only into compared ones."""
        self.marks += 1
        mark = b"~mark%010d~" % self.marks
        wire = b"".join([command.wire() for command in commands])
        wire += resp_client.encode([b"ECHO", mark])
        end = b"$%d\r\n%s\r\n" % (len(mark), mark)
        for client in self.clients:
            client.send_raw(wire)
        answers = []
        for client in self.clients:
            try:
                while not client.buf.endswith(end):
                    client.fill()
            except (OSError, resp_client.Closed) as error:
                client.buf += b"-(no further reply: %s)\r\n" % str(error).encode()
                answers.append(bytes(client.buf))
                client.buf.clear()
                continue
            answers.append(bytes(client.buf[: -len(end)]))
            client.buf.clear()
        self.commands_run += len(commands)
        if self.tamper and compared:
            answers[0] = self.tamper(answers[0], commands)
        return answers

    def run(self, commands):
        """The first difference in the replies to the commands, or None.

        Where both refuse, with different texts, the state is still the same: these are put aside
        in `error_texts`.
        """
        for command in commands:
            self.note_sorted(command)
        mine, reference = self.exchange(commands, compared=True)
        if mine == reference:
            return None
        at = [0, 0]
        spans = []
        for index, command in enumerate(commands):
            spans.append(tuple(at))
            parts = []
            for side, answer in enumerate((mine, reference)):
                try:
                    end = resp_client.skip(answer, at[side])
                except (resp_client.Incomplete, resp_client.ProtocolError, ValueError, IndexError):
                    return Difference(index, command, mine[at[0] :], reference[at[1] :])
                parts.append(answer[at[side] : end])
                at[side] = end
            if parts[0] == parts[1]:
                continue
            values = [resp_client.parse(part)[0] for part in parts]
            neighbour = None
            if command.mode == "subset":
                neighbour = resp_client.parse(mine, at[0])[0] if at[0] < len(mine) else None
            elif command.mode == "popped" and index:
                neighbour = resp_client.parse(mine, spans[index - 1][0])[0]
            if not reply_comparison.equal(command, values[0], values[1], neighbour):
                found = Difference(index, command, parts[0], parts[1])
                if not (isinstance(values[0], Error) and isinstance(values[1], Error)):
                    return found
                self.error_texts.append(found)
        if at[0] != len(mine) or at[1] != len(reference):
            return Difference(len(commands) - 1, commands[-1], mine[at[0] :], reference[at[1] :])
        return None

    def note_sorted(self, command):
        """Follow the keys that SORT has read: their encodings are compared less strictly."""
        if isinstance(command.mode, list):
            for queued in command.mode:
                self.note_sorted(queued)
        elif command.mode in ("encoding", "sorted"):
            command.mode = "sorted" if command.parts[-1] in self.sorted_keys else "encoding"
        elif command.name in (b"SORT", b"SORT_RO"):
            self.sorted_keys.update(command.parts[1:2])
        elif command.name in (b"RENAME", b"RENAMENX", b"COPY") and len(command.parts) > 2:
            if command.parts[1] in self.sorted_keys:
                self.sorted_keys.add(command.parts[2])

    def flush(self):
        self.sorted_keys = set()
        self.exchange([of("DISCARD"), of("UNWATCH"), of("SELECT", "0"), of("FLUSHALL")])

    def keys(self):
        """The keys that either server has."""
        mine, reference = self.exchange([of("KEYS", "*")])
        found = set()
        for answer in (mine, reference):
            value = resp_client.parse(answer)[0]
            if isinstance(value, list):
                found.update(value)
        return found

    def state_commands(self, keys):
        """What reads the full state back: kinds first, then every value by its kind."""
        keys = sorted(set(keys) | self.keys())
        _, reference = self.exchange([of("TYPE", key) for key in keys])
        kinds, pos = [], 0
        for _ in keys:
            kind, pos = resp_client.parse(reference, pos)
            kinds.append(bytes(kind))
        commands = [of("KEYS", "*", mode="unordered")]
        for key, kind in zip(keys, kinds):
            commands.append(of("TYPE", key))
            if kind == b"none":
                continue
            commands.append(of("PTTL", key, mode="pttl"))
            commands.append(of("OBJECT", "ENCODING", key, mode="encoding"))
            if kind == b"string":
                commands += [of("GET", key), of("STRLEN", key)]
            elif kind == b"hash":
                commands += [of("HGETALL", key, mode="pairs"), of("HLEN", key)]
            elif kind == b"list":
                commands += [of("LRANGE", key, "0", "-1"), of("LLEN", key)]
            elif kind == b"set":
                commands += [of("SMEMBERS", key, mode="unordered"), of("SCARD", key)]
            elif kind == b"zset":
                commands += [of("ZRANGE", key, "0", "-1", "WITHSCORES"), of("ZCARD", key)]
                commands += [of("ZREVRANGE", key, "0", "-1")]
        commands.append(of("DBSIZE"))
        return commands

    def compare_state(self, keys):
        """The first difference in the state, or None."""
        return self.run(self.state_commands(keys))

    def compare_scans(self):
        """A full SCAN of the server under test finds exactly its keys."""
        client = self.clients[0]
        keys = set(client.must("KEYS", "*"))
        for count in ("1", "7", "1000"):
            found, cursor, steps = set(), b"0", 0
            while True:
                cursor, part = client.must("SCAN", cursor, "COUNT", count)
                found.update(part)
                steps += 1
                if cursor == b"0":
                    break
                if steps > 200000:
                    return "SCAN COUNT %s does not end" % count
            if found != keys:
                return "SCAN COUNT %s found %d of %d keys" % (count, len(found), len(keys))
        return None
