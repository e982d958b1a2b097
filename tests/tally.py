# SPDX-License-Identifier: Apache-2.0
"""Counts what a process-level test found and prints it as one line at the end.

Also owns the arguments that all these tests share: --server, --reference, --long.
"""

import argparse
import os
import sys
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What tests allow in memory and waiting is multiplied by this: instrumented builds take more of
# both, so scripts/sanitize sets it.
ALLOWANCE = float(os.environ.get("DYNO_TEST_ALLOWANCE", "1"))


def arguments(description):
    """A parser with the common arguments."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--server",
        default=os.path.join(ROOT, "build", "dyno-server"),
        help="command line of the server under test (default: build/dyno-server)",
    )
    parser.add_argument(
        "--reference",
        default="redis-server",
        help="command line of the server to compare with (default: redis-server)",
    )
    parser.add_argument("--long", action="store_true", help="run much longer")
    return parser


class Tally:
    """Passed, failed and skipped cases of one test program."""

    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self.started = time.monotonic()

    def ok(self):
        self.passed += 1

    def fail(self, case, text):
        self.failed += 1
        print("FAILED %s: %s" % (case, text), flush=True)

    def skip(self, case, why):
        self.skipped += 1
        print("skipped %s: %s" % (case, why), flush=True)

    def run(self, case, function, *args):
        """Run one case; an exception is a failure, with the place it came from."""
        try:
            function(*args)
        except Skip as skip:
            self.skip(case, str(skip))
        except Exception as error:  # pylint: disable=broad-except
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = str(error) or type(error).__name__
            kind = "" if isinstance(error, AssertionError) else type(error).__name__ + ": "
            where = "%s:%d" % (os.path.basename(place.filename), place.lineno)
            self.fail(case, "%s%s [%s]" % (kind, text, where))
        else:
            self.ok()

    def finish(self):
        """Print the summary line and end the process."""
        print(
            "%s: %d passed, %d failed, %d skipped (%.0f s)"
            % (
                self.name,
                self.passed,
                self.failed,
                self.skipped,
                time.monotonic() - self.started,
            )
        )
        sys.exit(1 if self.failed or not self.passed else 0)


class Skip(Exception):
    """The case does not apply here; the text says why."""


def same(got, expected, what=""):
    """Assert equality with a message that shows both."""
    if got != expected:
        raise AssertionError("%sgot %r, expected %r" % (what + ": " if what else "", got, expected))


def require(condition, text):
    """Assert with a message."""
    if not condition:
        raise AssertionError(text)
