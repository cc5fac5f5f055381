"""`tiffin status`: show how services are."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.table import show
from tiffin.cli.where import place, where_options


@click.command("status")
@click.argument("name", default="")
@where_options
@click.option("--explain", is_flag=True, help="Also what was decided about it lately, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, *, explain: bool, as_json: bool, **said: Any) -> None:
    """Show how the service NAME is, and what is in its way; without a name, all services that are known."""
    from tiffin.api.services import verbs as services
    from tiffin.cli.service import print_status

    where = place(said)
    if explain and not name:
        raise click.UsageError("--explain is about one service: name it")
    if not name:
        rows, unkept = services.services(where)
        show(rows, ("name", "phase", "ready", "address", "place"), as_json=as_json)
        if unkept:
            raise unkept
        return
    if explain:
        decided = services.explain(name, where)
        if as_json:
            show(decided, (), as_json=True)
            return
    print_status(services.status(name, where), as_json=as_json)
    if explain:
        click.echo()
        show(decided, ("time", "what", "why"), as_json=False)
