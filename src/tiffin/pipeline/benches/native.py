"""Steps in this very Python, for a debugger: one at a time, on the terminal, with the project's own files.

Nothing is confined here, and no timeout ends a function, so what comes of it is known by other names than a
container's.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from tiffin import __version__
from tiffin.engine.spec import NOT_FOUND, NOT_RUNNABLE
from tiffin.errors import UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.pipeline.benches.endings import STOPPED, TERMINATED, Why, metadata, took_longer, why
from tiffin.pipeline.benches.inputs import lay_inputs, own
from tiffin.pipeline.benches.orders import METADATA, Places, argv_of, order_document
from tiffin.pipeline.benches.tracing import Answered
from tiffin.pipeline.benches.watch import Watch
from tiffin.pipeline.graph import LANGUAGE, Command, Function, Step
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Order

_SIGNALLED = 128
_PATIENCE = 1.0
"""Seconds that a command has to end by itself when it is told to."""


class NativeBench:
    """Does steps in this process, and commands beside it (see `Workbench`)."""

    def __init__(self, folder: Path, code: Callable[[], Digest]) -> None:
        """Take modules from the folder of a project; `code` is what its files are known by."""
        self._folder, self._code = folder.resolve(), code
        self._one = threading.Lock()

    def identity(self, step: Step) -> dict[str, str]:
        """This interpreter with its packages, and all of the code: never what a container's results are known by.

        A function is run from the project's own files, where a debugger finds it, and could see whatever is there.
        """
        if not isinstance(step.does, Function | Command):
            raise UnsupportedError(f"{step.place}: {step.name!r} is not done by a bench", "it is tiffin's own to do")
        return {"native": interpreter(), "packages": packages(sys.path), "code": self._code()}

    def reads_with(self) -> dict[str, str]:
        """By what it is known what a pipeline's file says."""
        return {"native": interpreter(), "packages": packages(sys.path), "code": self._code(), "language": __version__}

    def do(self, order: Order, said: Callable[[str], None], stopped: threading.Event) -> Ended:  # noqa: ARG002 - see below
        """Do it when no other is being done; what it writes goes to the terminal, and nobody else is told of it."""
        beside = order.folder.resolve()  # on the store's file system, where copies may cost nothing
        with self._one, tempfile.TemporaryDirectory(prefix="step-", dir=beside) as folder, self._within(order.step):
            if stopped.is_set():  # while another was done
                return Ended(exit_code=TERMINATED, reason=STOPPED)
            for name in (FILES, VALUES):
                (order.folder / name).mkdir(exist_ok=True)
            places = Places(inputs=str(Path(folder) / "in"), outputs=str(beside))
            lay_inputs(order, places, own)
            if isinstance(order.step.does, Function):
                code, reason = self._call(order, order.step.does, places, Path(folder)), ""
            else:
                code, reason = _run(order, places, stopped)
        return _outcome(order, code, reason)

    def sweep(self, runs: Collection[str]) -> None:
        """Remove nothing: a step dies with its run, and what it has left lies in its workplace."""

    def ask(self, argv: Sequence[str], said: Callable[[str], None], seconds: float) -> Answered:
        """Run this Python with these arguments in the project's folder, and read what it answers."""
        path = os.pathsep.join([str(self._folder), *filter(None, sys.path)])
        try:
            done = subprocess.run(
                [sys.executable, *argv],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Answered(code=1, text="", reason=took_longer(seconds))
        for line in done.stderr.decode(errors="replace").splitlines():
            said(line)
        return Answered(code=done.returncode, text=done.stdout.decode(errors="replace"))

    def _call(self, order: Order, does: Function, places: Places, folder: Path) -> int:
        """Do the order of a function as its container would, in this process; `exit` in a step ends the step alone."""
        told = folder / "order.json"
        told.write_text(json.dumps(order_document(order, does, places)))
        before, sys.argv = sys.argv, [LANGUAGE, "step", str(told)]
        try:
            runpy.run_module(LANGUAGE, run_name="__main__")
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        finally:
            sys.argv = before
        return 0

    @contextlib.contextmanager
    def _within(self, step: Step) -> Iterator[None]:
        """Stand in the project's folder, with its modules first and the step's environment, as a container does.

        Its modules are forgotten afterwards: no step finds what another has left in one. Others of the same names,
        which this process may have, are laid aside.
        """
        aside = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_called(self._folder, name)}
        environment, path, modules = dict(os.environ), list(sys.path), set(sys.modules)
        os.environ.update(step.env)
        sys.path.insert(0, str(self._folder))
        try:
            with contextlib.chdir(self._folder):
                yield
        finally:
            for name in set(sys.modules) - modules:
                if _is_in(self._folder, getattr(sys.modules[name], "__file__", None)):
                    del sys.modules[name]
            sys.modules.update(aside)
            sys.path[:] = path
            os.environ.clear()
            os.environ.update(environment)


def _is_in(folder: Path, file: str | None) -> bool:
    """Whether a module is a project's own; packages may be installed in a folder of it."""
    if not file or not Path(file).is_relative_to(folder):
        return False
    return not any(part.startswith(".") or part == "site-packages" for part in Path(file).relative_to(folder).parts)


def _is_called(folder: Path, module: str) -> bool:
    """Whether a project has a module of this name, which is none of Python's own or tiffin's."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in {"tiffin", LANGUAGE}:
        return False
    return (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file()


def interpreter() -> str:
    """What this Python is."""
    found = sys.implementation
    return f"{found.name}-{platform.python_version()}-{sys.platform}-{platform.machine()}"


def packages(path: Sequence[str]) -> str:
    """What is installed, by the names that installers write of it: a digest that another package or version changes."""
    found = set()
    for folder in path:
        with contextlib.suppress(OSError):
            found |= {name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))}  # noqa: PTH208 - names
    return Digest.of(encode(sorted(found)))


class _Process:
    """A command that runs, as what can be told to end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def stop(self, seconds: float | None = None) -> None:
        """Tell it to end, and kill it if it does not."""
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()


def _run(order: Order, places: Places, stopped: threading.Event) -> tuple[int, str]:
    """Run a command beside this process; its exit code, and why where it did not end by itself."""
    assert isinstance(order.step.does, Command)  # noqa: S101 - `identity` refuses what is neither
    argv = argv_of(order.step.does.argv, order, places)
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        return NOT_FOUND if missing else NOT_RUNNABLE, f"{argv[0]}: {error.strerror}"
    with process, Watch(_Process(process), order.seconds, stopped) as watch:
        code = process.wait()
    return _SIGNALLED - code if code < 0 else code, watch.reason


def _outcome(order: Order, code: int, reason: str) -> Ended:
    said: Mapping[str, dict[str, object]] = {}
    told = order.folder / METADATA
    if isinstance(order.step.does, Function):
        said = metadata(told)
        told.unlink(missing_ok=True)
    reason = reason or why(Why(code=code, said="", step=order.step))
    return Ended(exit_code=code, reason=reason, metadata=dict(said))
