"""`tiffin verify`: verify the signatures of an image."""

from __future__ import annotations

from pathlib import Path

import click

from tiffin.cli.table import show


@click.command("verify")
@click.argument("image")
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A public key in PEM, of which any one is enough; those that are required of IMAGE by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the statements whole.")
def command(image: str, *, keys: tuple[Path, ...], as_json: bool) -> None:
    """Verify that a key has signed IMAGE, and print its digest and what else the key has signed about it.

    IMAGE is in its registry where its name has one, and here otherwise; here its layers are read and checked too.
    """
    from tiffin.api.images.trust import verify
    from tiffin.oci.documents import encode

    found = verify(image, keys)
    if as_json:
        click.echo(encode(found))
        return
    show(found.attestations, ("what", "predicate_type", "key", "referrer"), as_json=False)
    for refused in found.refused:
        click.echo(f"not counted: {refused.referrer}: {refused.why}")
    click.echo(found.name)
