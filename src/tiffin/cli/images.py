"""`tiffin images`: list the images here."""

from __future__ import annotations

import click

from tiffin.cli.table import show


@click.command("images")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """List the images here, with their size in the store."""
    from tiffin.api.images.verbs import images

    show(images(), ("name", "digest", "platform", "layers", "size"), as_json=as_json)
