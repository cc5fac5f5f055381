"""The messages that the server has are those that spec/*.proto promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tiffin_serve.front.rpc import health_pb2, inference_pb2

SPEC = Path(__file__).parents[3] / "spec"
FIELD = re.compile(r"^\s*(?:repeated )?[\w.<>, ]+? (\w+) = (\d+);", re.MULTILINE)
MESSAGE = re.compile(r"^\s*message (\w+)", re.MULTILINE)


def described(descriptor: Any) -> Iterator[Any]:
    """A message and those within it, but for the entries that a map makes."""
    if not descriptor.GetOptions().map_entry:
        yield descriptor
        for inner in descriptor.nested_types:
            yield from described(inner)


@pytest.mark.parametrize(("name", "module"), [("inference", inference_pb2), ("health", health_pb2)], ids=["i", "h"])
def test_the_messages_are_written_anew_when_their_file_changes(name: str, module: Any) -> None:
    text = (SPEC / f"{name}.proto").read_text().partition("service ")[2]
    text = re.sub(r"enum \w+ \{[^}]*\}", "", text)
    classes = [value for value in vars(module).values() if hasattr(value, "DESCRIPTOR")]
    found = [inner for one in classes for inner in described(one.DESCRIPTOR)]
    fields = sorted((field.name, str(field.number)) for one in found for field in one.fields)
    assert fields == sorted(FIELD.findall(text)), "`make lock` writes them"
    assert sorted(one.name for one in found) == sorted(MESSAGE.findall(text))
