"""`tiffin predict`: ask a running container for predictions."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tiffin.cli.engine import engine_option


@click.command("predict")
@click.argument("target")
@click.argument("rows", default="-")
@engine_option
def command(target: str, rows: str) -> None:
    """Ask TARGET, a container's name or a URL, for predictions of ROWS.

    ROWS is JSON: a list of rows, each a list of values or an object by column name; @FILE reads it from a file and
    - from standard input.
    """
    from tiffin.api.predict import predict

    if rows == "-":
        body = sys.stdin.buffer.read()
    elif rows.startswith("@"):
        body = Path(rows[1:]).read_bytes()
    else:
        body = rows.encode()
    click.echo(predict(target, body))
