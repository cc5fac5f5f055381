"""`tiffin restart`: stop containers and start them again, or replace the replicas of services."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.where import place, where_options


@click.command("restart")
@click.argument("names", nargs=-1, required=True)
@click.option("-t", "--time", "seconds", type=float, default=None, help="Seconds until it is killed.  [default: 10]")
@where_options
@engine_option
def command(names: tuple[str, ...], seconds: float | None, **said: Any) -> None:
    """Stop the containers NAMES as `stop` does, start them, and return when they are ready.

    A service is meant where a place is said, or where a service was deployed by that name and no container has it: its
    replicas are replaced one after the other by others alike, without a failed request.
    """
    from tiffin.api.containers.run import restart
    from tiffin.api.services.verbs import is_service
    from tiffin.api.services.verbs import restart as restart_service

    where = place(said)
    of_services = [name for name in names if is_service(name, where)]
    if of_services and seconds is not None:
        raise click.UsageError("--time is a container's: a service says by its deadline how long its replicas drain")
    restart([name for name in names if name not in of_services], seconds)
    for name in of_services:
        restart_service(name, where)
    click.echo("\n".join(names))
