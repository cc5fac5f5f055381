"""`--to`, `--environment`, `--namespace`, `--context`: the options that say where a service is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
_OPTIONS = (
    click.option("--to", type=click.Choice(["local", "kubernetes"]), help="This machine, or a cluster."),
    click.option("--environment", metavar="NAME", help="The `[environment.NAME]` of tiffin.toml here."),
    click.option("--namespace", metavar="NAME", help="The namespace; the context's by default."),
    click.option("--context", metavar="NAME", help="The context of the kubeconfig; the current one by default."),
)


def where_options(command: Command) -> Command:
    """Add the options; `place` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def place(said: dict[str, Any]) -> Any:
    """Take the options out of what was typed, as the `Where` that they mean."""
    from tiffin.api.services.targets import Where

    return Where(**{key: said.pop(key) or "" for key in ("to", "environment", "namespace", "context")})
