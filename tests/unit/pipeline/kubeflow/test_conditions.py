from __future__ import annotations

import pytest

from tiffin.pipeline.graph import Argument, Compare, Condition, Constant, Every, Not, Some, Source
from tiffin.pipeline.kubeflow.conditions import text

KINDS = {"a": "int", "b": "float", "c": "str"}


def operand(source: Source) -> tuple[str, str]:
    assert isinstance(source, Argument)
    return source.name, KINDS[source.name]


def equal(name: str, value: object) -> Compare:
    return Compare(left=Argument(name=name), operator="==", right=Constant(value=value))


A, B, C = equal("a", 1), equal("b", 0.5), equal("c", "x")
SAID_A = "int(inputs.parameter_values['a']) == 1"
SAID_B = "inputs.parameter_values['b'] == 0.5"
SAID_C = "inputs.parameter_values['c'] == 'x'"


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ((A,), SAID_A),
        ((Not(of=A),), f"!({SAID_A})"),
        ((Not(of=A), B), f"!({SAID_A}) && {SAID_B}"),
        ((Every(of=(A, B)),), f"{SAID_A} && {SAID_B}"),
        ((Some(of=(A, B)),), f"{SAID_A} || {SAID_B}"),
        ((Not(of=A), Some(of=(B, C))), f"!({SAID_A}) && ({SAID_B} || {SAID_C})"),
        ((Some(of=(A, Every(of=(B, C)))),), f"{SAID_A} || ({SAID_B} && {SAID_C})"),
        ((Not(of=Some(of=(A, C))),), f"!({SAID_A} || {SAID_C})"),
        ((equal("b", 1),), "inputs.parameter_values['b'] == double(1)"),
        ((equal("a", 1.5),), "double(int(inputs.parameter_values['a'])) == 1.5"),
        ((equal("c", "it's\n\\"),), r"inputs.parameter_values['c'] == 'it\'s\n\\'"),
        ((equal("c", ""),), "inputs.parameter_values['c'] == ''"),
    ],
)
def test_conditions_are_said_in_cel(tests: tuple[Condition, ...], said: str) -> None:
    assert text(tests, operand) == said
