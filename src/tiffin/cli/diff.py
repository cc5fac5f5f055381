"""`tiffin diff`: say what changed between two images."""

from __future__ import annotations

import click

from tiffin.cli.amounts import human_size
from tiffin.cli.table import show


@click.command("diff")
@click.argument("before")
@click.argument("after")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(before: str, after: str, *, as_json: bool) -> None:
    """Say how image AFTER differs from BEFORE: packages, weights, code, settings, and what a push of it moves."""
    from tiffin.api.images.explain import diff
    from tiffin.oci.documents import encode

    found = diff(before, after)
    if as_json:
        click.echo(encode(found))
        return
    if found.changes:
        show(found.changes, ("what", "name", "before", "after"), as_json=False)
    if found.other_files:
        click.echo(f"and {found.other_files} other files")
    moved = [layer for layer in found.layers if not layer.shared]
    shared = f"{len(found.layers) - len(moved)} of {len(found.layers)} layers are shared"
    click.echo(f"{shared}; a push moves {human_size(found.moves)}{': ' if moved else ''}", nl=False)
    click.echo("; ".join(f"{layer.layer} ({human_size(layer.size)})" for layer in moved))
    click.echo(f"the image is {human_size(abs(found.grows))} {'bigger' if found.grows >= 0 else 'smaller'}")
