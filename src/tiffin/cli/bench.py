"""`tiffin bench`: put a load on a service and see how it answers."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tiffin.cli import rows as argument
from tiffin.cli.engine import engine_option


@click.command("bench")
@click.argument("target")
@click.argument("rows", required=False)
@click.option("-c", "--connections", default=16, show_default=True, help="Connections at once.")
@click.option("-s", "--seconds", default=10.0, show_default=True, help="How long to measure.")
@click.option("-r", "--rate", default=0.0, help="Requests a second, whether answered or not (an open loop).")
@click.option("--even", is_flag=True, help="Space the requests of an open loop evenly, not as users come.")
@click.option("--warm-up", default=1.0, show_default=True, help="Seconds that are not counted.")
@click.option("--time-out", default=30.0, show_default=True, help="Seconds to wait for an answer.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME: VALUE", help="Send a header.")
@click.option("--any-answer", is_flag=True, help="Do not hold answers against the first one.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the latencies into an SVG file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@engine_option
def command(target: str, rows: str | None, **options: object) -> None:
    """Put a load on TARGET, a container, a service or a URL, and say how fast and how well it answered.

    ROWS is what `tiffin predict` takes: JSON, @FILE, or - for standard input; without it, a row is made up of what the
    model says it takes. A URL with a path is asked there, with ROWS as the body. Without --rate each connection asks
    again when it was answered; with it, requests are sent when they are due, and their latency counts from then.
    """
    from tiffin.api.reaching.bench import bench
    from tiffin.oci.documents import encode
    from tiffin.traffic.picture import svg
    from tiffin.traffic.report import lines
    from tiffin.traffic.schedule import Load

    names = ("connections", "seconds", "rate", "even", "warm_up", "time_out")
    load = Load(**{name: options[name] for name in names})  # type: ignore[arg-type] # click has made them what they are
    headers = dict(_header(text) for text in options["headers"])  # type: ignore[attr-defined] # a tuple of texts
    report = bench(
        target, None if rows is None else argument.read(rows), load, headers=headers, same=not options["any_answer"]
    )
    if isinstance(options["plot"], Path):
        options["plot"].write_text(svg(report), "utf-8")
    click.echo(encode(report) if options["as_json"] else "\n".join(lines(report)))
    if report.failed:
        sys.exit(1)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.BadParameter(f"{text} is not like `Name: value`")
    return name.strip(), value.strip()
