"""`tiffin inspect`: show what an image or a container is."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("inspect")
@click.argument("name")
@click.option(
    "--show",
    "document",
    type=click.Choice(["project", "lock", "service", "provenance"]),
    help="Print this document of an image instead: what it carries of itself, or what is said of it.",
)
@engine_option
def command(name: str, document: str | None) -> None:
    """Print what is known of the image or container NAME, as JSON."""
    from tiffin.api.containers.inspect import inspect, show

    click.echo(show(name, document) if document else inspect(name), nl=not document)
