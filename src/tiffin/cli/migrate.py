"""`tiffin migrate`: a container that runs goes on with another engine."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("migrate")
@click.argument("name")
@click.option("--to", required=True, type=click.Choice(["embedded", "docker", "podman"]), help="The engine it goes to.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds that it may take to be ready there.")
@click.option("--drop-writes", is_flag=True, help="Leave behind what it wrote to its own root.")
@click.option("--plan", is_flag=True, help="Print the steps and do none.")
@engine_option
def command(name: str, to: str, *, timeout: float, drop_writes: bool, plan: bool) -> None:
    """Move the container NAME, which runs, with its options and volumes, and print where it answers, or its name.

    The new one is ready before the old one is drained, unless both need the same port or write the same volume.
    """
    from tiffin.api.migrate import Options, migrate, plan_text

    options = Options(name=name, seconds=timeout, drop_writes=drop_writes)
    click.echo(plan_text(options, to) if plan else migrate(options, to))
