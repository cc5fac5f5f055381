"""`tiffin exec`: run a program in a container that runs, or in a replica of a service."""

from __future__ import annotations

import sys
from typing import Any

import click

from tiffin.cli.engine import engine_option
from tiffin.cli.where import place, where_options


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.option("-d", "--detach", is_flag=True, help="Return when the program has begun; it goes on, unheard.")
@click.option("-i", "--interactive", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal; with `-i`, yours.")
@click.option("-e", "--env", multiple=True, help="NAME=VALUE, or NAME to pass on yours.")
@click.option("-u", "--user", default="", help="Its user, as UID[:GID] or by name; the container's by default.")
@click.option("-w", "--workdir", default="", help="The folder it starts in; the container's by default.")
@click.option("--replica", default="", metavar="REPLICA", help="Of a service: this one; any that is ready by default.")
@where_options
@click.argument("name")
@click.argument("argv", nargs=-1, required=True, metavar="PROGRAM [ARGS]...")
@engine_option
def command(  # noqa: PLR0913 - one parameter an option
    name: str,
    argv: tuple[str, ...],
    env: tuple[str, ...],
    user: str,
    workdir: str,
    *,
    detach: bool,
    interactive: bool,
    tty: bool,
    replica: str,
    **said: Any,
) -> None:
    """Run PROGRAM in the container NAME, confined as it is, and exit as the program does.

    Of a service, in a replica: where a place or a replica is said, or where a service was deployed by that name and no
    container has it.
    """
    from tiffin.api.reaching.exec import execute, variables
    from tiffin.api.reaching.reach import Reach
    from tiffin.engine.spec import Command

    wanted = Command(
        argv=argv[1:] if argv[0] == "--" and argv[1:] else argv, env=variables(env), cwd=workdir, user=user, tty=tty
    )
    reach = Reach(where=place(said), replica=replica)
    sys.exit(execute(name, wanted, interactive=interactive, detach=detach, reach=reach))
