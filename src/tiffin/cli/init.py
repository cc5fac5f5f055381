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
def command(folder: Path, model: str, name: str, *, force: bool, allow: tuple[str, ...]) -> None:
    """Look at FOLDER, recognise the model and write a commented tiffin.toml."""
    from tiffin.api.initialise import initialise

    target, found = initialise(folder, model=model, name=name, force=force, allow=allow)
    click.echo(target)
    click.echo(f"model: {found.path} ({found.format}); next: `tiffin build {folder}`", err=True)
