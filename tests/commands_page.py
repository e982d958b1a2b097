#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/COMMANDS.md is what the server's command table says."""

import argparse
import pathlib
import subprocess
import sys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--rewrite", action="store_true", help="write the page")
    options = parser.parse_args()
    page = pathlib.Path(__file__).resolve().parent.parent / "docs" / "COMMANDS.md"
    made = subprocess.run(
        [options.server, "--print-commands"], check=True, capture_output=True, text=True
    ).stdout
    if options.rewrite:
        page.write_text(made)
    same = page.read_text() == made
    if not same:
        print("docs/COMMANDS.md is out of step; commands_page.py --rewrite writes it")
    print(f"commands_page: {int(same)} passed, {int(not same)} failed, 0 skipped")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
