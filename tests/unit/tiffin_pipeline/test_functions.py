"""What a function says of itself is what `inspect` would tell."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiffin_pipeline.functions import is_function, is_plain, parameters

SRC = Path(__file__).parents[3] / "src"


def nothing() -> None: ...
def several(a: int, b: int = 2, c: object = None) -> None: ...
def named(a: int, *, b: int, c: int = 3) -> None: ...
def placed(a: int, b: int = 2, /, c: int = 3) -> None: ...
def open_ended(a: int, *rest: int, b: int = 1, **more: int) -> None: ...


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return around


def given(count: int) -> Iterator[int]:
    yield count


async def awaited() -> None: ...
async def streamed() -> AsyncIterator[int]:
    yield 1


BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@pytest.mark.parametrize(
    "function", [nothing, several, named, placed, open_ended, wrapped(named), wrapped(wrapped(several))]
)
def test_parameters_are_those_of_its_signature(function: Callable[..., Any]) -> None:
    expected = {
        one.name: (one.kind in BY_NAME, None if one.default is one.empty else [one.default])
        for one in inspect.signature(function).parameters.values()
    }
    assert {one.name: (one.named, one.default) for one in parameters(function)} == expected


@pytest.mark.parametrize("function", [nothing, wrapped(nothing), given, awaited, streamed])
def test_only_what_runs_to_its_end_is_plain(function: Callable[..., Any]) -> None:
    assert is_plain(function) is (function not in (given, awaited, streamed))


def test_a_class_and_what_can_be_called_otherwise_are_no_functions() -> None:
    assert [is_function(one) for one in (nothing, lambda: None, int, functools.partial(nothing), print)] == [
        *(True, True),
        *(False, False, False),
    ]


def test_a_step_is_done_without_what_only_a_debugger_or_an_error_needs() -> None:
    code = f"import sys; sys.path.insert(0, {str(SRC)!r}); import tiffin_pipeline.main; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    assert {"inspect", "ast", "dis", "traceback"} & {*answer.stdout.split()} == set()
