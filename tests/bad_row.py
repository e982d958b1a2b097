# SPDX-License-Identifier: Apache-2.0
"""What a row of the bad-input catalogue is, and what the rows' bodies use to judge replies."""

from resp_client import Error
from tally import require

MIB = 1 << 20
LOW, HIGH = "-9223372036854775808", "9223372036854775807"
TOO_LONG = b"-string exceeds maximum allowed size"
NOT_INT = b"-value is not an integer or out of range"
NOT_FLOAT = b"-not a valid float"
RANGE = b"-out of range"
SYNTAX = b"-syntax error"
WRONG_TYPE = b"-WRONGTYPE"


class Row:
    """One row: id, body, and the memory that may be left over."""

    def __init__(self, name, function, kept_mib, rss_mib, redis_worse):
        self.id = name
        self.function = function
        self.kept_mib = kept_mib
        self.rss_mib = rss_mib
        self.redis_worse = redis_worse


# What threads keep for their next allocations comes and goes by a MiB.
KEPT_MIB = 2.0


def row(rows, name, kept_mib=KEPT_MIB, rss_mib=64, redis_worse=""):
    """Decorator: adds the function to the rows."""

    def add(function):
        rows.append(Row(name, function, kept_mib, rss_mib, redis_worse))
        return function

    return add


def expect(client, command, *allowed):
    """The reply is one of those allowed; b"-text" allows an error with that text in it."""
    reply = client.call(*command)
    for choice in allowed:
        if isinstance(choice, bytes) and choice.startswith(b"-"):
            if isinstance(reply, Error) and choice[1:].lower() in reply.lower():
                return reply
        elif not isinstance(reply, Error) and reply == choice and type(reply) is not bool:
            return reply
    shown = [repr(word)[:60] for word in command]
    raise AssertionError("%s answered %r, not %r" % (" ".join(shown), reply, allowed))


def refused(scene, data, *texts, port=None):
    """The bytes are answered by a protocol error with one of the texts, then the end."""
    client = scene.client() if port is None else port
    client.send_raw(data)
    answer, closed = client.read_until_closed(timeout=5)
    shown = "%r answered %r" % (data[:40], answer[:200])
    require(answer.startswith(b"-ERR Protocol error: "), shown)
    require(any(text in answer for text in texts), shown)
    require(closed, "%r: the connection stayed open" % data[:40])
