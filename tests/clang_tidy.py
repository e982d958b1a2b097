#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy with the repository's .clang-tidy over the C++ files, one process per core.

A file that passed is not looked at again until it, a header or the rules change; what passed is
kept in the build folder, so that a clean checkout looks at every file.  --files names some only.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KEPT = "clang_tidy_passed.json"


def digest(paths):
    found = hashlib.sha256()
    for path in paths:
        with open(os.path.join(ROOT, path), "rb") as file:
            found.update(file.read() + b"\0")
    return found.hexdigest()


def look(tool, path):
    """(path, findings, seconds) of one file."""
    started = time.monotonic()
    flags = ["-std=c++20", "-I.", '-DDYNO_VERSION=""']
    done = subprocess.run(
        [tool, "--quiet", path, "--"] + flags, cwd=ROOT, capture_output=True, text=True, check=False
    )
    text = done.stdout.replace(ROOT + "/", "")
    if done.returncode != 0 and not text:
        text = done.stderr
    return path, text if done.returncode != 0 else "", time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="keeps results")
    parser.add_argument("--files", nargs="*", help="look at these only")
    options = parser.parse_args()
    tool = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")
    if not tool:
        print("clang-tidy is not there\nclang_tidy: 0 passed, 0 failed, 1 skipped")
        sys.exit(77)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.cc", "*.h", ".clang-tidy"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    listed = sorted(path for path in set(listed) if os.path.exists(os.path.join(ROOT, path)))
    sources = options.files or [path for path in listed if path.endswith(".cc")]
    rules = digest([path for path in listed if not path.endswith(".cc")])

    kept_path = os.path.join(options.build, KEPT)
    kept = {}
    if os.path.exists(kept_path):
        with open(kept_path, encoding="utf-8") as file:
            kept = json.load(file)
    keys = {path: rules + digest([path]) for path in sources}
    todo = [path for path in sources if kept.get(path) != keys[path]]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, text, seconds in pool.map(lambda p: look(tool, p), todo):
            if text:
                failed += 1
                kept.pop(path, None)
                print("%s (%.1f s)\n%s" % (path, seconds, text), flush=True)
            else:
                kept[path] = keys[path]
    if os.path.isdir(options.build):
        with open(kept_path, "w", encoding="utf-8") as file:
            json.dump(kept, file)
    print("clang_tidy: %d passed, %d failed, 0 skipped" % (len(sources) - failed, failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
