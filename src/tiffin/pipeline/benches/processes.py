"""Steps as processes of a container that is their environment, where no other container can be made.

Each is confined to what a container of its own would show it (see `confinement`), and known by the same names: what
one gave is found by the other.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from tiffin.engine.plan import PATH
from tiffin.engine.spec import NOT_FOUND
from tiffin.errors import NotFoundError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.pipeline.benches.confinement import DEVICES, KERNEL, SOFTWARE, Bounds, Confinement
from tiffin.pipeline.benches.containers import ORDER, PYTHON, laid_out, outcome, step_environment
from tiffin.pipeline.benches.endings import STOPPED, TERMINATED
from tiffin.pipeline.benches.guarded import Task, guarded
from tiffin.pipeline.benches.inputs import lay_inputs, link
from tiffin.pipeline.benches.orders import METADATA, Places, argv_of
from tiffin.pipeline.benches.own_code import CODE, LANGUAGE, OwnCode
from tiffin.pipeline.benches.tracing import Answered
from tiffin.pipeline.benches.watch import Watch
from tiffin.pipeline.graph import Command, Function, Step
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Order

OWN = Path("/opt/tiffin")
"""Where a pipeline image has what is tiffin's own."""
_SCRATCH, _TEMPORARY = "scratch", "tmp"
"""The folder of an order's own with what is no output of it: links to its inputs, and what it takes for /tmp."""
_ASKED = Step(name="ask", does=Function(module="", name=""))


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """The container that this process is in: the digest of the environment that it is, and the variables it sets.

    `confinement` is what its kernel can take away from a process, `python` its environment's interpreter, and `roots`
    are folders of the environment that are where no other has them.
    """

    environment: Digest
    variables: dict[str, str]
    confinement: Confinement
    python: str = PYTHON
    roots: tuple[str, ...] = ()


class ProcessBench:
    """Does each step in a process of its own (see `Workbench`)."""

    def __init__(self, surroundings: Surroundings, code: OwnCode) -> None:
        self._in, self._own_code = surroundings, code

    def identity(self, step: Step) -> dict[str, str]:
        """As a container of the environment would have it; and that it is not confined, where it cannot be."""
        refuse(step)
        name = "environment" if isinstance(step.does, Function) else "image"
        return {name: self._in.environment, **self._own_code.identity(step), **self._in.confinement.identity()}

    def reads_with(self) -> dict[str, str]:
        """By what it is known what a pipeline's file says."""
        return self.identity(_ASKED) | self._own_code.reads_with()

    def do(self, order: Order, said: Callable[[str], None], stopped: threading.Event) -> Ended:
        """Do it in a process, of which nothing is left when this returns."""
        if stopped.is_set():
            return Ended(exit_code=TERMINATED, reason=STOPPED)
        folder, own = order.folder.resolve(), self._own_code.of(order.step)
        places = Places(inputs=str(folder / _SCRATCH / "in"), outputs=str(folder))

        def heard(line: str) -> None:
            said(own.as_written(line.replace(str(own.code.path), CODE), CODE))

        with laid_out(order, places), _made(folder / _SCRATCH):
            lay_inputs(order, places, link)
            task = self._task(order, places, own.code.path)
            if not shutil.which(task.argv[0], path=task.variables["PATH"]):
                return Ended(exit_code=NOT_FOUND, reason=f"{task.argv[0]}: {os.strerror(errno.ENOENT)}")
            with guarded(task, self._in.confinement) as process, Watch(process, order.seconds, stopped) as watch:
                for line in process.lines():
                    heard(line)
                code, told = process.wait(), process.report()
            return outcome(order, code, watch.reason, told)

    def sweep(self, runs: Collection[str]) -> None:
        """Remove nothing: a step dies with its run, and what it has left lies in its workplace."""

    def ask(self, argv: Sequence[str], said: Callable[[str], None], seconds: float) -> Answered:
        """Run the environment's Python with the project's code and nothing else, and read what it answers."""
        code = self._own_code.all().path
        with tempfile.TemporaryDirectory(prefix="tiffin-ask-") as folder:
            bounds = self._bounds(code, Path(folder))
            variables = self._variables(_ASKED, code, Path(folder))
            task = Task(argv=(self._in.python, *argv), cwd=str(code), variables=variables, bounds=bounds)
            running = guarded(task, self._in.confinement, answers=True)
            with running as process, Watch(process, seconds, threading.Event()) as watch:
                text, lines = process.answer()
        for line in lines:
            said(line.replace(str(code), CODE))
        return Answered(code=process.wait(), text=text, reason=watch.reason)

    def _task(self, order: Order, places: Places, code: Path) -> Task:
        folder, step = order.folder.resolve(), order.step
        if isinstance(step.does, Command):
            argv = argv_of(step.does.argv, order, places)
        else:
            argv = (self._in.python, "-m", "tiffin_pipeline", "step", str(folder / Path(ORDER).name))
        bounds = self._bounds(code, folder / _SCRATCH / _TEMPORARY)
        given = [str(one.path.resolve()) for each in order.inputs.values() for one in each]
        told = [places.inputs, str(folder / Path(ORDER).name), *given]
        outputs = [*(str(folder / name) for name in (FILES, VALUES, METADATA)), *_graphics(step)]
        return Task(
            argv=argv,
            cwd=str(code),
            variables=self._variables(step, code, folder / _SCRATCH / _TEMPORARY),
            bounds=Bounds(read=(*bounds.read, *told), write=(*bounds.write, *outputs), network=step.network),
            memory=step.resources.memory,
        )

    def _bounds(self, code: Path, temporary: Path) -> Bounds:
        """What every process of the project may read and write."""
        language = str(self._own_code.language().path)
        return Bounds(
            read=(*software(), *KERNEL, *self._in.roots, str(code), language),
            write=(*DEVICES, str(temporary)),
        )

    def _variables(self, step: Step, code: Path, temporary: Path) -> dict[str, str]:
        """What a container would find in its environment, with its own places for code and temporary files."""
        language = str(self._own_code.language().path)
        own = step_environment(step)
        path = own["PYTHONPATH"].replace(f"{CODE}:{LANGUAGE}", f"{code}:{language}", 1)
        places = {"HOME": str(temporary), "TMPDIR": str(temporary)}
        ours = {"PYTHONPATH": path, "TIFFIN_IMAGE": self._in.environment}
        return {"PATH": PATH} | self._in.variables | places | own | ours


def refuse(step: Step) -> None:
    """Refuse a step that needs an image of its own: in a container there is no engine for another one."""
    image = getattr(step.does, "image", "")
    if image:
        raise UnsupportedError(
            f"{step.place}: the step {step.name!r} has an image of its own, {image}, and no container can be made here",
            "`tiffin pipeline compile --to kubeflow` has a pod for each step",
        )
    if not isinstance(step.does, Function | Command):
        raise UnsupportedError(f"{step.place}: {step.name!r} is not done by a bench", "it is tiffin's own to do")


@contextlib.contextmanager
def _made(scratch: Path) -> Iterator[None]:
    """Have a folder for what is no output of a step, which is gone afterwards."""
    (scratch / "in").mkdir(parents=True)
    (scratch / _TEMPORARY).mkdir()
    try:
        yield
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def software() -> list[str]:
    """Where programs are in this container: of /opt all but tiffin's own."""
    optional = Path("/opt")
    others = sorted(str(path) for path in optional.iterdir() if path != OWN) if optional.is_dir() else []
    return [*SOFTWARE, *others]


def _graphics(step: Step) -> list[str]:
    """The devices of GPUs, for a step that asks for some: all that the container has."""
    if not step.resources.gpus:
        return []
    found = sorted(str(path) for path in Path("/dev").glob("nvidia*"))
    if not found:
        raise NotFoundError(
            f"{step.place}: the step {step.name!r} asks for {step.resources.gpus} GPUs, and this container has none",
            "give the container some; in a cluster, `nvidia.com/gpu` among the limits of its pod",
        )
    return found
