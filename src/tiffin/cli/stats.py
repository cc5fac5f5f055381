"""`tiffin stats`: show what containers use."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.table import show


@click.command("stats")
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@engine_option
def command(names: tuple[str, ...], *, as_json: bool) -> None:
    """Show what the containers NAMES use, or all that run: processors, memory, processes."""
    from tiffin.api.stats import stats

    show(stats(names), ("name", "cpu", "memory", "pids"), as_json=as_json)
