"""`tiffin login`: say who you are to a registry."""

from __future__ import annotations

import sys

import click


@click.command("login")
@click.argument("host")
@click.option("-u", "--username", prompt=True, help="Your name there.")
@click.option("--password-stdin", is_flag=True, help="Read the password, or a token, from standard input.")
def command(host: str, username: str, *, password_stdin: bool) -> None:
    """Try a name and a password at the registry HOST, and keep them where docker and tiffin look for them."""
    from tiffin.api.images.login import login

    if password_stdin:
        password = sys.stdin.read().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, err=True)
    click.echo(login(host, username, password))
