"""`tiffin build`: make the image of a project, or have a Dockerfile built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("build")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option("-t", "--tag", default="", help="The image's name; the project's by default.")
@click.option("--locked", is_flag=True, help="Refuse a lock that is absent or stale instead of writing it.")
@click.option("--offline", is_flag=True, help="Use what is on this machine, or say what is missing.")
@click.option("--plan", is_flag=True, help="Print the plan as JSON and make nothing.")
@click.option("-f", "--file", "dockerfile", type=click.Path(path_type=Path), help="A Dockerfile to build instead.")
@click.option("--builder", default="", help="Who builds it: docker, podman or buildah; the first that works.")
@click.option("--build-arg", "arguments", multiple=True, help="NAME=VALUE for an ARG of the Dockerfile.")
@click.option("--target", default="", help="The stage of the Dockerfile to stop at.")
@click.option("--network", default="", help="The network of the Dockerfile's RUN instructions, such as host.")
def command(folder: Path, tag: str, *, locked: bool, offline: bool, plan: bool, **options: Any) -> None:
    """Make the image of the project in FOLDER and print its name and digest."""
    from tiffin.api.building.build import build, plan_text

    if options["dockerfile"]:
        if locked or offline or plan:
            raise click.UsageError("a Dockerfile has no lock and no plan: leave --locked, --offline and --plan out")
        click.echo(_delegated(folder, tag, **options))
    elif any(options.values()):
        raise click.UsageError("--builder, --build-arg, --target and --network go with a Dockerfile: name it with -f")
    elif plan:
        click.echo(plan_text(folder, locked=locked or offline))
    else:
        click.echo(build(folder, tag=tag, locked=locked, offline=offline))


def _delegated(folder: Path, tag: str, *, builder: str, **options: Any) -> str:
    """Have another program build the Dockerfile."""
    from tiffin.api.building.dockerfile import build
    from tiffin.engine.builders import Request

    return build(Request(folder=folder, **options), tag=tag, builder=builder)
