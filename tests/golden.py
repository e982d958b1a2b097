#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden texts: commands and the exact replies to them, in tests/golden/*.txt.

A file is a list of cases with an empty line between.  A case is

    # comments, kept
    COMMAND arg "arg with \\x00 escapes"     one or more command lines
    ----
    the replies, as redis-cli --no-raw prints them
    ---- redis 7.0
    the replies of Redis 7.0, where 7.2 (what we are) answers differently

Every file starts on an empty server with new connections.  Before a command can stand:

    @2          another connection (they are numbered; the first is 1)
    @2&         send on connection 2, wait until it is blocked, read nothing
    @2!         send on connection 2, read nothing
    @2 <        read one reply (or push message) that is due on connection 2
    %sorted     the lines of the reply in sorted order: for unordered replies
    %around N   the integer of the reply may differ by N: for times
    %type       only the kind of the reply
    %quiet      run it, show nothing
    !sleep MS   wait

A file with a line `# requires NAME` is skipped when the server has no command of that name.

--rewrite writes the replies of the running server into the files (a Redis 7.0 fills the
`redis 7.0` part where there is one).
"""

import glob
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

# pylint: disable=wrong-import-position
import resp_client
import tally
from resp_client import BigNumber, Double, Error, Map, Push, Set, Simple, Verbatim
from server_process import ServerProcess

OLD = "---- redis 7.0"


class NullArray:
    """The null array of RESP2."""


resp_client.NULL_ARRAY = NullArray()


def quote(data):
    out = ['"']
    names = {10: "\\n", 13: "\\r", 9: "\\t", 7: "\\a", 8: "\\b", 34: '\\"', 92: "\\\\"}
    for byte in data:
        if byte in names:
            out.append(names[byte])
        elif 32 <= byte < 127:
            out.append(chr(byte))
        else:
            out.append("\\x%02x" % byte)
    return "".join(out) + '"'


def scalar(value):
    """A reply that has no elements, on one line."""
    if value is None:
        return "(nil)"
    if isinstance(value, NullArray):
        return "(nil array)"
    if isinstance(value, bool):
        return "(true)" if value else "(false)"
    if isinstance(value, int):
        return "(integer) %d" % value
    if isinstance(value, Error):
        return "(error) " + value.decode("latin-1").encode("unicode_escape").decode()
    if isinstance(value, Simple):
        return value.decode("latin-1").encode("unicode_escape").decode()
    if isinstance(value, Double):
        return "(double) " + value.decode()
    if isinstance(value, BigNumber):
        return "(big number) " + value.decode()
    if isinstance(value, Verbatim):
        return "(verbatim) " + quote(value)
    return quote(value)


def render(value, indent=""):
    """A reply as lines of text."""
    if not isinstance(value, list):
        return [scalar(value)]
    kinds = {Map: ("#", "map"), Set: ("~", "set"), Push: (">", "push")}
    mark, name = kinds.get(type(value), (")", "array"))
    if not value:
        return ["(empty %s)" % name]
    lines = []
    width = len(str(len(value)))
    for number, item in enumerate(value, 1):
        head = "%*d%s " % (width, number, mark)
        if isinstance(value, Map):
            key, item = item
            head += "; ".join(render(key)) + " => "
            part = render(item)
            if len(part) > 1:
                lines.append(head.rstrip())
                lines += [" " * 4 + line for line in part]
                continue
        else:
            part = render(item)
        lines.append(head + part[0])
        lines += [" " * len(head) + line for line in part[1:]]
    return lines


ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "a": b"\a", "b": b"\b"}


def split(line):
    """The arguments of a command line, with redis-cli's quoting."""
    args, pos = [], 0
    while pos < len(line):
        if line[pos] == " ":
            pos += 1
            continue
        out = b""
        if line[pos] == '"':
            pos += 1
            while line[pos] != '"':
                if line[pos] == "\\":
                    pos += 1
                    if line[pos] == "x":
                        out += bytes([int(line[pos + 1 : pos + 3], 16)])
                        pos += 3
                        continue
                    out += ESCAPES.get(line[pos], line[pos].encode())
                else:
                    out += line[pos].encode()
                pos += 1
            pos += 1
        else:
            end = line.find(" ", pos)
            end = len(line) if end < 0 else end
            out = line[pos:end].encode()
            pos = end
        repeat = re.match(rb"^(.*)\*\{(\d+)\}$", out)
        args.append(repeat.group(1) * int(repeat.group(2)) if repeat else out)
    return args


class Case:
    """One case of a file, as it stands there."""

    def __init__(self, text):
        bar = re.search(r"\n----(?=\n|$)", text)
        body = text[: bar.start()] if bar else text
        rest = text[bar.end() + 1 :] if bar else ""
        self.lines = body.split("\n")
        self.commands = [line for line in self.lines if line and not line.startswith("#")]
        new, marker, old = ("\n" + rest).partition("\n" + OLD + "\n")
        if not marker and new.endswith("\n" + OLD):
            new, marker = new[: -len(OLD) - 1], OLD
        self.expected = {"new": new[1:] if new else "", "old": old if marker else None}

    def text(self):
        out = "\n".join(self.lines) + "\n----"
        if self.expected["new"]:
            out += "\n" + self.expected["new"]
        if self.expected["old"] is not None:
            out += "\n" + OLD + "\n" + self.expected["old"]
        return out


class Session:
    """The connections of one file."""

    def __init__(self, server):
        self.server = server
        self.control = server.client()
        self.control.must("FLUSHALL")
        self.clients = {}
        self.sent = 0

    def close(self):
        for client in list(self.clients.values()) + [self.control]:
            client.close()

    def client(self, number):
        if number not in self.clients:
            self.clients[number] = self.server.client(timeout=5)
        return self.clients[number]

    def wait_blocked(self, count):
        """Until that many clients are blocked; a client that does not block is the text's error."""
        for _ in range(200):
            if resp_client.blocked_clients(self.control) >= count:
                return
            time.sleep(0.005)

    def run(self, line):
        """The text lines that one command line produces."""
        if line.startswith("!sleep "):
            time.sleep(float(line[7:]) / 1000)
            return []
        number = 1
        head = re.match(r"@(\d+)([&!]?) ", line)
        if head:
            number = int(head.group(1))
            line = line[head.end() :]
        client = self.client(number)
        options = {}
        while line.startswith("%"):
            name, _, line = line[1:].partition(" ")
            if name == "around":
                options[name], _, line = line.partition(" ")
            else:
                options[name] = True
        if line == "<":
            self.sent = max(0, self.sent - 1)
            return render(client.read())
        client.send(*split(line))
        if head and head.group(2) == "!":
            return []
        if head and head.group(2):
            self.sent += 1
            self.wait_blocked(self.sent)
            return []
        reply = client.read()
        if "quiet" in options and not isinstance(reply, Error):
            return []
        lines = render(reply)
        if "type" in options and not isinstance(reply, Error):
            return ["(%s)" % type(reply).__name__.lower()]
        if "sorted" in options:
            lines = sorted(re.sub(r"^( *\d+[)~#] )+", "", text) for text in lines)
        if "around" in options:
            lines = ["%s ~%s" % (lines[0], options["around"])]
        return lines


def agree(got, expected):
    """Whether the texts are equal; integers with a tolerance only nearly."""
    if got == expected:
        return True
    mine, theirs = got.split("\n"), expected.split("\n")
    if len(mine) != len(theirs):
        return False
    for one, two in zip(mine, theirs):
        about = re.match(r"\(integer\) (-?\d+) ~(\d+)$", two)
        other = re.match(r"\(integer\) (-?\d+) ~", one)
        if about and other:
            if abs(int(about.group(1)) - int(other.group(1))) > int(about.group(2)):
                return False
        elif one != two:
            return False
    return True


def run_file(path, server, version, rewrite, result):
    name = os.path.basename(path)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    session = Session(server)
    needs = re.search(r"^# requires (\S+)$", text, re.MULTILINE)
    if needs and session.control.call("COMMAND", "INFO", needs.group(1)) == [None]:
        result.skip(name, "the server has no " + needs.group(1))
        session.close()
        return
    chunks = text.strip("\n").split("\n\n")
    out = []
    for number, chunk in enumerate(chunks, 1):
        if "\n----" not in chunk and not rewrite:
            out.append(chunk)
            if [line for line in chunk.split("\n") if not line.startswith("#")]:
                result.fail("%s case %d" % (name, number), "no ---- line in: " + chunk)
            continue
        case = Case(chunk)
        if not case.commands:
            out.append(chunk)
            continue
        got = []
        try:
            for line in case.commands:
                got += session.run(line)
        except (resp_client.Closed, ConnectionError):
            got.append("(closed)")
        except (OSError, resp_client.ProtocolError) as error:
            got.append("(%s)" % (str(error) or type(error).__name__))
        got = "\n".join(got)
        expected = case.expected[version]
        if expected is None:
            expected = case.expected["new"]
        if agree(got, expected):
            result.ok()
        elif rewrite:
            case.expected[version if case.expected[version] is not None else "new"] = got
        else:
            text = "\n  command:  %s\n  expected: %s\n  got:      %s"
            indent = "\n            "
            result.fail(
                "%s case %d" % (name, number),
                text
                % (
                    indent.join(case.commands),
                    expected.replace("\n", indent),
                    got.replace("\n", indent),
                ),
            )
        out.append(case.text())
    session.close()
    if rewrite:
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n\n".join(out) + "\n")


def main():
    parser = tally.arguments(__doc__)
    parser.formatter_class = __import__("argparse").RawDescriptionHelpFormatter
    parser.add_argument("--rewrite", action="store_true", help="write the replies into the files")
    parser.add_argument("files", nargs="*", help="default: all of tests/golden")
    options = parser.parse_args()
    files = options.files or sorted(glob.glob(os.path.join(HERE, "golden", "*.txt")))
    result = tally.Tally("golden")
    for path in files:
        with ServerProcess(options.server) as server:
            with server.client() as client:
                old = "old" if b"redis_version:7.0." in client.call("INFO", "server") else "new"
            run_file(path, server, old, options.rewrite, result)
    result.finish()


if __name__ == "__main__":
    main()
