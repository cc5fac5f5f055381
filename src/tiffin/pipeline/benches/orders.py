"""What a step is told: where inputs lie and outputs go, its command's words, the order of its function. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from tiffin.errors import UnsupportedError
from tiffin.pipeline.graph import (
    Executor,
    Function,
    IfGiven,
    InputPath,
    Joined,
    OutputPath,
    Value,
    Word,
)
from tiffin.pipeline.meaning.values import shown
from tiffin.pipeline.workbench import FILES, VALUES, Input, Order

METADATA = "metadata.json"
"""The file of what a function says of its output artifacts, beside the two folders."""


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where a step finds things: the folder of its inputs and that of its outputs, as it sees them."""

    inputs: str
    outputs: str

    def folder_of(self, name: str) -> str:
        """The folder in which an input, or each of several, lies."""
        return f"{self.inputs}/{name}"

    def inputs_of(self, order: Order, name: str) -> list[tuple[Input, str]]:
        """An input's artifacts, and where the step finds each: `/in/NAME/FILE`, of several `/in/NAME/INDEX/FILE`."""
        given = order.inputs.get(name, ())
        many = is_many(order, name)
        return [
            (one, f"{self.folder_of(name)}/{f'{number}/' if many else ''}{file_name(one)}")
            for number, one in enumerate(given)
        ]

    def output(self, order: Order, name: str) -> str:
        """Where the step writes an output: an artifact's file or folder, or the text of a value."""
        return f"{self.outputs}/{VALUES if order.step.outputs[name].is_parameter else FILES}/{name}"


def is_many(order: Order, name: str) -> bool:
    """Whether an input takes several artifacts."""
    port = order.step.inputs.get(name)
    return port.many if port else False


def file_name(given: Input) -> str:
    """What an artifact is called where it is read; a name with a folder in it, or none, is not taken."""
    name = PurePosixPath(given.name).name
    return name if name not in {"", "..", "."} else "artifact"


def argv_of(words: Sequence[str | Word], order: Order, places: Places) -> tuple[str, ...]:
    """Put a command line together; raises UnsupportedError for a word that nobody says."""
    return tuple(text for word in words for text in _said(word, order, places))


def _said(word: str | Word, order: Order, places: Places) -> Iterator[str]:
    if isinstance(word, str):
        yield word
    elif isinstance(word, IfGiven):
        given = word.input in order.values or word.input in order.inputs
        for part in word.then if given else word.otherwise:
            yield from _said(part, order, places)
    elif isinstance(word, Joined):
        yield "".join(text for part in word.words for text in _said(part, order, places))
    else:
        yield _one(word, order, places)


def _one(word: Value | InputPath | OutputPath | Executor, order: Order, places: Places) -> str:
    match word:
        case Value(input=name):
            return shown(_value(order, name))
        case InputPath(input=name, uri=uri):
            return _input(order, places, name, uri=uri)
        case OutputPath(output=name):
            return places.output(order, name)
        case Executor():
            raise UnsupportedError(
                f"{order.step.place}: the step {order.step.name!r} asks for Kubeflow's executor input",
                "run the compiled pipeline: `tiffin pipeline run SPEC.yaml`",
            )


def _value(order: Order, name: str) -> Any:
    """A parameter's value; one that was not given has its default, and is an empty text without one."""
    if name in order.values:
        return order.values[name]
    port = order.step.inputs.get(name)
    return "" if port is None or port.default is None else port.default


def _input(order: Order, places: Places, name: str, *, uri: bool) -> str:
    """Where an input lies; of several, the folder that they are in. One that was not given is an empty text."""
    found = places.inputs_of(order, name)
    if not found:
        return ""
    if is_many(order, name):
        return places.folder_of(name)
    given, path = found[0]
    return given.uri if uri and given.uri else path


def order_document(order: Order, does: Function, places: Places) -> dict[str, Any]:
    """The order of a function, as `python -m tiffin_pipeline step` reads it."""
    outputs = {
        name: {"path": places.output(order, name), "type": port.type} for name, port in order.step.outputs.items()
    }
    values = {name for name, port in order.step.outputs.items() if port.is_parameter}
    return {
        "module": does.module,
        "function": does.name,
        "values": order.values,
        "inputs": {
            name: [
                {"path": path, "type": given.type, "metadata": given.metadata}
                for given, path in places.inputs_of(order, name)
            ]
            for name in order.inputs
        },
        "many": sorted(name for name in order.inputs if is_many(order, name)),
        "outputs": {name: said for name, said in outputs.items() if name not in values},
        "parameters": {name: said for name, said in outputs.items() if name in values},
        "metadata": f"{places.outputs}/{METADATA}",
    }
