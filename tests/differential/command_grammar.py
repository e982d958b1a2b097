# SPDX-License-Identifier: Apache-2.0
"""Turns command templates into a fast source of random commands.

A template is a line such as

    SET <k> <v> [EX <ttl> | PX <pttl> | KEEPTTL] [NX | XX] [GET] ~ mode

`<name>` picks from the pool of that name, `[...]` is there half of the time, `(a | b)` chooses,
`{...}` is repeated one to four times, other words stand for themselves, `3*` in front makes the
line three times as likely.  The mode says how replies are compared (see reply_comparison.py).

A command is a `Command`: its arguments as already encoded bulk strings, and its mode.  All
randomness comes from one seeded generator, so that a seed gives the same commands on every run.
"""

import random
import re

import argument_pools


def bulk(arg):
    return b"$%d\r\n%s\r\n" % (len(arg), arg)


def raw(encoded):
    """The argument of an encoded bulk string."""
    return encoded[encoded.index(b"\n") + 1 : -2]


class Command:
    """One command: encoded arguments and how its reply is compared."""

    __slots__ = ("parts", "mode", "name")

    def __init__(self, parts, mode):
        self.parts = parts
        self.mode = mode
        self.name = raw(parts[0]).upper()

    def wire(self):
        return b"*%d\r\n%s" % (len(self.parts), b"".join(self.parts))

    def args(self):
        return [raw(part) for part in self.parts]


def of(*args, mode="exact"):
    """A command from plain arguments."""
    return Command([bulk(a.encode() if isinstance(a, str) else a) for a in args], mode)


TOKEN = re.compile(r"<[^>]*>|[\[\](){}|]|[^\s\[\](){}|<]+")


class Grammar:
    """All templates of the chosen families, ready to generate."""

    def __init__(self, seed, families):
        self.random = random.Random(seed)
        self.rand = self.random.random
        self.pools = {}
        for name, values in argument_pools.POOLS.items():
            self.pools[name] = [bulk(v) for v in values]
        self.many = {
            name: [[bulk(v) for v in args] for args in choices]
            for name, choices in argument_pools.MANY.items()
        }
        self.keys = {
            name: [bulk(b"%s%d" % (name.encode(), i)) for i in range(argument_pools.KEYS_EACH)]
            for name in families
        }
        self.all_keys = [key for keys in self.keys.values() for key in keys]
        self.sources = []

    def add_family(self, name, text):
        """Compile the templates of one family; the list it returns is the family's source."""
        # Strings that were HyperLogLogs and got other bytes are corrupt: what PFADD makes of them
        # then is not defined, so that family and the others leave each other's keys alone.
        others = [key for key in self.all_keys if not raw(key).startswith(b"hyperloglog")]
        key_pool = self.keys[name] * 40 + ([] if name == "hyperloglog" else others)
        local = {"k": key_pool, "K": others or self.all_keys}
        table = []
        for line in text.replace("\\\n", " ").strip().splitlines():
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            line, _, mode = line.partition(" ~ ")
            weight = 1
            heavy = re.match(r"(\d+)\* ", line)
            if heavy:
                weight = int(heavy.group(1))
                line = line[heavy.end() :]
            tokens = TOKEN.findall(line)
            emit, rest = self._sequence(tokens, 0, local)
            assert rest == len(tokens), line
            table.extend([(emit, mode.strip() or "exact")] * weight)
        self.sources.append(table)
        return table

    def _sequence(self, tokens, pos, local):
        """Alternatives separated by | up to a closing bracket."""
        alternatives, current = [], []
        while pos < len(tokens) and tokens[pos] not in "])}":
            token = tokens[pos]
            if token == "|":
                alternatives.append(current)
                current = []
                pos += 1
            elif token in "[({":
                inner, pos = self._sequence(tokens, pos + 1, local)
                pos += 1
                current.append(self._group(token, inner))
            else:
                current.append(self._leaf(token, local))
                pos += 1
        alternatives.append(current)
        return self._choice(alternatives), pos

    def _choice(self, alternatives):
        rand = self.rand
        if len(alternatives) == 1:
            steps = alternatives[0]

            def in_order(out):
                for step in steps:
                    step(out)

            return in_order

        def one_of(out):
            for step in alternatives[int(rand() * len(alternatives))]:
                step(out)

        return one_of

    def _group(self, bracket, inner):
        rand = self.rand
        if bracket == "(":
            return inner
        if bracket == "[":

            def maybe(out):
                if rand() < 0.5:
                    inner(out)

            return maybe

        def repeated(out):
            for _ in range(1 + int(rand() * 4)):
                inner(out)

        return repeated

    def _leaf(self, token, local):
        rand = self.rand
        if not token.startswith("<"):
            word = bulk(token.encode())
            return lambda out: out.append(word)
        name = token[1:-1]
        if name in self.many:
            choices = self.many[name]
            return lambda out: out.extend(choices[int(rand() * len(choices))])
        if name in argument_pools.NUMBERED:
            prefix, count = argument_pools.NUMBERED[name]
            pool = [bulk(b"%s%d" % (prefix, i)) for i in range(count)]
        else:
            pool = local.get(name) or self.pools[name]
        size = len(pool)
        return lambda out: out.append(pool[int(rand() * size)])

    def one(self, table=None):
        """One random command, one time in forty with a mutation."""
        rand = self.rand
        table = table or self.sources[int(rand() * len(self.sources))]
        emit, mode = table[int(rand() * len(table))]
        parts = []
        emit(parts)
        chance = rand()
        if chance < 0.025:
            mode = self._mutate(parts, mode)
        elif chance < 0.035:
            word = raw(parts[0])
            parts[0] = bulk(word.lower() if chance < 0.03 else word.capitalize())
        return Command(parts, mode)

    def _mutate(self, parts, mode):
        """Wrong arity, a strange option, a duplicated argument."""
        odd = self.pools["odd"]
        way = int(self.rand() * 4)
        if raw(parts[0]) in argument_pools.NEVER_CHANGED:
            return mode
        where = 1 + int(self.rand() * (len(parts) - 1)) if len(parts) > 1 else 1
        if mode.startswith(argument_pools.FRAGILE_MODES):
            parts.append(odd[0])
            return mode
        if way == 0 and len(parts) > 1:
            del parts[-1]
        elif way == 1:
            parts.append(odd[int(self.rand() * len(odd))])
        elif way == 2 and len(parts) > 2:
            parts.insert(where, parts[where])
        elif len(parts) > 1 and raw(parts[0]) not in argument_pools.KEEP_ARGUMENTS:
            parts[where] = odd[int(self.rand() * len(odd))]
        return mode
