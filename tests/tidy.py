#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The style of the house, as a test: what clang-format and clang-tidy cannot see.

Every rule is a function from the tree (path -> text of each file that git knows) to findings, and
is named in RULES; tidy_self.py shows each of them a bad sample.  A finding fails the test, a
warning is only printed.  Nothing outside the repository is read.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

LINE_MAX = 100
FILE_LINES_SOFT, FILE_LINES_MAX = 500, 800
FUNCTION_LINES_SOFT, FUNCTION_LINES_MAX = 70, 100
SPDX = "SPDX-License-Identifier: Apache-2.0"
CODE = (".cc", ".h")
TEXT = CODE + (".py", ".build", ".md", ".toml", ".txt", ".sh", ".js", ".yml", "")

# Which folders a folder may include. Tests may include all, and nothing includes them.
INCLUDES = {
    "protocol": {"protocol"},
    "engine": {"protocol", "engine"},
    "ring": {"protocol", "ring"},
    "src": {"protocol", "engine", "ring", "src"},
    "bench": {"protocol", "bench"},
    "tests": {"protocol", "engine", "ring", "src", "bench", "tests"},
}
# The headers of the engine that the ring knows.
INCLUDES_EXTRA = {"ring": {"engine/replica/delta.h", "engine/replica/stamp.h"}}
# Inside the engine: which of its parts a part may include. What lies in none of them, and holds
# the parts together, all may include.
PARTS = {
    "engine/types": {"engine/types"},
    "engine/commands": {"engine/types", "engine/commands"},
    "engine/replica": {"engine/types", "engine/replica"},
    "engine/disk": {"engine/types", "engine/replica", "engine/disk"},
}
# Libraries that only the files of these names may see.
LIBRARIES = {
    r"<(boost/asio|asio)": r"src/(main|\w*(connection|listener|network)\w*)\.(cc|h)"
    r"|bench/(connection|endpoint|network|tls_stream|worker\w*|control)\.(cc|h)",
    r"<toml": r"src/config_file\.cc",
    r"<rocksdb/": r"(engine/disk|tests)/\w*rocks\w*\.cc",
    r"<zstd": r"protocol/compression\.cc",
}

BANNED_CALLS = {
    r"(?<![\w.:>])assert\(": "DYNO_CHECK, which stays on in release",
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok)\(": "a bounded text",
    r"\b(atoi|atol|atoll|atof)\(": "protocol/number.h, which refuses what is not a number",
    r"(?<![\w.:>])(rand|srand)\(": "a seeded generator",
    r"\busing namespace\b(?! std::\w*literals)": "the names themselves",
    r"\bstd::regex\b": "a parser",
}
BANNED_NAME = re.compile(r"(?i)^(manager|helpers?|utils?)$")
BANNED_TYPE_WORD = re.compile(r"^(Manager|Helper|Helpers|Util|Utils|Common)$")

# Spelt in pieces, so that this file does not find itself.
MARKS = re.compile(r"\b(%s)\b" % "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]))
PLACES = re.compile(
    "|".join(
        [
            r"(?<![\w.])/(wor" + r"k|hom" + r"e|roo" + r"t)/",
            r"\bshare" + r"d/[A-Z]",
            r"\.libra" + r"ry\b",
            r"\bregistry\.[a-z]+js\.org|\bpypi\.o" + r"rg|\bproxy\.golang\.o" + r"rg",
        ]
    )
)
TICKET = re.compile(r"\b(?:issue|ticket|bug|PR)\s*#?\d+\b", re.IGNORECASE)
BANNER = re.compile(r"^\s*(//|#)\s*[-=*#~/]{4,}\s*$")


def is_code(path):
    return path.endswith(CODE)


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def folder(path):
    return path.split("/", 1)[0]


def code_only(text):
    """C++ with comments and literals blanked, line for line."""
    pattern = re.compile(
        r'R"(\w*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
        re.DOTALL,
    )

    def blank(match):
        piece = match.group(0)
        if piece[0] in "/R":
            return re.sub(r"[^\n]", " ", piece)
        return '""' + " " * (len(piece) - 2)

    # Digit separators would open a character literal.
    return pattern.sub(blank, re.sub(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])", "0", text))


def rule_spdx(tree):
    """The licence tag opens every source file."""
    for path, text in tree.items():
        if is_code(path) and not text.startswith("// " + SPDX + "\n"):
            yield path, 1, "first line must be // " + SPDX
        elif path.endswith(".py") or text.startswith("#!"):
            lines = text.splitlines()[:2]
            if "# " + SPDX not in lines:
                yield path, 1, "one of the first two lines must be # " + SPDX


def rule_head_comment(tree):
    """Every source file says what it is first; for a .cc with a header, the header says it."""
    for path, text in tree.items():
        lines = text.splitlines()
        if path.endswith(".cc") and path[:-3] + ".h" in tree:
            continue
        if is_code(path):
            head = []
            for line in lines[1:]:
                if not line.startswith("//"):
                    break
                head.append(line[2:].strip())
            if len(" ".join(head).strip()) < 30:
                yield path, 2, "must open with a comment: what it is, what always holds"
        elif path.endswith(".py"):
            rest = [line for line in lines if not line.startswith("#")]
            if not rest or not rest[0].startswith('"""'):
                yield path, 2, "must open with a docstring: what it is"


def rule_lengths(tree):
    """Lines, files and functions stay short enough to read."""
    for path, text in tree.items():
        if not path.endswith(CODE + (".py",)):
            continue
        lines = text.splitlines()
        if len(lines) > FILE_LINES_MAX:
            yield path, 1, "%d lines; at most %d" % (len(lines), FILE_LINES_MAX)
        elif len(lines) > FILE_LINES_SOFT:
            yield path, 0, "%d lines; better at most %d" % (len(lines), FILE_LINES_SOFT)
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_MAX:
                yield path, number, "%d columns; at most %d" % (len(line), LINE_MAX)
        if not is_code(path):
            continue
        for name, start, length in functions(code_only(text)):
            if length > FUNCTION_LINES_MAX:
                what = "%s has %d lines; at most %d" % (name, length, FUNCTION_LINES_MAX)
                yield path, start, what
            elif length > FUNCTION_LINES_SOFT:
                what = "line %d: %s has %d lines; better at most %d"
                yield path, 0, what % (start, name, length, FUNCTION_LINES_SOFT)


def functions(code):
    """(name, first line, number of lines) of each function in clang-formatted code."""
    lines = code.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        indent = len(line) - len(line.lstrip())
        head = re.match(r"\s*([\w:~&*<>,\[\] ]+?[ &*])?([\w:~]+(?:operator[^\s(]+)?)\(", line)
        words = r"\s*(if|for|while|switch|return|else|do|case|TEST_CASE|static_assert)\b"
        skip = re.match(words, line)
        macro = head and head.group(2).isupper()
        if not head or skip or macro or indent > 2 or not line.strip():
            at += 1
            continue
        # The body opens on the first line that ends with a brace; a declaration ends before.
        body = at
        while body < len(lines) and not lines[body].rstrip().endswith(("{", ";", "}")):
            body += 1
        if body >= len(lines) or not lines[body].rstrip().endswith("{"):
            at = body + 1
            continue
        close = body + 1
        while close < len(lines) and not re.match(r" {%d}}" % indent, lines[close]):
            close += 1
        yield head.group(2), at + 1, close - at + 1
        at = close + 1


def rule_names(tree):
    """No manager, helper, util or common: the noun is missing."""
    for path, text in tree.items():
        words = re.split(r"[_\-.]", os.path.basename(path))
        if any(BANNED_NAME.match(w) or w.lower() == "common" for w in words):
            yield path, 1, "a file is called by the one noun that it is about"
        if not is_code(path):
            continue
        for number, line in enumerate(code_only(text).splitlines(), 1):
            for name in re.findall(r"(?<![\w:])(?!std::)\w+", line):
                if re.search(r"[a-z][A-Z]|^[A-Z][a-z]", name):
                    bad = any(BANNED_TYPE_WORD.match(w) for w in re.findall(r"[A-Z][a-z]+", name))
                else:
                    bad = any(BANNED_NAME.match(w) for w in name.split("_"))
                if bad:
                    yield path, number, "%s: the noun is missing" % name


def rule_calls(tree):
    """Calls that have a better replacement here."""
    for path, text in tree.items():
        if not is_code(path):
            continue
        for number, line in enumerate(code_only(text).splitlines(), 1):
            for pattern, better in BANNED_CALLS.items():
                if re.search(pattern, line):
                    yield path, number, "use %s" % better


def rule_includes(tree):
    """Includes point one way, name files from the root, and keep heavy libraries in their place."""
    for path, text in tree.items():
        if not is_code(path) or folder(path) not in INCLUDES:
            continue
        own = folder(path)
        quoted = []
        for number, line in enumerate(text.splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+(["<][^">]+[">])', line)
            if not match:
                continue
            name = match.group(1)
            for library, allowed in LIBRARIES.items():
                if re.match(library, name) and own != "tests" and not re.fullmatch(allowed, path):
                    yield path, number, "%s is seen only by %s" % (name, allowed)
            if name[0] == "<":
                continue
            name = name[1:-1]
            quoted.append(name)
            if name not in tree:
                yield path, number, "no such file from the root: %s" % name
            elif folder(name) not in INCLUDES[own] and name not in INCLUDES_EXTRA.get(own, ()):
                yield path, number, "%s must not include %s" % (own, name)
            part, other = os.path.dirname(path), os.path.dirname(name)
            if part in PARTS and other in PARTS and other not in PARTS[part]:
                yield path, number, "%s must not include %s" % (part, name)
        header = path[:-3] + ".h"
        if path.endswith(".cc") and header in tree and quoted and quoted[0] != header:
            yield path, 1, "must include its own header first, which shows that it stands alone"
        if path.endswith(".h") and "#pragma once" not in text.splitlines():
            yield path, 1, "#pragma once is missing"


def rule_marks(tree):
    """Nothing unfinished, no places of one machine, no tickets, no banners, no loose whitespace."""
    for path, text in tree.items():
        if os.path.splitext(path)[1] not in TEXT:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if MARKS.search(line):
                yield path, number, "unfinished work belongs into the tracker"
            if PLACES.search(line):
                yield path, number, "names a place that exists on one machine only"
            if TICKET.search(line) and path.endswith(CODE + (".py",)):
                yield path, number, "say why in words; a ticket's number says nothing later"
            if BANNER.match(line) and path.endswith(CODE + (".py", ".build")):
                yield path, number, "no banners; a file has one subject"
            if line != line.rstrip() and not path.startswith(("tests/golden/", "tests/fuzz/")):
                yield path, number, "white space at the end of the line"
        if text and not text.endswith("\n"):
            yield path, text.count("\n") + 1, "the last line must end"


def rule_listed(tree):
    """Every source is built: it stands in its folder's meson.build; every Python file is used."""
    python = {path: text for path, text in tree.items() if path.endswith(".py") or "/" in path}
    for path, text in tree.items():
        if path.endswith(".cc"):
            build = tree.get(os.path.dirname(path) + "/meson.build", "")
            names = {stem(path), stem(path) + ".cc", re.sub(r"_test$", "", stem(path))}
            names.add(re.sub(r"^fuzz_", "", stem(path)))
            if not any("'%s'" % name in build for name in names):
                yield path, 1, "is not listed in %s/meson.build" % os.path.dirname(path)
        elif path.endswith(".py") and path.startswith("tests/"):
            word = re.compile(r"\b%s\b" % re.escape(stem(path)))
            listed = word.search(tree.get("tests/meson.build", ""))
            if not listed and not any(p != path and word.search(t) for p, t in python.items()):
                yield path, 1, "is neither listed in tests/meson.build nor used by another file"
        elif path.endswith(".h") and folder(path) in INCLUDES:
            if not any('"%s"' % path in t for p, t in tree.items() if p != path and is_code(p)):
                yield path, 1, "is included nowhere"


def rule_readme(tree):
    """README's table names every folder, and every script is in README."""
    readme = tree.get("README.md", "")
    rows = set(re.findall(r"^\| `([a-z]+)/` \|", readme, re.MULTILINE))
    folders = {folder(path) for path in tree if "/" in path and not path.startswith(".")}
    for name in sorted(folders - rows):
        yield "README.md", 1, "the table of folders lacks %s/" % name
    for name in sorted(rows - folders):
        yield "README.md", 1, "the table of folders names %s/, which is not there" % name
    parts = ("scripts/packages", "scripts/count_tests")
    for path in sorted(tree):
        script = path.startswith("scripts/") and path.count("/") == 1 and path not in parts
        if script and path not in readme:
            yield "README.md", 1, "does not say what %s is for" % path


def rule_settings(tree):
    """Every member that a row of the configuration table fills is read by something."""
    rows = tree.get("src/config_rows.cc", "")
    members = re.findall(r"(?:bind\(|&)(?:client|server|latency|log|limits)\.(\w+)", rows)
    members += re.findall(r'"encoding\.\w+"[^&]*?limits\.(\w+)', rows)
    readers = [
        text
        for path, text in tree.items()
        if is_code(path) and folder(path) != "tests" and not path.startswith("src/config")
    ]
    for member in sorted(set(members)):
        found = sum(len(re.findall(r"\b%s\b" % member, text)) for text in readers)
        declared = re.search(r"\bSetting %s\b" % member, tree.get("engine/limits.h", ""))
        if found <= (1 if declared else 0):
            yield "src/config_rows.cc", 1, "%s is set and read by nothing" % member


RULES = [
    rule_spdx,
    rule_head_comment,
    rule_lengths,
    rule_names,
    rule_calls,
    rule_includes,
    rule_marks,
    rule_listed,
    rule_readme,
    rule_settings,
]


def check(tree, rules=None):
    """All findings, as (path, line, text); line 0 is a warning."""
    return [finding for rule in rules or RULES for finding in rule(tree)]


def read_tree():
    """Every text file that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    tree = {}
    for path in sorted(set(filter(None, listed.split("\0")))):
        try:
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                tree[path] = file.read()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return tree


def check_format(tree):
    """clang-format of Debian 12 has nothing to change; no value when it is not there."""
    paths = [path for path in tree if is_code(path)]
    for name in ("clang-format-14", "clang-format"):
        try:
            done = subprocess.run(
                [name, "--dry-run", "-Werror", "--ferror-limit=1"] + paths,
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            continue
        found = re.findall(r"^([^:\n]+):(\d+):\d+: error: (.*)$", done.stderr, re.MULTILINE)
        return [(path, int(line), text) for path, line, text in found]
    return None


def main():
    tree = read_tree()
    findings = check(tree)
    skipped = 0
    formatted = check_format(tree)
    if formatted is None:
        print("skipped: clang-format is not there")
        skipped = 1
    failures = [f for f in findings if f[1]] + (formatted or [])
    for path, line, text in sorted(findings + (formatted or [])):
        print("%s%s: %s" % (path, ":%d" % line if line else ": warning", text))
    failed = len({path for path, _, _ in failures})
    print("tidy: %d passed, %d failed, %d skipped" % (len(tree) - failed, failed, skipped))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
