"""`tiffin reproduce`: make an image again out of what it carries, and compare."""

from __future__ import annotations

import click

from tiffin.cli.table import show


@click.command("reproduce")
@click.argument("image")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every layer's verdict.")
def command(image: str, *, as_json: bool) -> None:
    """Make IMAGE again from the lock, project and files that it carries, and say whether it comes to the same bytes.

    Every package is fetched anew. What no index has any more is taken from the image itself, and said.
    """
    from tiffin.api.building.reproduce import reproduce
    from tiffin.errors import IntegrityError
    from tiffin.oci.documents import encode

    found = reproduce(image)
    if as_json:
        click.echo(encode(found))
    else:
        show(found.layers, ("layer", "verdict", "why"), as_json=False)
    differing = [row for row in found.layers if row.verdict == "differs"]
    if differing:
        other = found.made_by != found.tiffin
        raise IntegrityError(
            f"{image} ({found.digest}) is not what it is made of: {len(differing)} of {len(found.layers)} parts differ",
            f"tiffin {found.made_by} made it and this is {found.tiffin}: `uvx tiffin@{found.made_by} reproduce {image}`"
            if other
            else f"`tiffin reproduce {image} --json` has it all; `tiffin diff` compares two images",
        )
    if not as_json:
        carried = f"; {found.carried} of {len(found.layers)} parts are carried" if found.carried else ""
        click.echo(f"{found.digest} is identical{carried}")
