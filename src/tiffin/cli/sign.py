"""`tiffin sign`: sign an image with a key."""

from __future__ import annotations

from pathlib import Path

import click

from tiffin.cli.passphrase import ask, ask_for_new
from tiffin.cli.table import show


@click.command("sign")
@click.argument("image", default="")
@click.option("--key", type=click.Path(path_type=Path), help="The private key to sign with, in PEM.")
@click.option("--generate-key", metavar="NAME", default="", help="Make a key instead: NAME.key, and NAME.pub to give.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(image: str, *, key: Path | None, generate_key: str, as_json: bool) -> None:
    """Sign IMAGE, its bill of materials and where it was made its provenance, and keep that beside it.

    IMAGE is in its registry where its name has one, and here otherwise; `tiffin push` takes signatures along. A key
    with a passphrase asks for it, or takes it from TIFFIN_KEY_PASSPHRASE.
    """
    from tiffin.api.images import trust
    from tiffin.oci.documents import encode

    if bool(generate_key) == bool(image) or bool(key) != bool(image):
        raise click.UsageError("give an IMAGE and its --key, or --generate-key alone")
    if generate_key:
        click.echo(trust.generate_key(generate_key, ask_for_new()))
        return
    signed = trust.sign(image, key or Path(), lambda: ask(str(key)))
    if as_json:
        click.echo(encode(signed))
        return
    for one in signed:
        show(one.statements, ("what", "referrer"), as_json=False)
        click.echo(f"{one.name} is signed by {one.key}")
