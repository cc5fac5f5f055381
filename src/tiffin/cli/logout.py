"""`tiffin logout`: forget who you are to a registry."""

from __future__ import annotations

import click


@click.command("logout")
@click.argument("host")
def command(host: str) -> None:
    """Forget the name and the password that are kept for the registry HOST."""
    from tiffin.api.images.login import logout

    click.echo(logout(host))
