"""From numbers to requests: whatever is sent can be made again, with fewer mutations too."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from fuzz.mutations import BREAKING, INTACT, truncate
from fuzz.subjects import Valid

TWINS = 0.25
"""Of the requests, how many are valid."""
BROKEN = 0.4
"""Of the trains, how many end in bytes of which nobody knows how many requests they are."""
LONGEST = 14


class Case(NamedTuple):
    """One request: whose it is, the seed of its values, mutations and their seeds, and one that breaks it."""

    name: bytes
    base: int
    seed: int
    mutations: tuple[tuple[int, int], ...] = ()
    breaking: tuple[int, int] | None = None


class Request(NamedTuple):
    """What is sent; `expected` is the answer's document where there is one, `cut` says that it is not all of it."""

    case: Case
    data: bytes
    expected: Any
    head: bool
    cut: bool


def chance(seed: int) -> Random:
    """Give what can be drawn again."""
    return Random(seed)  # noqa: S311 - it has to be the same again, and need not be a secret


def make(case: Case, valid: list[Valid]) -> Request:
    """Make a case's request."""
    draft, expected = valid[case.base](chance(case.seed))
    for number, seed in case.mutations:
        mutation = INTACT[number]
        if isinstance(draft.tree, (dict, list)) or mutation.__name__ in BYTES:
            mutation(chance(seed), draft)
    data, cut = draft.write(case.name), False
    if case.breaking is not None:
        number, seed = case.breaking
        data, cut = BREAKING[number](chance(seed), data), BREAKING[number] is truncate
    return Request(case, data, None if case.mutations or case.breaking else expected, draft.method == b"HEAD", cut)


BYTES = {
    *(
        "whole_body",
        "flip",
        "cut",
        "insert",
        "noise",
        "path",
        "method",
        "field",
        "double_field",
        "lying_fields",
        "squeeze",
    ),
}
"""The mutations that need no tree."""


def train(seed: int, number: int, kinds: int, *, wild: bool = True) -> list[Case]:
    """Draw the cases that are sent one behind the other; without `wild` all are valid."""
    random = chance(seed * 2**32 + number)
    count = random.randint(1, LONGEST)
    cases = [_case(random, b"f%d-%d" % (number, position), kinds, wild=wild) for position in range(count)]
    if wild and random.random() < BROKEN:
        cases[-1] = cases[-1]._replace(breaking=(random.randrange(len(BREAKING)), random.getrandbits(32)))
    return cases


def _case(random: Random, name: bytes, kinds: int, *, wild: bool) -> Case:
    base, seed = random.randrange(kinds), random.getrandbits(32)
    if not wild or random.random() < TWINS:
        return Case(name, base, seed)
    count = random.choice([1, 1, 1, 2, 3])
    return Case(
        name, base, seed, tuple([(random.randrange(len(INTACT)), random.getrandbits(32)) for _ in range(count)])
    )


def told(case: Case) -> str:
    """Tell a case for people."""
    done = [f"{INTACT[number].__name__}({seed})" for number, seed in case.mutations]
    done += [f"{BREAKING[case.breaking[0]].__name__}({case.breaking[1]})"] if case.breaking else []
    return f"{case!r}: {', '.join(done) or 'valid'}"
