#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows every rule of tidy.py a bad sample, which it must find, and a good tree, which is clean."""

import sys

import tidy

HEAD = "// SPDX-License-Identifier: Apache-2.0\n//\n// A sample that is as good as it can be.\n"
HEADER = HEAD + "#pragma once\n\nint answer();\n"
SOURCE = HEAD + '#include "engine/answer.h"\n\nint answer() { return 42; }\n'
README = "# Sample\n\n| `engine/` | data |\n| `scripts/` | |\n\n`scripts/build` builds.\n"
GOOD = {
    "README.md": README,
    "engine/answer.h": HEADER,
    "engine/answer.cc": SOURCE,
    "engine/meson.build": "files('answer.cc')\n",
    "scripts/build": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n",
}


def body(lines):
    return "int long_one(int a) {\n" + "  ++a;\n" * (lines - 2) + "}\n"


# Rule, file, its text, and a part of what must be said about it.
BAD = [
    (tidy.rule_spdx, "engine/answer.cc", SOURCE[3:], "first line"),
    (tidy.rule_spdx, "scripts/build", "#!/bin/sh\ntrue\n", "first two lines"),
    (tidy.rule_head_comment, "engine/answer.h", HEAD[:39] + "int a;\n", "open with a comment"),
    (tidy.rule_head_comment, "engine/other.cc", HEAD[:39] + "int a;\n", "open with a comment"),
    (tidy.rule_head_comment, "engine/a.py", "# " + tidy.SPDX + "\nimport os\n", "docstring"),
    (tidy.rule_lengths, "engine/answer.cc", SOURCE + "// " + "x" * 98 + "\n", "101 columns"),
    (tidy.rule_lengths, "engine/answer.cc", SOURCE + "\n" * 795, "801 lines"),
    (tidy.rule_lengths, "engine/answer.cc", SOURCE + body(101), "long_one has 101 lines"),
    (tidy.rule_names, "engine/string_util.cc", SOURCE, "one noun"),
    (tidy.rule_names, "engine/answer.cc", SOURCE + "class SlotManager;\n", "SlotManager"),
    (tidy.rule_names, "engine/answer.cc", SOURCE + "int hash_helper();\n", "hash_helper"),
    (tidy.rule_calls, "engine/answer.cc", SOURCE + "void f() { assert(1); }\n", "DYNO_CHECK"),
    (tidy.rule_calls, "engine/answer.cc", SOURCE + "int g() { return atoi(p); }\n", "number.h"),
    (tidy.rule_includes, "engine/answer.cc", SOURCE + '#include "src/log.h"\n', "must not include"),
    (
        tidy.rule_includes,
        "engine/types/answer.cc",
        SOURCE + '#include "engine/disk/answer.h"\n',
        "engine/types must not include",
    ),
    (tidy.rule_includes, "engine/answer.cc", SOURCE + '#include "table.h"\n', "no such file"),
    (tidy.rule_includes, "engine/answer.cc", SOURCE + "#include <toml.hpp>\n", "seen only by"),
    (tidy.rule_includes, "engine/answer.cc", SOURCE + "#include <boost/asio.hpp>\n", "seen only"),
    (tidy.rule_includes, "engine/answer.h", HEADER.replace("#pragma once\n", ""), "pragma once"),
    (
        tidy.rule_includes,
        "engine/answer.cc",
        HEAD + '#include "src/log.h"\n#include "engine/answer.h"\n',
        "own header first",
    ),
    (tidy.rule_marks, "engine/answer.cc", SOURCE + "// TO" + "DO\n", "unfinished"),
    (tidy.rule_marks, "README.md", README + "see /wor" + "k/x\n", "one machine"),
    (tidy.rule_marks, "engine/answer.cc", SOURCE + "// Mends issue " + "#12.\n", "ticket"),
    (tidy.rule_marks, "engine/answer.cc", SOURCE + "// " + "=" * 20 + "\n", "banners"),
    (tidy.rule_marks, "engine/answer.cc", SOURCE + "int a; \n", "white space"),
    (tidy.rule_marks, "engine/answer.cc", SOURCE[:-1], "last line"),
    (tidy.rule_listed, "engine/other.cc", SOURCE, "not listed"),
    (tidy.rule_listed, "engine/other.h", HEADER, "included nowhere"),
    (tidy.rule_listed, "tests/lonely.py", "", "neither listed"),
    (tidy.rule_readme, "ring/token.h", HEADER, "lacks ring/"),
    (tidy.rule_readme, "README.md", README + "| `moon/` | |\n", "names moon/"),
    (tidy.rule_readme, "scripts/new", "", "scripts/new"),
    (tidy.rule_settings, "src/config_rows.cc", HEAD + "bind(client.idle_s)", "read by nothing"),
]


def main():
    failures = []
    extra = {"src/log.h": HEADER, "tests/use.cc": HEAD + '#include "src/log.h"\n'}
    good = tidy.check({**GOOD, "engine/answer.cc": SOURCE + body(70)})
    if good:
        failures.append("the good tree is refused: %s" % good)
    for rule, path, text, expected in BAD:
        with_extra = {**GOOD, **extra} if rule is tidy.rule_includes else GOOD
        found = [f for f in rule({**with_extra, path: text}) if f[1] and expected in f[2]]
        if not found:
            failures.append("%s does not say %r of %s" % (rule.__name__, expected, path))
    shown = {rule for rule, _, _, _ in BAD}
    failures += ["%s has no bad sample" % r.__name__ for r in tidy.RULES if r not in shown]
    for failure in failures:
        print("FAILED " + failure)
    passed = len(BAD) + 1 - len(failures)
    print("tidy_self: %d passed, %d failed, 0 skipped" % (passed, len(failures)))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
