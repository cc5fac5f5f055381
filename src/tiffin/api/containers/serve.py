"""Serve a project without a container, for development."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tiffin.errors import ConfigError, UnsupportedError

NEEDED = ("httptools", "uvloop")


def serve(folder: Path, *, port: int, python: str = "", reload: bool = True, say: Callable[[str], None]) -> None:
    """Run the server of a project's image here until interrupted; with `reload`, anew when a file changes.

    The model is loaded by `python`, else by that of the project's `.venv`, of the active environment, or tiffin's own.
    Raises ConfigError for a project that cannot be served, ConflictError for a port that is taken.
    """
    from tiffin.engine.development import Running, keep_running, listen

    _check_installed()
    files(folder)
    with tempfile.TemporaryDirectory(prefix="tiffin-serve-") as place, listen("127.0.0.1", port) as bound:
        front, worker = _lay_out(Path(place))
        interpreter = _interpreter(folder, python)
        say(f"http://127.0.0.1:{bound.getsockname()[1]}, with {interpreter}; Ctrl-C ends it")
        if word := _unconverted(folder):
            say(word)

        def start() -> Running:
            document = Path(place, "service.json")
            try:
                document.write_bytes(msgspec.json.encode(_service(folder, [interpreter, str(worker)])))
            except ConfigError as error:
                say(f"{error.message}; serving what there was")
            argv = [sys.executable, str(front), "all", "--service", str(document)]
            return Running(argv, bound, {"PYTHONDONTWRITEBYTECODE": "1"})

        keep_running(start, partial(files, folder) if reload else tuple, say)


def _unconverted(folder: Path) -> str:
    """Say a word where the image will have a converted model, since the one that was trained is served."""
    from tiffin.config.read import read_project

    convert = read_project(folder)[1].model.convert
    return f"serving the model as it was trained: `tiffin build` is what converts it to {convert}" if convert else ""


def files(folder: Path) -> list[Path]:
    """Every file that decides what is served: tiffin.toml, the model's and the included code."""
    from tiffin.build.sources import code_of, project_model, weights_of
    from tiffin.config.read import read_project

    try:
        file, project = read_project(folder)
        model = project_model(folder, project)
        return [file, *weights_of(model).values(), *code_of(folder, project, model).values()]
    except ConfigError:
        if (folder / "tiffin.toml").exists():
            return [folder / "tiffin.toml"]
        raise


def _service(folder: Path, worker: list[str]) -> Mapping[str, Any]:
    """Write the server's document as the image would have it, with paths of this machine."""
    from tiffin.api.building.projects import Checkout
    from tiffin.build.plan import Payload, service_text
    from tiffin.build.sources import code_of, project_model, weights_of

    checkout = Checkout.of(folder)
    model = project_model(checkout.folder, checkout.project)
    code_of(checkout.folder, checkout.project, model)
    payload = Payload(format=model.format, weights=(), code=())
    document: dict[str, Any] = msgspec.json.decode(service_text(checkout.project, payload))
    found = list(weights_of(model).values())
    path = found[0] if len(found) == 1 else model.path
    document["model"]["path"] = "" if path is None else str(path)
    document["serve"]["drain_seconds"] = 0
    return {**document, "code": str(checkout.folder), "worker": worker}


def _lay_out(place: Path) -> tuple[Path, Path]:
    """Put the server's files where they would be in an image."""
    from tiffin.build.server import FRONT, WORKER, server_files

    for name, file in server_files().items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).symlink_to(file)
    return place / FRONT, place / WORKER


def _interpreter(folder: Path, python: str) -> str:
    candidates: Iterable[str] = (
        [python]
        if python
        else [str(folder / ".venv/bin/python"), str(Path(os.environ.get("VIRTUAL_ENV", "/none"), "bin/python"))]
    )
    for candidate in candidates:
        if Path(candidate).exists():
            return str(Path(candidate).absolute())
    if python:
        raise ConfigError(f"there is no Python at {python}", "`--python` takes the path of an interpreter")
    return sys.executable


def _check_installed() -> None:
    import importlib.util

    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UnsupportedError(f"the server needs {missing[0]} here", "`pip install 'tiffin[serve]'`")
