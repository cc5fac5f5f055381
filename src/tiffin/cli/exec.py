"""`tiffin exec`: run a program in a container that runs."""

from __future__ import annotations

import sys

import click

from tiffin.cli.engine import engine_option


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.option("-d", "--detach", is_flag=True, help="Return when the program has begun; it goes on, unheard.")
@click.option("-i", "--interactive", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal; with `-i`, yours.")
@click.option("-e", "--env", multiple=True, help="NAME=VALUE, or NAME to pass on yours.")
@click.option("-u", "--user", default="", help="Its user, as UID[:GID] or by name; the container's by default.")
@click.option("-w", "--workdir", default="", help="The folder it starts in; the container's by default.")
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
) -> None:
    """Run PROGRAM in the container NAME, confined as it is, and exit as the program does."""
    from tiffin.api.exec import execute, variables
    from tiffin.engine.spec import Command

    wanted = Command(argv=argv, env=variables(env), cwd=workdir, user=user, tty=tty)
    sys.exit(execute(name, wanted, interactive=interactive, detach=detach))
