"""`tiffin stats`: show what containers use."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.table import show

_COLUMNS = ("name", "cpu", "memory", "pids")


@click.command("stats")
@click.argument("names", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Measure again and again.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --follow a line each time.")
@engine_option
def command(names: tuple[str, ...], *, follow: bool, as_json: bool) -> None:
    """Show what the containers NAMES use, or all that run: processors, memory, processes.

    The name of a service of this machine means its replicas, where no container has it; `tiffin top` watches services.
    """
    from tiffin.api.reaching.stats import following, stats

    if not follow:
        show(stats(names), _COLUMNS, as_json=as_json)
        return
    from tiffin.cli.screen import usable

    between = "" if as_json else "\x1b[H\x1b[2J" if usable() else "\n"
    for number, rows in enumerate(following(names)):
        click.echo(between if number or usable() else "", nl=False)
        show(rows, _COLUMNS, as_json=as_json)
