"""`tiffin pipeline graph`: draw a pipeline, or one of its runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tiffin.cli.pipeline_meant import meant, meant_options


@click.command("graph")
@click.argument("run", default="")
@meant_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write it as SVG.")
@click.option("--svg", "as_svg", is_flag=True, help="Print SVG on a terminal, too.")
def command(run: str, *, output: Path | None, as_svg: bool, **said: Any) -> None:
    """Draw RUN, the latest by default: steps with their states and times, choices and loops around them.

    On a terminal it is drawn in lines, anywhere else as SVG. A pipeline that was never run is drawn as it is written.
    """
    from tiffin.api.pipelines.runs import framed_run
    from tiffin.cli.screen import colourful
    from tiffin.pipeline.pictures.svg import svg
    from tiffin.pipeline.pictures.text import lines

    frame, caption = framed_run(meant(said), run)
    if output:
        output.write_text(svg(frame, caption))
        click.echo(output)
    elif as_svg or not sys.stdout.isatty():
        click.echo(svg(frame, caption), nl=False)
    else:
        click.echo("\n".join([*lines(frame, colour=colourful()), *([caption] if caption else [])]))
