"""`tiffin prune`: delete what nobody needs."""

from __future__ import annotations

import click

from tiffin.cli.amounts import human_size
from tiffin.cli.table import show


@click.command("prune")
@click.option("--older", type=click.FloatRange(min=0), default=0, metavar="DAYS", help="Spare what was used since.")
@click.option("--plan", is_flag=True, help="Say what would be deleted, and delete nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, older: float, plan: bool, as_json: bool) -> None:
    """Delete what nobody needs: layers and images without a name, what was unpacked of them, and what builds kept.

    So do results of pipelines' steps go that no run asked for in 30 days, and runs that are older than that, but for
    the newest 100 of each pipeline. What an image with a name, a container or another process at work needs stays.
    Downloads stay too.
    """
    from tiffin.api.images.prune import plan_prune, prune
    from tiffin.oci.documents import encode

    found = plan_prune(older) if plan else prune(older)
    if as_json:
        click.echo(encode(found))
        return
    if plan:
        show(found.garbage, ("kind", "size", "digest"), as_json=False)
        if found.runs:
            click.echo()
            show(found.runs, ("run", "size", "folder"), as_json=False)
    click.echo(f"{'a prune frees' if plan else 'freed'} {human_size(found.size)}")
