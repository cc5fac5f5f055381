"""`tiffin ci init`: write a CI system's file that releases the project."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("ci")
def command() -> None:
    """Have a CI system release the project."""


@command.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option("--github", "system", flag_value="github", help="Write .github/workflows/tiffin.yml.")
@click.option("--gitlab", "system", flag_value="gitlab", help="Write .gitlab-ci.yml.")
@click.option("--branch", default="main", show_default=True, help="The branch whose commits are released.")
@click.option("--requirements", default="", metavar="FILE", help="Install tiffin with --require-hashes from this file.")
@click.option("--force", is_flag=True, help="Write over a file that somebody else wrote or changed.")
def init(folder: Path, system: str | None, *, branch: str, requirements: str, force: bool) -> None:
    """Write the file by which a CI system runs `tiffin release` for the project in FOLDER, and print its path.

    Run again it writes the same bytes for the same tiffin.toml.
    """
    from tiffin.api.releases.ci import init as write

    if not system:
        raise click.UsageError("say for which: --github or --gitlab")
    click.echo(write(folder, system, branch=branch, requirements=requirements, force=force))
