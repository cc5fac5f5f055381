"""`tiffin init`: look at a folder, recognise the model and write tiffin.toml."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option("--model", default="", help="The model file, relative to the folder; needed when there are several.")
@click.option("--name", default="", help="The image's name; the folder's by default.")
@click.option("--force", is_flag=True, help="Replace the tiffin.toml that is there.")
@click.option("--allow-import", "allow", multiple=True, help="A name of your own that the model's pickle may import.")
@click.option("--no-dockerfile", is_flag=True, help="Leave a Dockerfile aside instead of replacing it.")
def command(folder: Path, model: str, name: str, allow: tuple[str, ...], **flags: bool) -> None:
    """Look at FOLDER, recognise the model and write a commented tiffin.toml.

    A simple Dockerfile is replaced: what becomes of each of its instructions is told line by line.
    """
    from tiffin.api.building.initialise import Asked, initialise

    asked = Asked(model=model, name=name, dockerfile=not flags["no_dockerfile"], allow=allow)
    target, found = initialise(folder, asked, force=flags["force"])
    click.echo(target)
    click.echo(f"model: {found.path} ({found.format}); next: `tiffin build {folder}`", err=True)
