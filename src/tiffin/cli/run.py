"""`tiffin run`: run a project or an image as a container."""

from __future__ import annotations

import sys
from typing import Any

import click

from tiffin.cli.attach import detach_keys_option
from tiffin.cli.engine import engine_option
from tiffin.cli.program import WithProgram


@click.command("run", cls=WithProgram)
@click.argument("what", default=".")
@click.option("-d", "--detach", is_flag=True, help="Return when the container is ready; it goes on.")
@click.option("-i", "--interactive", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal; with `-i`, yours.")
@click.option("--rm", "remove", is_flag=True, help="Remove the container when it ends.")
@click.option("--name", default="", help="The container's name; made of the image's by default.")
@click.option(
    "-p", "--publish", multiple=True, help="[ADDRESS:]PORT[:CONTAINER-PORT] to listen on; PORT 0 chooses one."
)
@click.option("-v", "--volume", multiple=True, help="PATH:TARGET[:rw] to mount, or a volume: NAME:TARGET[:ro].")
@click.option("--tmpfs", multiple=True, help="A folder of the container to keep in memory, writable.")
@click.option(
    "--read-only/--writable", default=None, help="Whether it may write to its root; not in tiffin's own images."
)
@click.option("-e", "--env", multiple=True, help="NAME=VALUE, or NAME to pass on yours.")
@click.option("--env-file", multiple=True, help="A file of NAME=VALUE lines.")
@click.option("--secret", multiple=True, help="NAME=FILE; the container reads it at /run/secrets/NAME.")
@click.option("-l", "--label", multiple=True, help="NAME=VALUE to know it by.")
@click.option("-u", "--user", default="", help="Its user, as UID[:GID] or by name; the image's by default.")
@click.option("-w", "--workdir", default="", help="The folder it starts in; the image's by default.")
@click.option("--entrypoint", help="The program to run instead of the image's.")
@click.option("--network", type=click.Choice(["none", "user", "host"]), default="none", show_default=True)
@click.option("-m", "--memory", default="", help="The most memory it may use: 512m, 2g.")
@click.option("--cpus", type=click.FloatRange(min=0), default=0.0, help="The most processors it may use: 1.5.")
@click.option("--pids-limit", type=click.IntRange(min=0), default=0, help="The most processes it may have.")
@click.option("--gpus", default="", help="GPUs it gets: all, 2 (how many), 0,1 (which), a UUID or none.")
@click.option("--device", multiple=True, help="A CDI device it gets, as vendor.com/class=name.")
@click.option("--restart", default="no", show_default=True, help="no, on-failure[:TRIES], always or unless-stopped.")
@click.option("--stop-signal", default="", help="The signal that stops it; the image's by default.")
@click.option(
    "--stop-timeout", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Seconds to stop in."
)
@click.option("--plan", is_flag=True, help="Print what would run as JSON and start nothing.")
@detach_keys_option
@click.argument("program", nargs=-1, metavar="[PROGRAM [ARGS]...]")
@engine_option
def command(what: str, program: tuple[str, ...], *, detach: bool, plan: bool, detach_keys: str, **typed: Any) -> None:
    """Run WHAT, a project's folder (which is built first) or an image, and print where it answers when it is ready.

    Options may follow WHAT; all from PROGRAM on is the program's.
    """
    from tiffin.api.containers.options import options
    from tiffin.api.containers.run import plan_run, run_attached, run_detached

    wanted = options(what, args=program, **typed)
    if plan:
        decided = plan_run(wanted)
        click.echo(decided.text)
        if decided.refusal:
            raise decided.refusal
    elif detach:
        click.echo(run_detached(wanted))
    else:
        sys.exit(run_attached(wanted, detach_keys=detach_keys, ready=click.echo))
