"""`tiffin run`: run a project or an image as a container."""

from __future__ import annotations

import sys
from typing import Any

import click

from tiffin.cli.engine import engine_option


@click.command("run")
@click.argument("what", default=".")
@click.option("-d", "--detach", is_flag=True, help="Return when the container is ready; it goes on.")
@click.option("--name", default="", help="The container's name; made of the image's by default.")
@click.option(
    "-p", "--publish", multiple=True, help="[ADDRESS:]PORT[:CONTAINER-PORT] to listen on; PORT 0 chooses one."
)
@click.option("-v", "--volume", multiple=True, help="SOURCE:TARGET[:ro] to mount.")
@click.option("-e", "--env", multiple=True, help="NAME=VALUE, or NAME to pass on yours.")
@click.option("--rm", "remove", is_flag=True, help="Remove the container when it ends.")
@click.option("--plan", is_flag=True, help="Print what would run as JSON and start nothing.")
@click.argument("args", nargs=-1)
@engine_option
def command(what: str, *, detach: bool, remove: bool, plan: bool, **options: Any) -> None:
    """Run WHAT, a project's folder (which is built first) or an image, and print its URL when it is ready."""
    from tiffin.api.run import Options, plan_text, run_attached, run_detached

    wanted = Options.of(what, **options)
    if plan:
        click.echo(plan_text(wanted))
    elif detach:
        click.echo(run_detached(wanted))
    else:
        sys.exit(run_attached(wanted, remove=remove, ready=click.echo))
