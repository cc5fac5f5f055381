"""`tiffin pipeline why`: say which part of a step's key changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.pipeline_meant import as_json as encoded
from tiffin.cli.pipeline_meant import meant, meant_options

if TYPE_CHECKING:
    from tiffin.api.pipelines.runs import Because


@click.command("why")
@click.argument("step")
@click.argument("run", default="")
@meant_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(step: str, run: str, *, as_json: bool, **said: Any) -> None:
    """Say why STEP was done, kept or skipped in RUN, the latest by default: what changed since the run before."""
    from tiffin.api.pipelines.runs import why

    found = why(meant(said), step, run)
    click.echo(encoded(found) if as_json else "\n".join(_told(one) for one in found))


_WORDS = {"succeeded": "was done", "running": "is being done", "waiting": "waits", "skipped": "was skipped"}
_WORDS |= {"blocked": "was not done", "stopped": "was stopped"}


def _told(one: Because) -> str:
    if one.kept:
        return f"{one.task} was kept: nothing that it is known by has changed"
    what = f"{one.task} {_WORDS.get(one.state, one.state)}"
    if one.changes:
        return "\n".join([f"{what}: since {one.before}", *(f"  {change}" for change in one.changes)])
    if one.why:
        return f"{what}: {one.why}"
    if one.before:
        return f"{what}: it is known by what it was in {one.before}, of which there is no result, or none that is kept"
    return f"{what}: it never was before"
