"""`--engine`: the option that every verb about containers has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def _choose(ctx: click.Context, _parameter: click.Parameter, name: str | None) -> None:
    """Let the verb speak to this engine, as long as it runs."""
    if name:
        from tiffin.api.machine.engines import choosing

        ctx.with_resource(choosing(name))


def engine_option(command: Command) -> Command:
    """Add the option; the verb itself needs to know nothing of it."""
    return click.option(
        "--engine",
        type=click.Choice(["embedded", "docker", "podman"]),
        callback=_choose,
        expose_value=False,
        help="What runs containers: embedded, docker or podman; TIFFIN_ENGINE says it for all.  [default: embedded]",
    )(command)
