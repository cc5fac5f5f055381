"""What tests of benches share: one that is a table, this Python, and containers of each engine on a root of busybox."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec

from contract.engine_fixtures import DEADLINE, ClientBench, busybox_image
from tiffin.engine.embedded.engine import EmbeddedEngine
from tiffin.engine.embedded.keepers import ForkServer
from tiffin.engine.gpus import Asked
from tiffin.engine.plan import ENVIRONMENT, PATH
from tiffin.engine.spec import Engine
from tiffin.errors import NotFoundError
from tiffin.layers.unpack import unpack_layer
from tiffin.oci.digest import Digest
from tiffin.oci.image import Image
from tiffin.oci.store import Store
from tiffin.pipeline.benches.code import Code
from tiffin.pipeline.benches.confinement import Confinement, here
from tiffin.pipeline.benches.containers import ContainerBench, Equipment, Standing
from tiffin.pipeline.benches.native import NativeBench
from tiffin.pipeline.benches.own_code import OwnCode
from tiffin.pipeline.benches.processes import ProcessBench, Surroundings
from tiffin.pipeline.graph import Command, InputPath, OutputPath, Port, Resources, Step, Value
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Input, Order, Workbench
from unit.pipeline.memory_bench import MemoryBench, Work

NUMBERS = itertools.count()
OTHERS = "registry.test/others:1"
"""An image that tiffin has not made."""


def shell(name: str, script: str, **more: Any) -> Step:
    """A step that a shell does; `$text` is its input, `$out` and `$length` where its outputs go, `$a` a value."""
    image = more.pop("image", "")
    ports = {
        "inputs": {
            "text": Port(type="Dataset", optional=True),
            "several": Port(type="Dataset", many=True, optional=True),
            "a": Port(type="int", default=0),
        },
        "outputs": {"out": Port(type="Dataset"), "length": Port(type="int")},
    }
    words = (InputPath(input="text"), Value(input="a"), OutputPath(output="out"), OutputPath(output="length"))
    argv = ("sh", "-c", f"text=$1 a=$2 out=$3 length=$4 several=$5; {script}", "sh", *words, InputPath(input="several"))
    return Step(name=name, does=Command(argv=argv, image=image), **(ports | more))


COPY = shell("copy", 'cat "$text" > "$out"; echo "$a" >> "$out"; echo said; echo 7 > "$length"')
FOLDER = shell("folder", 'mkdir -p "$out/deep"; cp "$text" "$out/deep/"; echo 1 > "$length"')
JOIN = shell("join", 'cat "$several"/*/* > "$out"; echo 2 > "$length"')
FAIL = shell("fail", "echo why it fails >&2; exit 3")
HANG = shell("hang", "trap '' TERM; echo hangs; while :; do sleep 600; done")


def _copy(work: Work) -> Ended:
    work.said("said")
    return work.give(out=work.read("text") + f"{work.order.values.get('a', 0)}\n".encode(), length="7\n")


def _hang(work: Work) -> Ended:
    work.said("hangs")
    assert work.stopped.wait(DEADLINE)
    return Ended(exit_code=143, reason="was stopped")


def _fail(work: Work) -> Ended:
    work.said("why it fails")
    return Ended(exit_code=3)


TABLE: Mapping[str, Callable[[Work], Ended]] = {
    "copy": _copy,
    "folder": lambda work: work.give(out={"deep/text.txt": work.read("text")}, length="1\n"),
    "join": lambda work: work.give(out=work.read("several"), length="2\n"),
    "fail": _fail,
    "hang": _hang,
}


class Case:
    """A bench, and a folder of this machine for what steps take and give."""

    def __init__(self, bench: Workbench, folder: Path, *, hears: bool = True, is_confined: bool = False) -> None:
        """`hears` says that the bench tells what a step writes, `is_confined` that a step sees nothing else."""
        self.bench, self.folder, self.hears, self.is_confined = bench, folder, hears, is_confined
        folder.mkdir(parents=True, exist_ok=True)

    def input(self, text: str, name: str = "text.txt") -> Input:
        """A file of this machine as an input."""
        path = self.folder / f"input-{next(NUMBERS)}" / name
        path.parent.mkdir()
        path.write_text(text)
        return Input(digest=Digest.of(text.encode()), path=path, name=name, type="Dataset", size=len(text))

    def order(self, step: Step, *texts: Input, seconds: float = 0.0, **values: Any) -> Order:
        """An order of a step that takes texts, as one input or as several."""
        folder = self.folder / f"order-{next(NUMBERS)}"
        folder.mkdir()
        inputs = {"text" if len(texts) == 1 else "several": texts} if texts else {}
        return Order(
            run="run",
            task=step.name,
            attempt=1,
            step=step,
            values=values,
            inputs=inputs,
            folder=folder,
            seconds=seconds,
        )

    def do(self, order: Order, stopped: Event | None = None) -> tuple[Ended, list[str]]:
        """Do an order; how it ended, and what it wrote."""
        lines: list[str] = []
        return self.bench.do(order, lines.append, stopped or Event()), lines

    @contextmanager
    def doing(self, order: Order) -> Iterator[tuple[list[str], Event, list[Ended]]]:
        """Do an order beside the block; what it wrote, what stops it, and how it ended once the block is left."""
        lines, stopped, ended = list[str](), Event(), list[Ended]()
        thread = Thread(target=lambda: ended.append(self.bench.do(order, lines.append, stopped)), daemon=True)
        thread.start()
        yield lines, stopped, ended
        thread.join(DEADLINE)
        assert not thread.is_alive(), "it did not end"


def given(order: Order) -> tuple[str, str]:
    """What a step left as its file, and as its value."""
    return (order.folder / FILES / "out").read_text(), (order.folder / VALUES / "length").read_text()


def memory_case(folder: Path) -> Case:
    return Case(MemoryBench(TABLE), folder / "work")


def native_case(folder: Path) -> Case:
    return Case(NativeBench(folder, lambda: Digest.of(b"code")), folder / "work", hears=False)


def process_case(folder: Path, **more: Any) -> Case:
    """Processes of this machine, as far as its kernel confines them; a shell is all of the environment that is used."""
    return Case(process_bench(folder, here(), **more), folder / "work", is_confined=True)


def process_bench(folder: Path, confinement: Confinement, **more: Any) -> ProcessBench:
    surroundings = Surroundings(
        environment=Digest.of(b"environment"), variables={"PATH": PATH}, confinement=confinement, **more
    )
    own = OwnCode(
        lambda: code(folder / "code", "pipeline.py"), lambda: code(folder / "language", "tiffin_pipeline/__init__.py")
    )
    return ProcessBench(surroundings, own)


def embedded_case(folder: Path) -> Case:
    return container_case(EmbeddedEngine(folder / "data", unpack_layer, ForkServer().fork), "embedded", folder)


def client_case(bench: ClientBench, folder: Path) -> Case:
    return container_case(bench.engine, bench.engine.name, folder)


def container_case(engine: Engine, name: str, folder: Path, **more: Any) -> Case:
    """Containers of an engine; what is tiffin's own image there, and what is another's, are both busybox."""
    store, own, others = images()
    return Case(
        ContainerBench(equipment(engine, name, folder, store, own, others, **more)), folder / "work", is_confined=True
    )


def equipment(
    engine: Engine, name: str, folder: Path, store: Store, own: Image, others: Image, **more: Any
) -> Equipment:
    """What containers are made with; `pipeline.py` is all the code that there is."""

    def find(reference: str) -> Standing:
        if reference != OTHERS:
            raise NotFoundError(f"no image {reference}", "there is one")
        return Standing(name=reference, image=others)

    def no_devices(standing: Standing, asked: Asked) -> tuple[str, ...]:
        raise AssertionError((standing, asked))

    settings: dict[str, Any] = {
        "engine": lambda: engine,
        "engine_name": name,
        "store": store,
        "environment": lambda: Standing(name="environment", image=own),
        "code": lambda: code(folder / "code", "pipeline.py"),
        "language": lambda: code(folder / "language", "tiffin_pipeline/__init__.py"),
        "find": find,
        "devices": no_devices,
    }
    return Equipment(**(settings | more))


def code(folder: Path, name: str) -> Code:
    """A folder with one file of code."""
    path = folder / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("code\n")
        for one in (folder, path.parent):
            one.chmod(0o755)
        path.chmod(0o644)
    return Code(digest=Digest.of(name.encode()), path=folder)


def images() -> tuple[Store, Image, Image]:
    """A store with busybox as an environment of tiffin's, and as an image of others."""
    store, others = busybox_image()
    run = msgspec.structs.replace(
        others.config.config, labels={ENVIRONMENT: "1"}, user="65532:65532", env=["PATH=/bin", "HOME=/tmp"]
    )
    own = Image.make(msgspec.structs.replace(others.config, config=run), others.manifest.layers, {})
    own.write(store)
    return store, own, others


def limited(step: Step, **limits: Any) -> Step:
    """The same step with limits."""
    return msgspec.structs.replace(step, resources=Resources(**limits))
