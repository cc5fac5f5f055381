"""Steps in containers of any engine: each sees its inputs, its code, a folder for its outputs, and nothing else.

/in/NAME/FILE         an input, read-only; of several /in/NAME/INDEX/FILE
/out/artifacts/NAME   where an output goes, and /out/parameters/NAME the text of a value
/pipeline             the project's code, read-only, and where a step of the project begins
/tiffin/pipeline      what the code imports from tiffin, read-only
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tiffin.engine.gpus import Asked
from tiffin.engine.plan import Accounts, RunOptions, container_spec
from tiffin.engine.plan import is_own as is_tiffins
from tiffin.engine.spec import NOT_FOUND, Container, ContainerSpec, Engine, Limits, Mount, Network, State
from tiffin.errors import NotFoundError, TiffinError, UnsupportedError
from tiffin.oci.image import Image
from tiffin.oci.store import Store
from tiffin.pipeline.benches.code import Code
from tiffin.pipeline.benches.endings import STOPPED, TERMINATED, Why, metadata, why
from tiffin.pipeline.benches.orders import METADATA, Places, argv_of, order_document
from tiffin.pipeline.benches.own_code import CODE, LANGUAGE, OwnCode, Reduces, is_own
from tiffin.pipeline.benches.step_code import all_of_it
from tiffin.pipeline.benches.tracing import Answered
from tiffin.pipeline.benches.watch import Watch
from tiffin.pipeline.graph import Command, Function, Step
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Order
from tiffin.progress import note

ORDER = "/tiffin/order.json"
PLACES = Places(inputs="/in", outputs="/out")
PYTHON, OTHERS_PYTHON = "/opt/venv/bin/python", "python3"
"""The interpreter of tiffin's images, and what that of others is called, found by their PATH."""
RUN, TASK = "dev.tiffin.pipeline.run", "dev.tiffin.pipeline.task"
"""The labels by which a step's container is known again."""
STOP_SECONDS = 1.0
"""Seconds that a step has to end by itself when it is told to."""
EMBEDDED, DOCKER = "embedded", "docker"
_ASKED = Step(name="ask", does=Function(module="", name=""))
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9.]+")
_LONGEST = 50


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An image that steps stand on, by the name it goes by; `accounts` are read where its user goes by name."""

    name: str
    image: Image
    accounts: Accounts = Accounts()


class Equipment(msgspec.Struct, frozen=True, kw_only=True):
    """What steps are done with, each part had when it is needed first.

    `environment` and `code` are the project's, `language` is the package that its code imports from tiffin; `find`
    has an image by the reference of a command, pulled if it is not here, and `devices` has the GPUs that are asked
    for a container of an image. `network` is what a step gets that wants one, and `reduced` what of the code a
    function sees.
    """

    engine: Callable[[], Engine]
    engine_name: str = EMBEDDED
    store: Store
    environment: Callable[[], Standing]
    code: Callable[[], Code]
    language: Callable[[], Code]
    find: Callable[[str], Standing]
    devices: Callable[[Standing, Asked], tuple[str, ...]]
    network: Network = Network.USER
    reduced: Reduces = all_of_it


class ContainerBench:
    """Does each step in a container of its own (see `Workbench`)."""

    def __init__(self, equipment: Equipment) -> None:
        self._with = equipment
        self._standings: dict[str, Standing] = {}
        self._loaded: set[str] = set()
        self._own_code = OwnCode(equipment.code, equipment.language, equipment.reduced)
        self._one = threading.Lock()

    def identity(self, step: Step) -> dict[str, str]:
        """By which image and which code a step's results are known."""
        standing = self._standing(step)
        name = "environment" if isinstance(step.does, Function) else "image"
        return {name: standing.image.descriptor.digest, **self._own_code.identity(step)}

    def reads_with(self) -> dict[str, str]:
        """By what it is known what a pipeline's file says: the environment, the code, and the language."""
        return self.identity(_ASKED) | self._own_code.reads_with()

    def do(self, order: Order, said: Callable[[str], None], stopped: threading.Event) -> Ended:
        """Do it in a container, which is gone when this returns."""
        if stopped.is_set():
            return Ended(exit_code=TERMINATED, reason=STOPPED)
        standing = self._ready(order.step)
        with laid_out(order):
            container = self._created(order, standing)
            try:
                return self._ended(container, order, said, stopped)
            finally:
                container.remove(force=True)

    def sweep(self, runs: Collection[str]) -> None:
        """Remove what is left of the steps of runs that were killed; an engine that is not there is told of."""
        try:
            found = self._with.engine().list()
        except TiffinError as error:
            note(f"containers of a run that was killed may be left: {error.message}")
            return
        for container in found:
            if container.spec.labels.get(RUN) in runs:
                with contextlib.suppress(TiffinError):  # somebody else did, or does
                    container.remove(force=True)

    def _standing(self, step: Step) -> Standing:
        """The image that a step is done in; one that was found by its name stays the same from then on."""
        if not isinstance(step.does, Function | Command):
            raise UnsupportedError(
                f"{step.place}: {step.name!r} is not done in a container", "it is tiffin's own to do"
            )
        reference = step.does.image
        with self._one:
            if reference not in self._standings:
                found = self._with.find(reference) if reference else self._with.environment()
                self._standings[reference] = found
            return self._standings[reference]

    def ask(self, argv: Sequence[str], said: Callable[[str], None], seconds: float) -> Answered:
        """Run a program in the project's environment, with its code and nothing else, and read what it answers."""
        standing = self._ready(_ASKED)
        options = RunOptions(
            name=f"ask-{secrets.token_hex(3)}",
            entrypoint=(PYTHON, *argv),
            env=step_environment(_ASKED),
            cwd=CODE,
            mounts=tuple(
                Mount(source=str(path), target=target) for target, path in self._own(self._own_code.all()).items()
            ),
            stop_seconds=STOP_SECONDS,
            labels={RUN: "ask"},
        )
        container = self._with.engine().create(
            container_spec(standing.name, standing.image, options, standing.accounts)
        )
        answer = []  # one line of JSON, which engines keep in pieces where it is long
        try:
            container.start(attached=True)
            with Watch(container, seconds, threading.Event()) as watch:
                for line in container.logs(follow=True):
                    if line.stream == "stdout":
                        answer.append(line.text)
                    else:
                        said(line.text)
                code = container.wait()
        finally:
            container.remove(force=True)
        return Answered(code=code, text="".join(answer), reason=watch.reason)

    def _own(self, code: Code) -> dict[str, Path]:
        """What a step of the project has mounted, by where."""
        return {CODE: code.path, LANGUAGE: self._with.language().path}

    def _ready(self, step: Step) -> Standing:
        standing = self._standing(step)
        digest = standing.image.descriptor.digest
        with self._one:
            if digest not in self._loaded:
                self._with.engine().load(self._with.store, standing.image)
                self._loaded.add(digest)
        return standing

    def _spec(self, order: Order, standing: Standing) -> ContainerSpec:
        equipment, step = self._with, order.step
        options = self._options(order, standing)
        wanted: dict[str, Any] = {
            "name": f"{options.name}-{secrets.token_hex(3)}",  # what a killed run left may have the other
            "network": equipment.network if step.network else Network.NONE,
        }
        if step.resources.gpus:
            asked = Asked(names=order.gpus) if order.gpus else Asked(count=step.resources.gpus)
            wanted["devices"] = equipment.devices(standing, asked)
        spec = container_spec(
            standing.name, standing.image, msgspec.structs.replace(options, **wanted), standing.accounts
        )
        return as_caller(spec, equipment.engine_name, os.geteuid(), os.getegid())

    def _options(self, order: Order, standing: Standing) -> RunOptions:
        """How a step's container runs, but for its network and devices."""
        own = self._own(self._own_code.of(order.step).code) if is_own(order.step) else {}
        return step_options(order, standing, own)

    def _outcome(self, order: Order, code: int, stopped: str, state: State) -> Ended:
        """How a step has ended."""
        return outcome(order, code, stopped, state.reason)

    def _created(self, order: Order, standing: Standing) -> Container:
        spec = self._spec(order, standing)
        try:
            return self._with.engine().create(spec)
        except UnsupportedError as error:
            if spec.network is not Network.USER:
                raise
            step = order.step  # other ways to a network are options of `run`
            message = f"{step.place}: the step {step.name!r} has `network=True`, and {error.message}"
            raise UnsupportedError(message, (error.hint or "").partition("; or ")[0] or None) from error

    def _ended(
        self, container: Container, order: Order, said: Callable[[str], None], stopped: threading.Event
    ) -> Ended:
        try:
            container.start(attached=True)
        except NotFoundError as error:  # the program
            return Ended(exit_code=NOT_FOUND, reason=error.message)
        own = self._own_code.of(order.step) if is_own(order.step) else None
        with Watch(container, order.seconds, stopped) as watch:
            for line in container.logs(follow=True):
                said(own.as_written(line.text, CODE) if own else line.text)
            code = container.wait()
        return self._outcome(order, code, watch.reason, container.state())


def step_options(order: Order, standing: Standing, own: Mapping[str, Path]) -> RunOptions:
    """Decide how a step's container runs, but for its network and devices; `own` is mounted read-only. Pure."""
    step = order.step
    limits = Limits(memory=step.resources.memory, cpus=step.resources.cpus)
    return RunOptions(
        name=_stem(order),
        entrypoint=_argv(order, standing),
        env=step_environment(step),
        cwd=CODE if own else "",
        mounts=(*_mounts(order), *(Mount(source=str(path), target=target) for target, path in own.items())),
        stop_seconds=STOP_SECONDS,
        labels={RUN: order.run, TASK: order.task},
        limits=limits,
    )


def step_environment(step: Step) -> dict[str, str]:
    """What a step finds in its environment beside what the image sets: what was written, and the way to its code.

    Whatever its number is on an engine, the user is called what the environment image calls its own.
    """
    if not is_own(step):
        return dict(step.env)
    path = ":".join(filter(None, (CODE, LANGUAGE, step.env.get("PYTHONPATH", ""))))
    return {"USER": "tiffin", "PYTHONHASHSEED": "0", **step.env, "PYTHONPATH": path}


def _has_range(uid: int, gid: int) -> bool:
    from tiffin.engine.embedded.ids import find  # noqa: PLC0415 - few steps are in images with several users

    return find(uid, gid, confined=False) is not None


def as_caller(
    spec: ContainerSpec, engine: str, uid: int, gid: int, has_range: Callable[[int, int], bool] = _has_range
) -> ContainerSpec:
    """Let the files that a container writes be the caller's, who has to read and to remove them.

    Root may do that anyway, and the embedded engine's containers of one user are the caller. Of several users, for
    which the caller has a range of ids, and in podman without root, the caller is root inside; docker's numbers are the
    machine's own.
    """
    if uid == 0 or (engine == EMBEDDED and not (spec.several_ids and has_range(uid, gid))):
        return spec
    return msgspec.structs.replace(spec, user=(uid, gid) if engine == DOCKER else (0, 0))


@contextlib.contextmanager
def laid_out(order: Order, places: Places = PLACES) -> Iterator[None]:
    """Make the folders and files that are mounted; what is no output is gone afterwards.

    The folder is the caller's alone, and what is in it anybody's: the container's user has a number that depends on
    the engine.
    """
    order.folder.chmod(0o700)
    for name in (FILES, VALUES):
        (order.folder / name).mkdir(exist_ok=True)
        (order.folder / name).chmod(0o777)
    told = order.folder / Path(ORDER).name
    if isinstance(order.step.does, Function):
        told.write_bytes(msgspec.json.encode(order_document(order, order.step.does, places)))
        told.chmod(0o644)
        (order.folder / METADATA).touch()
        (order.folder / METADATA).chmod(0o666)
    try:
        yield
    finally:
        for path in (told, order.folder / METADATA):
            path.unlink(missing_ok=True)


def outcome(order: Order, code: int, stopped: str, said: str) -> Ended:
    """Say how a step has ended, and what it says of its outputs; what these are is judged by whoever keeps them."""
    reason = stopped or why(Why(code=code, said=said, step=order.step))
    try:
        facts = metadata(order.folder / METADATA)
    except (ValueError, msgspec.MsgspecError) as error:
        return Ended(exit_code=code, reason=reason or f"what it says of its outputs cannot be read: {error}")
    return Ended(exit_code=code, reason=reason, metadata=facts)


def _argv(order: Order, standing: Standing) -> tuple[str, ...]:
    does = order.step.does
    if isinstance(does, Command):
        return argv_of(does.argv, order, PLACES)
    python = PYTHON if is_tiffins(standing.image.config.config.labels) else OTHERS_PYTHON
    return (python, "-m", "tiffin_pipeline", "step", ORDER)


def _mounts(order: Order) -> Iterator[Mount]:
    """What a step sees of this machine: its inputs, and the folders of its outputs."""
    for name in order.inputs:
        for given, path in PLACES.inputs_of(order, name):
            yield Mount(source=str(given.path.absolute()), target=path)
    folder = order.folder.absolute()
    for name in (FILES, VALUES):
        yield Mount(source=str(folder / name), target=f"{PLACES.outputs}/{name}", read_only=False)
    if isinstance(order.step.does, Function):
        yield Mount(source=str(folder / METADATA), target=f"{PLACES.outputs}/{METADATA}", read_only=False)
        yield Mount(source=str(folder / Path(ORDER).name), target=ORDER)


def _stem(order: Order) -> str:
    name = _NOT_IN_A_NAME.sub("-", f"{order.run}-{order.task}-{order.attempt}").strip("-.")
    return name[-_LONGEST:].lstrip("-.") or "step"
