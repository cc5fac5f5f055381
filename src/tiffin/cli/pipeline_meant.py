"""Which pipeline, and which of its runs: the words that all commands about runs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def meant_options(command: Command) -> Command:
    """Add `--folder` and `--name`; `meant` reads them."""
    command = click.option(
        "--name", default="", metavar="PIPELINE", help="Which pipeline, where there are several; the one last run."
    )(command)
    return click.option(
        "-C",
        "--folder",
        "what",
        type=click.Path(path_type=Path),
        default=".",
        metavar="FOLDER|SPEC.yaml",
        help="The project's folder, or a compiled pipeline.  [default: here]",
    )(command)


def meant(said: dict[str, Any]) -> Any:
    """Take the options out of what was typed, as the `Meant` that they mean."""
    from tiffin.api.pipelines.runs import Meant

    return Meant(what=said.pop("what"), name=said.pop("name"))


def as_json(document: object) -> str:
    """What was looked at as one line of JSON."""
    import msgspec

    return msgspec.json.encode(document, enc_hook=str).decode()
