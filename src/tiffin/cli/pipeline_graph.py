"""`tiffin pipeline graph`: draw a pipeline, or one of its runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tiffin.cli.pipeline_meant import meant, meant_options


@click.command("graph")
@click.argument("run", default="")
@meant_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write it, instead of printing it.")
def command(run: str, *, output: Path | None, **said: Any) -> None:
    """Draw RUN, the latest by default, as SVG: steps with their states and times, choices and loops around them.

    A pipeline that was never run is drawn as it is written.
    """
    from tiffin.api.pipelines.runs import picture

    text = picture(meant(said), run)
    if output:
        output.write_text(text)
        click.echo(output)
    else:
        click.echo(text, nl=False)
