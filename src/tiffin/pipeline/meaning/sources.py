"""What sources and conditions refer to, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator

from tiffin.pipeline.graph import (
    Argument,
    Compare,
    Condition,
    Constant,
    Every,
    FirstOf,
    Item,
    Not,
    Output,
    Part,
    Source,
    Status,
    Text,
)


def references(source: Source) -> Iterator[Output | Status]:
    """Everything of other tasks that a source is made of."""
    for one in within(source):
        if isinstance(one, Output | Status):
            yield one


def within(source: Source) -> Iterator[Source]:
    """A source, and all that it is made of."""
    yield source
    for one in (source.of,) if isinstance(source, Part) else _pieces(source):
        yield from within(one)


def _pieces(source: Source) -> Iterator[Source]:
    if isinstance(source, FirstOf):
        yield from source.sources
    elif isinstance(source, Text):
        yield from (each for each in source.pieces if not isinstance(each, str))


def sources_of(condition: Condition) -> Iterator[Source]:
    """Everything that a condition compares."""
    if isinstance(condition, Compare):
        yield condition.left
        yield condition.right
    elif isinstance(condition, Not):
        yield from sources_of(condition.of)
    else:
        for each in condition.of:
            yield from sources_of(each)


def named(source: Source) -> str:
    """What a source is called when one speaks of it: `fit.model`, `--set depth`, `the item of each-depth`."""
    if isinstance(source, Constant):
        return repr(source.value)
    if isinstance(source, Argument):
        return source.name
    if isinstance(source, Output):
        return f"{source.task}.{source.name}"
    if isinstance(source, Item):
        return f"the item of {source.loop}"
    if isinstance(source, Status):
        return f"the status of {source.of}"
    return _composed(source)


def _composed(source: Part | FirstOf | Text) -> str:
    if isinstance(source, Part):
        return named(source.of) + "".join(f"[{step!r}]" for step in source.path)
    if isinstance(source, FirstOf):
        return " or ".join(named(each) for each in source.sources)
    return "".join(each if isinstance(each, str) else f"{{{named(each)}}}" for each in source.pieces)


def worded(condition: Condition) -> str:
    """A condition as one would write it."""
    if isinstance(condition, Compare):
        return f"{named(condition.left)} {condition.operator} {named(condition.right)}"
    if isinstance(condition, Not):
        return f"not ({worded(condition.of)})"
    word = " and " if isinstance(condition, Every) else " or "
    return word.join(f"({worded(each)})" for each in condition.of)
