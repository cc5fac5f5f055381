"""`tiffin predict`: ask a running container for predictions."""

from __future__ import annotations

from pathlib import Path

import click

from tiffin.cli import rows as argument
from tiffin.cli.engine import engine_option

_FILE = click.Path(dir_okay=False, path_type=Path)
_KINDS = click.Choice(["csv", "jsonl", "npy", "parquet"])


@click.command("predict")
@click.argument("target")
@click.argument("rows", required=False)
@click.option("-i", "--input", "source", type=_FILE, help="Predict every row of a file.")
@click.option("-o", "--output", type=_FILE, help="Where the results of a file go.")
@click.option("--from", "source_kind", type=_KINDS, default=None, help="What the file is, if its name does not say.")
@click.option("--to", "target_kind", type=_KINDS, default=None, help="What the results are to be.")
@click.option("--batch", type=click.IntRange(1), default=256, show_default=True, help="Rows of a file asked at once.")
@engine_option
def command(target: str, rows: str | None, **options: object) -> None:
    """Ask TARGET, a container, a service or a URL, for predictions of ROWS, or of a file.

    ROWS is JSON: a list of rows, each a list of values or an object by column name; @FILE reads it from a file and
    - from standard input, which is the default. With --input and --output a whole file is predicted: CSV, JSON lines,
    npy or Parquet, by its ending. It is taken through in batches; after an interruption the same command goes on where
    it ended, and rows that the model refuses are written beside the output.
    """
    from tiffin.api.reaching.predict import predict, predict_file

    source, output = options["source"], options["output"]
    if not isinstance(source, Path) and not isinstance(output, Path):
        click.echo(predict(target, argument.read(rows or "-")))
        return
    if rows is not None or not isinstance(source, Path) or not isinstance(output, Path):
        raise click.UsageError("give ROWS, or --input and --output")
    kinds = (str(options["source_kind"] or ""), str(options["target_kind"] or ""))
    predicted = predict_file(target, source, output, kinds=kinds, batch=int(str(options["batch"])))
    click.echo(predicted.output)
    if predicted.rejected:
        count = f"{predicted.rejected} of {predicted.rows + predicted.rejected} rows"
        click.echo(f"{count} were rejected: {predicted.rejected_output}", err=True)
