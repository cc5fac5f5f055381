"""`tiffin build`: make the image of a project."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("build")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option("-t", "--tag", default="", help="The image's name; the project's by default.")
@click.option("--locked", is_flag=True, help="Refuse a lock that is absent or stale instead of writing it.")
@click.option("--offline", is_flag=True, help="Use what is on this machine, or say what is missing.")
@click.option("--plan", is_flag=True, help="Print the plan as JSON and make nothing.")
def command(folder: Path, tag: str, *, locked: bool, offline: bool, plan: bool) -> None:
    """Make the image of the project in FOLDER and print its name and digest."""
    from tiffin.api.build import build, plan_text

    if plan:
        click.echo(plan_text(folder, locked=locked or offline))
    else:
        click.echo(build(folder, tag=tag, locked=locked, offline=offline))
