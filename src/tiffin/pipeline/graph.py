"""A pipeline as a value: steps, the tasks that call them, and where each task's inputs come from (spec/pipeline)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import msgspec

FORMAT = "1"
PARAMETERS = ("int", "float", "str", "bool", "list", "dict", "status")
"""Types whose values are passed; of all others it is files and folders that are passed, and they are artifacts."""

LANGUAGE = "tiffin_pipeline"
"""What a pipeline's file imports from tiffin."""


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the file that somebody wrote."""

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Port(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step takes or gives under one name: a parameter, or an artifact (`Dataset`, `Model`, `Metrics`, …).

    `many` artifacts come as a list. What is `optional` may stay away; `default` is a parameter's value then.
    """

    type: str
    many: bool = False
    optional: bool = False
    default: Any = None
    description: str = ""

    @property
    def is_parameter(self) -> bool:
        """Say whether it is a value that is passed, and no file."""
        return self.type in PARAMETERS


# Where a value comes from.


class _Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="from", rename="kebab"):
    pass


class Constant(_Source, frozen=True, kw_only=True, tag="constant"):
    """A value that was written down."""

    value: Any


class Argument(_Source, frozen=True, kw_only=True, tag="argument"):
    """What the pipeline is run with, by name."""

    name: str


class Output(_Source, frozen=True, kw_only=True, tag="output"):
    """What a task gives. Of one within a loop, seen from outside, it is the list of what all rounds give, in order."""

    task: str
    name: str


class Item(_Source, frozen=True, kw_only=True, tag="item"):
    """What a loop is at."""

    loop: str


class Status(_Source, frozen=True, kw_only=True, tag="status"):
    """How a task or a group ended: `{"state": "SUCCEEDED" | "FAILED", "error": …}`."""

    of: str


class Part(_Source, frozen=True, kw_only=True, tag="part"):
    """What lies in a dict or list under a path; a text is first read as the JSON that it is."""

    of: Source
    path: tuple[str | int, ...]


class FirstOf(_Source, frozen=True, kw_only=True, tag="first-of"):
    """The first of these that is there: what branches give of which only one is taken."""

    sources: tuple[Source, ...]


class Text(_Source, frozen=True, kw_only=True, tag="text"):
    """A text put together of pieces."""

    pieces: tuple[str | Source, ...]


Source: TypeAlias = Constant | Argument | Output | Item | Status | Part | FirstOf | Text


# Conditions.

Operator = Literal["==", "!=", "<", "<=", ">", ">="]


class _Condition(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", rename="kebab"):
    pass


class Compare(_Condition, frozen=True, kw_only=True, tag="compare"):
    """Two values, compared as CEL compares them: numbers with numbers, and no type with another."""

    left: Source
    operator: Operator
    right: Source


class Every(_Condition, frozen=True, kw_only=True, tag="every"):
    """Holds where all of these hold."""

    of: tuple[Condition, ...]


class Some(_Condition, frozen=True, kw_only=True, tag="some"):
    """Holds where one of these holds."""

    of: tuple[Condition, ...]


class Not(_Condition, frozen=True, kw_only=True, tag="not"):
    """Holds where this does not."""

    of: Condition


Condition: TypeAlias = Compare | Every | Some | Not


# Words of a command.


class _Word(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="word", rename="kebab"):
    pass


class Value(_Word, frozen=True, kw_only=True, tag="value"):
    """An input parameter's value, as text."""

    input: str


class InputPath(_Word, frozen=True, kw_only=True, tag="input-path"):
    """Where an input artifact lies in the container; `uri` says where it is kept instead."""

    input: str
    uri: bool = False


class OutputPath(_Word, frozen=True, kw_only=True, tag="output-path"):
    """Where the container writes an output: an artifact's file or folder, or the file of a parameter's value."""

    output: str
    uri: bool = False


class Executor(_Word, frozen=True, kw_only=True, tag="executor"):
    """Kubeflow's `ExecutorInput` as JSON, or the file for its answer (`{{$}}`, `{{$.outputs.output_file}}`)."""

    answer: bool = False


class Joined(_Word, frozen=True, kw_only=True, tag="joined"):
    """One word put together of several."""

    words: tuple[str | Word, ...]


class IfGiven(_Word, frozen=True, kw_only=True, tag="if-given"):
    """Words that are there if an input is, and others if it is not."""

    input: str
    then: tuple[str | Word, ...]
    otherwise: tuple[str | Word, ...] = ()


Word: TypeAlias = Value | InputPath | OutputPath | Executor | Joined | IfGiven


# What a step does.


class _Doing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", rename="kebab"):
    pass


class Function(_Doing, frozen=True, kw_only=True, tag="function"):
    """A Python function of the project: `module` is importable from its folder.

    `image` is the reference of one that has a Python, or empty for the project's environment.
    """

    module: str
    name: str
    image: str = ""


class Command(_Doing, frozen=True, kw_only=True, tag="command"):
    """Any program: `image` is a reference, or empty for the project's environment.

    One with a `launcher` finds its files where Kubeflow's launcher has them, and may answer it in its way.
    """

    argv: tuple[str | Word, ...]
    image: str = ""
    launcher: bool = False


class Action(_Doing, frozen=True, kw_only=True, tag="action"):
    """Something that tiffin itself does, outside of any container: `build`, `push`, `sign`, `deploy`, `champion`."""

    name: str


class Importer(_Doing, frozen=True, kw_only=True, tag="importer"):
    """Takes what lies at an address as its artifact; the `uri` is a constant, or an argument: an input of the step."""

    uri: Source
    metadata: dict[str, Any] = {}


Doing: TypeAlias = Function | Command | Action | Importer


class Resources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The most a step may use: processors, bytes of memory, whole GPUs; 0 says nothing."""

    cpus: float = 0.0
    memory: int = 0
    gpus: int = 0


class Retry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often a task that failed is tried again, and the seconds before: `seconds`, times `factor`, up to `most`."""

    count: int = 0
    seconds: float = 0.0
    factor: float = 2.0
    most: float = 3600.0


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What can be done, by whoever calls it: what it takes and gives, and what it may use.

    `env` is part of what it gives is known by. One that has a `network`, or is not `cached`, may give something else
    each time: the first says so to whoever reads it, the second is done each time.
    """

    name: str
    does: Doing
    inputs: dict[str, Port] = {}
    outputs: dict[str, Port] = {}
    env: dict[str, str] = {}
    resources: Resources = Resources()
    network: bool = False
    cached: bool = True
    description: str = ""
    place: Place = Place()


# What calls them, in the order that it was written. What is `regardless` runs when all that it comes after has ended,
# however that was.


class _Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="node", rename="kebab"):
    name: str
    after: tuple[str, ...] = ()
    regardless: bool = False
    place: Place = Place()


class Task(_Node, frozen=True, kw_only=True, tag="task"):
    """A call of a step."""

    step: str
    inputs: dict[str, Source] = {}
    retry: Retry = Retry()
    timeout: float = 0.0
    cached: bool = True


class Branch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is done where a condition holds; the last of several branches may have none."""

    name: str
    condition: Condition | None = None
    body: tuple[Node, ...] = ()


class When(_Node, frozen=True, kw_only=True, tag="when"):
    """The first of its branches whose condition holds is done, and no other."""

    branches: tuple[Branch, ...]


class ForEach(_Node, frozen=True, kw_only=True, tag="for-each"):
    """Its body is done for each item of a list, side by side; `parallel` bounds how many at once, 0 does not."""

    items: Source
    body: tuple[Node, ...] = ()
    parallel: int = 0


class Group(_Node, frozen=True, kw_only=True, tag="group"):
    """Tasks that have a name together, so that others can come after all of them, or after one of them failed."""

    body: tuple[Node, ...] = ()


Node: TypeAlias = Task | When | ForEach | Group


class Graph(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole pipeline; the names of tasks, branches, loops and groups are each there once in all of it."""

    name: str
    format: str = FORMAT
    description: str = ""
    parameters: dict[str, Port] = {}
    steps: dict[str, Step] = {}
    body: tuple[Node, ...] = ()
    outputs: dict[str, Source] = {}
    place: Place = Place()

    def tasks(self) -> Iterator[Task]:
        """Every task in it, in the order that it was written."""
        yield from tasks_in(self.body)


def is_ready(module: str) -> bool:
    """Whether a module of steps comes with the language, and is none of the project's."""
    return module.partition(".")[0] == LANGUAGE


def tasks_in(body: tuple[Node, ...]) -> Iterator[Task]:
    """Every task of a body and of the bodies in it."""
    for node in body:
        if isinstance(node, Task):
            yield node
        else:
            for inner in bodies_of(node):
                yield from tasks_in(inner)


def bodies_of(node: Node) -> tuple[tuple[Node, ...], ...]:
    """The bodies that lie directly in a node."""
    if isinstance(node, Task):
        return ()
    if isinstance(node, When):
        return tuple(branch.body for branch in node.branches)
    return (node.body,)
