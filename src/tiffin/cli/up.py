"""`tiffin up`: keep services on this machine."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option


@click.command("up")
@click.option("--systemd", is_flag=True, help="Print a unit that has systemd do so, and start nothing.")
@click.option(
    "--metrics", default="", metavar="ADDRESS", help="Listen for Prometheus there too, as on `127.0.0.1:9464`."
)
@click.option(
    "--edge",
    is_flag=False,
    flag_value="",
    metavar="[HTTP:HTTPS]",
    help="Lead hosts (`[deploy] host`) to services by HTTPS, with Caddy, at ports 80 and 443 or these.",
)
@engine_option
def command(metrics: str, *, systemd: bool, edge: str | None) -> None:
    """Keep the services of this machine as they are wanted (`tiffin deploy --to local`), until interrupted.

    The services go on without it; the next one finds them again.
    """
    from tiffin.api.services.up import unit, up

    if systemd:
        click.echo(unit(metrics=metrics, edge=edge))
    else:
        up(lambda sentence: click.echo(sentence, err=True), metrics, edge)
