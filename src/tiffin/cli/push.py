"""`tiffin push`: bring an image to a registry."""

from __future__ import annotations

import click

from tiffin.cli.amounts import human_size
from tiffin.cli.table import show


@click.command("push")
@click.argument("image")
@click.argument("reference", default="")
@click.option("--plan", is_flag=True, help="Say what would move and what is there, and move nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(image: str, reference: str, *, plan: bool, as_json: bool) -> None:
    """Bring IMAGE to the registry that REFERENCE names (its own name by default), and print its name and digest there.

    What the repository has is not sent, and what another repository of the registry has is mounted.
    """
    from tiffin.api.images.push import plan_push, push
    from tiffin.oci.documents import encode

    if as_json and not plan:
        raise click.UsageError("--json prints a plan: add --plan")
    if not plan:
        click.echo(push(image, reference))
        return
    found = plan_push(image, reference)
    if as_json:
        click.echo(encode(found))
        return
    show(found.parts, ("state", "size", "title", "digest", "source"), as_json=False)
    click.echo(f"a push sends {human_size(found.moves)} of {human_size(found.size)} to {found.name}")
