"""Where steps are done: one seam, with a container, this very process, or a table of answers behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import msgspec

from tiffin.oci.digest import Digest
from tiffin.pipeline.graph import Step

FILES, VALUES = "artifacts", "parameters"
"""The folders of an order's own in which a step leaves its outputs, each under its name: files, and values as text."""


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that is there: its content's digest, where it lies on this machine, what it was called, its type.

    What is `kept` lies in the store, where others rely on it; anything else lies where its user has it.
    """

    digest: Digest
    path: Path
    name: str
    type: str
    size: int = 0
    folder: bool = False
    uri: str = ""
    metadata: dict[str, Any] = {}
    kept: bool = False


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at one task: a step with everything that it takes.

    `task` is unique within a run (`train`, or `train[2]` of a loop's third round). `values` has a typed value for each
    parameter that is given; `inputs` an artifact, or several where the port takes many. `folder` is empty, and holds
    `artifacts` and `parameters` when it has been done. `seconds` bounds how long it may take, 0 does not. `gpus` are
    this machine's by name, as many as the step asks for; where there are none, whoever does it chooses.
    """

    run: str
    task: str
    attempt: int
    step: Step
    values: dict[str, Any]
    inputs: dict[str, tuple[Input, ...]]
    folder: Path
    seconds: float = 0.0
    gpus: tuple[str, ...] = ()


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended: `reason` says in words why it ended otherwise than by itself, or what is wrong with it.

    `metadata` are facts about output artifacts, by name.
    """

    exit_code: int = 0
    reason: str = ""
    metadata: dict[str, dict[str, Any]] = {}


class Workbench(Protocol):
    """Does steps; what it does them in is part of what their results are known by."""

    def identity(self, step: Step) -> dict[str, str]:
        """What a step is done in and with, as digests by name: `environment`, `code`.

        Raises what keeps it from being had: an image that is not there, a lock that is missing.
        """
        ...

    def do(self, order: Order, said: Callable[[str], None], stopped: Event) -> Ended:
        """Do it, saying each line that it writes; returns soon after `stopped` is set.

        Raises TiffinError for what is no fault of the step: an engine that is not there, a full disk.
        """
        ...
