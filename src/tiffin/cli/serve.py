"""`tiffin serve`: the server without a container, for development."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("serve")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("-p", "--port", default=8080, show_default=True, help="The port of 127.0.0.1; 0 chooses one.")
@click.option("--python", default="", help="The interpreter that loads the model; the project's .venv by default.")
@click.option("--reload/--no-reload", default=True, show_default=True, help="Start again when a file changes.")
def command(folder: Path, *, port: int, python: str, reload: bool) -> None:
    """Serve the project in FOLDER on this machine, without an image and a container, for development.

    It is the server of the image, in an environment of yours: what `tiffin run` isolates is not isolated here.
    """
    import signal

    from tiffin.api.containers.serve import serve

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve(folder, port=port, python=python, reload=reload, say=lambda sentence: click.echo(sentence, err=True))
    except KeyboardInterrupt:
        click.echo("", err=True)
