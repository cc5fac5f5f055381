"""`tiffin attach`: be a container's terminal, or read what it writes."""

from __future__ import annotations

import sys

import click

from tiffin.cli.engine import engine_option
from tiffin.engine.keys import DETACH

detach_keys_option = click.option(
    "--detach-keys",
    default=DETACH,
    show_default=True,
    metavar="KEYS",
    help="Keys that leave a container which has a terminal, and let it go on.",
)


@click.command("attach")
@click.argument("name")
@detach_keys_option
@click.option("--no-stdin", is_flag=True, help="Pass no input on.")
@click.option(
    "--sig-proxy",
    type=bool,
    is_flag=False,
    flag_value=True,
    default=True,
    show_default=True,
    help="Pass signals on to a container that has no terminal.",
)
@engine_option
def command(name: str, *, detach_keys: str, no_stdin: bool, sig_proxy: bool) -> None:
    """Attach to the container NAME: show what it writes, pass input on if it was run with `-i`, exit as it does."""
    from tiffin.api.containers.attach import attach

    sys.exit(attach(name, detach_keys=detach_keys, stdin=not no_stdin, proxy=sig_proxy))
