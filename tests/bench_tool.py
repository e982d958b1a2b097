# SPDX-License-Identifier: Apache-2.0
"""Runs dyno-bench for the tests: its arguments, its exit code, its JSON."""

import atexit
import json
import os
import shutil
import subprocess
import tempfile

import tally

FOLDER = tempfile.mkdtemp(prefix="dyno-bench-test-")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
OPTIONS = None


def read_options(description):
    """Parses the command line of a test program; the tally to use."""
    global OPTIONS
    parser = tally.arguments(description)
    parser.add_argument("--bench", default=os.path.join(tally.ROOT, "build", "dyno-bench"))
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    OPTIONS = parser.parse_args()
    return OPTIONS


def counting(name):
    """A tally that passes over what --only does not name."""
    count = tally.Tally(name)
    if OPTIONS.only:
        run = count.run
        count.run = lambda case, *rest: run(case, *rest) if OPTIONS.only in case else None
    return count


def bench(*words, code=0, limit=60):
    """Runs the tool; the finished process. `code` None: any."""
    command = [OPTIONS.bench] + [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    if code is not None and done.returncode != code:
        raise AssertionError(
            "exit %d, expected %d\n%s\n%s" % (done.returncode, code, done.stdout, done.stderr)
        )
    return done


def measured(*words, code=0, limit=60):
    """Runs the tool with --json; the runs."""
    path = os.path.join(FOLDER, "out.json")
    if os.path.exists(path):
        os.unlink(path)
    bench("--progress", "none", "--json", path, *words, code=code, limit=limit)
    with open(path, encoding="utf-8") as file:
        return json.load(file)["runs"]
