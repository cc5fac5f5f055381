"""`tiffin events`: say what was decided for the services of this machine, and what happened to them."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from tiffin.cli.engine import engine_option


@click.command("events")
@click.argument("name", default="")
@click.option("-f", "--follow", is_flag=True, help="Go on.")
@click.option("-n", "--tail", type=click.IntRange(min=1), default=100, show_default=True, help="At most the last ones.")
@click.option("--json", "as_json", is_flag=True, help="Print each as a line of JSON, with the numbers that made it.")
@engine_option
def command(name: str, *, follow: bool, tail: int, as_json: bool) -> None:
    """Say what was decided for the service NAME, or for all, and what happened to them; oldest first."""
    import msgspec

    from tiffin.api.up import events

    for event in events(name, last=tail, follow=follow):
        if as_json:
            click.echo(msgspec.json.encode(event).decode())
        else:
            at = datetime.fromtimestamp(event.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            click.echo(f"{at}  {event.service}  {event.kind}  {event.message}")
