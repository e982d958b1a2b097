# SPDX-License-Identifier: Apache-2.0
"""Wrong replies to plant, in order to see that the differential test notices them.

Each fault changes the raw replies of one chunk once, where it finds something to change.
"""

import re


class Fault:
    """Rewrites the first reply text that matches, once."""

    def __init__(self, pattern, replace, needs=None):
        self.pattern = re.compile(pattern, re.DOTALL)
        self.replace = replace
        self.needs = needs
        self.done = False

    def tamper(self, answer, commands):
        if self.done or (self.needs and not any(c.name == self.needs for c in commands)):
            return answer
        changed, count = self.pattern.subn(self.replace, answer, count=1)
        if count and changed != answer:
            self.done = True
            return changed
        return answer


PLANTED = {
    "wrong integer": lambda: Fault(rb":3\r\n", b":4\r\n"),
    "wrong value": lambda: Fault(rb"\$2\r\nv7\r\n", b"$2\r\nv8\r\n"),
    "wrong null": lambda: Fault(rb"(\$-1|_)\r\n", b"$0\r\n\r\n"),
    "wrong error": lambda: Fault(rb"-WRONGTYPE", b"-ERR"),
    "OK for an error": lambda: Fault(rb"-ERR[^\r]*\r\n", b"+OK\r\n"),
    "lost reply": lambda: Fault(rb"\+OK\r\n", b""),
    "extra reply": lambda: Fault(rb"\+OK\r\n", b"+OK\r\n+OK\r\n"),
    "wrong member of a set": lambda: Fault(rb"\$2\r\nm2\r\n", b"$2\r\nzz\r\n", b"SMEMBERS"),
    "wrong encoding": lambda: Fault(rb"\$6\r\nembstr", b"$3\r\nraw", b"OBJECT"),
    "wrong time to live": lambda: Fault(rb":99\d{9}\r\n", b":1000\r\n", b"PTTL"),
    "wrong score": lambda: Fault(rb"1\.5\r\n", b"2.5\r\n", b"ZRANGE"),
    "cut short": lambda: Fault(rb"\r\n$", b""),
}
