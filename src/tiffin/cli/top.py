"""`tiffin top`: watch the services of this machine in the terminal."""

from __future__ import annotations

import click

_SORTS = ("name", "requests", "errors", "latency", "waiting", "cpu", "memory", "restarts", "age")


@click.command("top")
@click.argument("name", default="")
@click.option("--sort", type=click.Choice(_SORTS), default="name", show_default=True, help="What comes first.")
@click.option("--once", is_flag=True, help="Print a table after half a second; so it is without a terminal, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, once.")
@click.option(
    "--interval", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Seconds between looks."
)
def command(name: str, *, sort: str, once: bool, as_json: bool, interval: float) -> None:
    """Watch the services of this machine, or the replicas of the service NAME: requests, latency, processors, memory.

    Arrows and Enter look into a service and Esc leaves it; s and letters sort, R reverses, q quits. Rates and latencies
    are those since the look before; processors are in percent of one, memory is PSS.
    """
    from tiffin.api.services import top
    from tiffin.cli.screen import usable

    if as_json or once or not usable():
        _print(top.once(name), name, sort, as_json=as_json)
        return
    from tiffin.cli.live import live

    live(top.Watcher(name), name, sort, interval)


def _print(rows: object, name: str, sort: str, *, as_json: bool) -> None:
    import shutil
    import sys

    from tiffin.cli.pages import tables
    from tiffin.oci.documents import encode

    if as_json:
        click.echo(encode(rows))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1000
    for line in tables(rows, name, width, sort):  # type: ignore[arg-type]
        click.echo(line.rstrip())
