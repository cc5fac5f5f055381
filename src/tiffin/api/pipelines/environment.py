"""What the steps of a pipeline are done in and with: a project's environment image, its code, and a bench of an engine.

The environment exists before the model does, and a retrain does not change it. What makes it (`pipeline_ground`) is
imported only where something is to be made: most runs find everything as it was.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import msgspec

from tiffin import __version__
from tiffin.api.building.projects import Checkout
from tiffin.api.machine.engines import engine_called, engine_name
from tiffin.api.machine.home import Home
from tiffin.build.fingerprint import Fingerprints
from tiffin.build.included import steps_of
from tiffin.build.recipes import LAYOUT
from tiffin.engine.gpus import Asked
from tiffin.errors import ConflictError, IntegrityError, NotFoundError, TiffinError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor, encode
from tiffin.oci.image import Image, read_image
from tiffin.oci.store import Store
from tiffin.pipeline.benches.code import Bytecode, Code, keep_code
from tiffin.pipeline.benches.containers import ContainerBench, Equipment, Standing
from tiffin.pipeline.benches.native import NativeBench
from tiffin.pipeline.benches.step_code import step_code
from tiffin.pipeline.benches.tracing import Answered
from tiffin.pipeline.benches.tracing import trace as read_pipeline
from tiffin.pipeline.graph import FORMAT, LANGUAGE, Graph
from tiffin.progress import step

PIPELINE = "pipeline.py"
TAG = "environment"
"""The tag under which a project's environment image is kept: `iris:environment`."""
ENVIRONMENTS = 1
"""Raised whenever another environment would come of the same project and lock."""
_TRIES = 3


def environment_of(folder: Path, home: Home, *, locked: bool = False) -> Image:
    """Have the environment image of the project in a folder: made of its lock, whether it has a model yet or not.

    Nothing is made, and no network is asked, when neither the lock nor what decides it has changed.
    """
    checkout = Checkout.of(folder, needs_model=False)
    records = home.records("environments")
    key = witness(checkout)
    if key and (known := records.get(key, Descriptor)) and (image := _whole(home.store, known)):
        name_environment(checkout, home, image)
        return image
    from tiffin.api.pipelines.ground import ground_of

    image = ground_of(checkout, home, locked=locked).image
    name_environment(checkout, home, image)
    if key := witness(checkout):  # the lock may be another now
        records.put(key, image.descriptor)
    return image


def name_environment(checkout: Checkout, home: Home, image: Image) -> None:
    """Have the environment go by its name, which keeps it when the store is pruned."""
    name = environment_name(checkout)
    named = home.store.names().get(name)
    if named is None or named.digest != image.descriptor.digest:
        home.store.tag(name, image.descriptor)


def environment_name(checkout: Checkout) -> str:
    """What a project's environment is called."""
    return f"{checkout.project.name}:{TAG}"


def witness(checkout: Checkout) -> Digest | None:
    """What decides an environment, as bytes that nobody has to understand; None where other files decide as well."""
    with contextlib.suppress(FileNotFoundError):
        lock, project = checkout.lock_path.read_bytes(), checkout.file.read_bytes()
        python = checkout.project.python
        wanted = (checkout.folder / python.requirements).read_bytes() if python.requirements else b""
        lines = wanted.decode(errors="replace").splitlines() or python.dependencies
        alone = not python.requirements or python.requirements.endswith(".txt")
        if alone and b"[packages.tool.tiffin]" not in lock and not any(map(_leads_elsewhere, lines)):
            made_by = [ENVIRONMENTS, LAYOUT, __version__, str(checkout.platform)]
            return Digest.of(encode(["environment", *made_by, *map(Digest.of, (lock, project, wanted))]))
    return None


def _leads_elsewhere(line: str) -> bool:
    """Whether a requirement is another file's, or is built from one."""
    said = line.partition(" #")[0].strip()
    return not said.startswith("#") and (said.startswith("-") or "/" in said)


def _whole(store: Store, known: Descriptor) -> Image | None:
    """An image that is in a store with all its layers."""
    with contextlib.suppress(NotFoundError, IntegrityError):
        image = read_image(store, known)
        if all(store.exists(part) for part in image.manifest.layers):
            return image
    return None


def code_of(folder: Path, home: Home, include: Sequence[str] = (PIPELINE,)) -> Code:
    """Keep the code of a project's steps as it is now: what `[image] include` matches, and what `include` does.

    Whatever is edited afterwards, the steps of a run that has it see this. Raises ConflictError for a file that is
    being written all the time.
    """
    checkout = Checkout.of(folder, needs_model=False)
    sources = steps_of(checkout.folder, checkout.project, include)
    return _kept(sources, checkout.folder, home)


def language_of(home: Home, environment: Digest | None = None, compiled: Compiles | None = None) -> Code:
    """Keep what pipeline.py imports from tiffin, so that containers can have it whoever may read where it lies.

    With it lies its bytecode for the interpreter of an environment, whose steps would each make that anew.
    """
    spec = importlib.util.find_spec(LANGUAGE)
    if spec is None or not spec.submodule_search_locations:
        raise TiffinError(f"the installed tiffin lacks {LANGUAGE}", "install tiffin again")
    root = Path(next(iter(spec.submodule_search_locations)))
    sources = {f"{LANGUAGE}/{path.relative_to(root).as_posix()}": path for path in root.rglob("*.py")}
    if environment is None or compiled is None:
        return _kept(sources, root, home)
    return _kept(sources, root, home, Bytecode(interpreter=environment, make=partial(compiled, sources)))


Compiles = Callable[[Mapping[str, Path]], Mapping[str, bytes]]
"""Makes bytecode of sources, given as path there -> path here."""


def container_bench(
    folder: Path, home: Home, include: Sequence[str] = (PIPELINE,), *, locked: bool = False
) -> ContainerBench:
    """Make the bench of the engine that is meant, for the project in a folder; what it needs is had when it is."""
    return ContainerBench(equipment(home, parts_of(folder, home, include, locked=locked), folder))


def parts_of(folder: Path, home: Home, include: Sequence[str] = (PIPELINE,), *, locked: bool = False) -> Parts:
    """What steps of the project in a folder are done in and with, each made when it is asked for."""
    checkout = Checkout.of(folder, needs_model=False)
    environment = cache(partial(environment_of, folder, home, locked=locked))

    def compiled(sources: Mapping[str, Path]) -> Mapping[str, bytes]:
        from tiffin.api.pipelines.ground import compiled, ground_of

        return compiled(sources, ground_of(checkout, home, locked=locked))

    return Parts(
        environment=lambda: Standing(name=environment_name(checkout), image=environment()),
        code=partial(code_of, folder, home, include),
        language=lambda: language_of(
            home, environment().descriptor.digest, compiled if checkout.project.image.bytecode else None
        ),
    )


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What of a bench is the project's."""

    environment: Callable[[], Standing]
    code: Callable[[], Code]
    language: Callable[[], Code]


def equipment(home: Home, parts: Parts, project: Path | None = None) -> Equipment:
    """Wire steps to this machine: the engine that is meant, the store, images that are pulled, its GPUs.

    The folder `project` says whose signatures those images must have.
    """
    name = engine_name()  # now: whoever does steps may be a thread, for which nobody has chosen one
    return Equipment(
        engine=cache(partial(engine_called, home, name, in_turn=True)),
        engine_name=name,
        store=home.store,
        environment=cache(parts.environment),
        code=cache(parts.code),
        language=cache(parts.language),
        find=partial(_standing, home, project),
        devices=_devices,
        reduced=partial(step_code, home.records("step-code")),
    )


def native_bench(folder: Path, home: Home, include: Sequence[str] = (PIPELINE,)) -> NativeBench:
    """Make the bench that is this very Python, for `--native`."""
    return NativeBench(folder, cache(lambda: code_of(folder, home, include).digest))


class Reads(Protocol):
    """A bench that a pipeline's file can be read in."""

    def reads_with(self) -> dict[str, str]:
        """By what it is known what the file says."""
        ...

    def ask(self, argv: Sequence[str], said: Callable[[str], None], seconds: float) -> Answered:
        """Run Python with these arguments, and read what it answers."""
        ...


def trace(bench: Reads, home: Home, module: str = "pipeline", name: str = "") -> Graph:
    """Read a pipeline out of a module of the project's, the one called `name` where there are several.

    What was read once, with the same code and the same packages, is remembered. Raises ConfigError with file and line.
    """
    records = home.records("pipelines")
    key = Digest.of(encode(["pipeline", FORMAT, bench.reads_with(), module, name]))
    known = records.get(key, str)  # as text, which keeps the order in which things were written
    if known is not None:
        return msgspec.json.decode(known, type=Graph)
    with step("read", f"{module}.py"):
        found = read_pipeline(bench.ask, module, name)
    records.put(key, msgspec.json.encode(found).decode())
    return found


def _kept(sources: dict[str, Path], folder: Path, home: Home, bytecode: Bytecode | None = None) -> Code:
    """Describe files and keep them; one that changes in between is looked at again."""
    for left in reversed(range(_TRIES)):
        seen = Fingerprints(home.records("pipeline-files"), folder)
        files = seen.files(sources)
        seen.save()
        with contextlib.ExitStack() as again:
            if left:
                again.enter_context(contextlib.suppress(ConflictError))
            return keep_code(files, sources, home.data / "code", bytecode)
    raise AssertionError  # the last try returns or raises


def _standing(home: Home, project: Path | None, reference: str) -> Standing:
    """Have an image by its name: the one that is here, else the registry's."""
    from tiffin.api.containers.accounts import accounts_for
    from tiffin.api.images.pull import pull_image
    from tiffin.api.images.trust import require
    from tiffin.api.images.verbs import find_image
    from tiffin.oci.reference import Reference

    try:
        image = find_image(home.store, reference)
    except NotFoundError:
        parsed = Reference.parse(reference)
        if not parsed.registry:
            raise
        image = pull_image(parsed, home)
    require(home.store, image.descriptor, reference, project=project)
    accounts = accounts_for(image.config.config.user, image, home.store)
    return Standing(name=reference, image=image, accounts=accounts)


def _devices(standing: Standing, asked: Asked) -> tuple[str, ...]:
    """The GPUs of a step's container, as `tiffin run --gpus` has them."""
    from tiffin.api.containers.needs import gpus_of

    return gpus_of(standing.name, standing.image, asked)
