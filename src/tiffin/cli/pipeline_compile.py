"""`tiffin pipeline compile`: write a pipeline for Kubeflow Pipelines."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("compile")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
@click.option("--to", type=click.Choice(["kubeflow"]), required=True, help="What will run it.")
@click.option("--name", default="", metavar="PIPELINE", help="Which pipeline, where there are several.")
@click.option(
    "--push",
    "registry",
    default="",
    metavar="REGISTRY/NAME",
    help="Where the image of the project's steps goes: its environment, with their code.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write a file.  [default: standard output]"
)
def command(folder: Path, to: str, name: str, registry: str, output: Path | None) -> None:  # noqa: ARG001 - one so far
    """Write the pipeline of FOLDER as a PipelineSpec 2.1.0, with every image by its digest.

    What Kubeflow's open-source back end would not run is refused, with the line of pipeline.py.
    """
    from tiffin.api.pipelines.compile import compile_pipeline

    text = compile_pipeline(folder, name, registry)
    if output:
        output.write_text(text, encoding="utf-8")
    click.echo(output or text, nl=bool(output))
