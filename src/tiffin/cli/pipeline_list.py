"""`tiffin pipeline list`: list the runs of a pipeline, or what they measured."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.pipeline_meant import as_json as encoded
from tiffin.cli.pipeline_meant import meant, meant_options

if TYPE_CHECKING:
    from tiffin.api.pipelines.runs import RunRow
    from tiffin.pipeline.pictures.plot import Measured


@click.command("list")
@meant_options
@click.option("--metrics", is_flag=True, help="What the steps of each run measured, instead of how it ended.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="With --metrics: write a plot, as SVG, there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, metrics: bool, output: Path | None, as_json: bool, **said: Any) -> None:
    """List the runs of a pipeline, the latest first: how long ago, how each ended, and what became of its steps."""
    from tiffin.api.pipelines import runs as api

    if output and not metrics:
        raise click.UsageError("-o goes with --metrics; `tiffin pipeline graph -o FILE.svg` draws a run")
    which = meant(said)
    if output:
        output.write_text(api.plotted(which))
        click.echo(output)
        return
    if metrics:
        measured = api.metrics(which)
        click.echo(encoded(measured) if as_json else "\n".join(_measured(measured)))
        return
    rows = api.history(which)
    click.echo(encoded(rows) if as_json else "\n".join(_listed(rows)))


def _listed(rows: list[RunRow]) -> list[str]:
    from tiffin.cli.columns import Column, age, fitted
    from tiffin.pipeline.pictures.words import took

    now = time.time()
    columns = (
        Column("RUN", lambda row: row.run),
        Column("AGE", lambda row: age(now - row.began), 80),
        Column("STATE", lambda row: row.state.value, 100),
        Column("TOOK", lambda row: took(row.seconds), 70),
        Column("STEPS", lambda row: ", ".join(f"{count} {word}" for word, count in row.steps.items()), 60),
    )
    return fitted(columns, rows, _width())


def _measured(runs: list[Measured]) -> list[str]:
    from tiffin.cli.columns import UNKNOWN, Column, fitted
    from tiffin.pipeline.pictures.plot import names_of

    def column(name: str) -> Column:
        return Column(name, lambda run: f"{run.numbers[name]:.6g}" if name in run.numbers else UNKNOWN, 50)

    columns = (Column("RUN", lambda run: run.run), *map(column, names_of(runs)))
    return fitted(columns, list(reversed(runs)), _width())


def _width() -> int:
    return shutil.get_terminal_size((120, 24)).columns
