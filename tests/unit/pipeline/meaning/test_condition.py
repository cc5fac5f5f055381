"""Conditions mean what CEL says they mean, so that a branch is taken here and on a cluster alike."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import ConfigError
from tiffin.pipeline.graph import Compare, Condition, Constant, Every, Not, Operator, Output, Some, Source
from tiffin.pipeline.meaning.condition import holds


def compare(left: Any, operator: Operator, right: Any) -> Compare:
    return Compare(left=Constant(value=left), operator=operator, right=Constant(value=right))


def value_of(source: Source) -> Any:
    assert isinstance(source, Constant)
    return source.value


def told(condition: Condition) -> bool | None:
    try:
        return holds(condition, value_of)
    except ConfigError:
        return None


YES, NO, ERROR = compare(1, "==", 1), compare(1, "==", 2), compare(1, "==", "1")


@pytest.mark.parametrize(
    "condition",
    [
        compare(1, "==", 1.0),
        compare(2**53 + 1, ">", float(2**53)),
        compare("a", "<", "b"),
        compare(False, "<", True),
        compare([1, {"a": 2.0}], "==", [1.0, {"a": 2}]),
        compare(None, "==", None),
        compare({"a": [True]}, "!=", {"a": [1]}),
        compare("1", "!=", "2"),
    ],
)
def test_it_holds(condition: Compare) -> None:
    assert holds(condition, value_of)


@pytest.mark.parametrize(
    ("left", "operator", "right"),
    [(1, "==", "1"), (True, "==", 1), (1, "<", None), ([1], "<", [2]), ({}, ">=", {}), (None, "!=", 0), ("a", ">", 1)],
)
def test_types_that_cannot_be_compared_are_an_error_that_names_both(left: Any, operator: Operator, right: Any) -> None:
    condition = Compare(left=Output(task="evaluate", name="accuracy"), operator=operator, right=Constant(value=right))
    with pytest.raises(ConfigError, match=r"`evaluate\.accuracy .*` compares"):
        holds(condition, lambda source: left if isinstance(source, Output) else right)


def test_what_decides_the_whole_does_so_on_either_side_of_an_error() -> None:
    for parts in permutations([YES, ERROR]):
        assert told(Some(of=parts)) is True
        assert told(Every(of=parts)) is None
    for parts in permutations([NO, ERROR]):
        assert told(Every(of=parts)) is False
        assert told(Some(of=parts)) is None


def test_not_turns_it_round_and_nothing_at_all_is_every_and_not_some() -> None:
    assert told(Not(of=NO)) is True
    assert told(Not(of=ERROR)) is None
    assert told(Every(of=())) is True
    assert told(Some(of=())) is False


CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    st.sampled_from([YES, NO, ERROR]),
    lambda inner: st.one_of(
        inner.map(lambda of: Not(of=of)),
        st.lists(inner, max_size=3).map(lambda of: Every(of=tuple(of))),
        st.lists(inner, max_size=3).map(lambda of: Some(of=tuple(of))),
    ),
)


@given(CONDITIONS, CONDITIONS)
def test_de_morgan_holds_with_errors_as_well(left: Condition, right: Condition) -> None:
    assert told(Not(of=Every(of=(left, right)))) is told(Some(of=(Not(of=left), Not(of=right))))


@given(st.integers() | st.floats(allow_nan=False), st.integers() | st.floats(allow_nan=False))
def test_numbers_are_in_exactly_one_order(left: float, right: float) -> None:
    assert [told(compare(left, operator, right)) for operator in ("<", "==", ">")].count(True) == 1
