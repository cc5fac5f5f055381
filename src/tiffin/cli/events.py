"""`tiffin events`: say what was decided for the services of this machine, and what happened to them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from tiffin.cli.engine import engine_option

if TYPE_CHECKING:  # start-up is a feature
    from tiffin.deploy.local.state import Event

_KIND = len("available")
_BAD = {"lost", "given-up", "trouble"}


@click.command("events")
@click.argument("name", default="")
@click.option("-f", "--follow", is_flag=True, help="Go on.")
@click.option("-n", "--tail", type=click.IntRange(min=1), default=100, show_default=True, help="At most the last ones.")
@click.option("--since", default="", metavar="TIME", help="Those since a time, or as long ago as `10m` or `1h30m`.")
@click.option("--json", "as_json", is_flag=True, help="Print each as a line of JSON, with the numbers that made it.")
@engine_option
def command(name: str, *, follow: bool, tail: int, since: str, as_json: bool) -> None:
    """Say what was decided for the service NAME, or for all, and what happened to them; oldest first."""
    import msgspec

    from tiffin.api.containers.logs import Part
    from tiffin.api.services.up import events

    begin = Part.of(since=since, tail="all").since
    written = Written()
    for event in events(name, last=tail, follow=follow):
        if begin and event.time < begin.timestamp():
            continue
        click.echo(msgspec.json.encode(event).decode() if as_json else written(event))


class Written:
    """Events as lines whose words are below each other; on a terminal what went wrong is red."""

    def __init__(self) -> None:
        from tiffin.cli.screen import colourful

        self._colour = colourful()
        self._width = 0

    def __call__(self, event: Event) -> str:
        """Write one."""
        self._width = max(self._width, len(event.service))
        at = datetime.fromtimestamp(event.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kind = event.kind.ljust(_KIND)
        if self._colour and event.kind in _BAD:
            kind = f"\x1b[31m{kind}\x1b[0m"
        return f"{at}  {event.service.ljust(self._width)}  {kind}  {event.message}"
