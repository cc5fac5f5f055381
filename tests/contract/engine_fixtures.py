"""What tests of engines share: a tiny root of busybox, the host's Python by mounts, and the same programs in memory."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from programs.process import run
from programs.waiting import until
from tiffin.engine.clients.engine import ClientEngine
from tiffin.engine.embedded.engine import EmbeddedEngine
from tiffin.engine.embedded.keepers import Begin, ForkServer, execute
from tiffin.engine.memory import MemoryEngine, Process
from tiffin.engine.spec import CanExec, Command, Container, ContainerSpec, Engine, Mount, Streams
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER_GZIP, Descriptor, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform
from tiffin.store.memory import MemoryStore

DEADLINE = 20.0
"""Seconds that anything here may take before a test gives up."""
GLIBCS_OWN = 0b11 << 31
"""Signals 32 and 33, in a mask of /proc: nobody can set them, and whoever started the tests may ignore them."""
IMAGE = Digest.of(b"an image")
FILES = {"etc/passwd": "root:x:0:0::/:/bin/sh\n", "app/readme": "made\n"}
BUSYBOX = ["sh", "cat", "echo", "id", "ls", "sleep", "pwd", "touch", "grep", "kill", "hostname", "stat", "true", "wc"]


REAL = [
    "embedded",
    pytest.param("docker", marks=pytest.mark.program("dockerd", "busybox")),
    pytest.param("podman", marks=pytest.mark.program("podman", "runc", "busybox")),
]
"""The engines that run real programs."""


def static_busybox() -> Path:
    """Debian's statically linked busybox, or a skip."""
    found = shutil.which("busybox", path="/usr/bin:/bin:/usr/local/bin")
    if not found or b"ld-linux" in Path(found).read_bytes()[:4096]:
        pytest.skip("needs busybox-static")
    return Path(found)


def make_layer(data: Path, name: str, files: dict[str, str]) -> Digest:
    """Put an unpacked layer where the embedded engine looks for it."""
    digest = Digest.of(name.encode())
    folder = data / "unpacked" / digest.hex
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return digest


def make_busybox_layer(data: Path) -> Digest:
    """A root with a shell and everything busybox can be."""
    digest = make_layer(data, "busybox", FILES)
    folder = data / "unpacked" / digest.hex
    (folder / "bin").mkdir()
    shutil.copy(static_busybox(), folder / "bin/busybox")
    (folder / "bin/busybox").chmod(0o755)
    for name in BUSYBOX:
        (folder / "bin" / name).symlink_to("busybox")
    return digest


def never_unpacked(blob: BinaryIO, media_type: str, target: Path, diff_id: Digest) -> None:
    """Stand in for the unpacker where layers are made as folders."""
    raise AssertionError((blob, media_type, target, diff_id))


class RealBench:
    """An engine that runs real programs, with one image: busybox."""

    engine: Engine
    layers: tuple[Digest, ...]
    digest: Digest = IMAGE
    network: tuple[str, ...] = ()
    """What goes before a command to run it where the engine runs."""

    def host_network(self) -> str:
        """The network that containers of the engine call the host's."""
        return run(*self.network, "readlink", "/proc/self/ns/net")

    def spec(self, name: str, script: str, **more: Any) -> ContainerSpec:
        """A container that runs a shell script."""
        settings = {"layers": self.layers, "env": {"PATH": "/bin"}, "argv": ("/bin/sh", "-c", script)} | more
        return ContainerSpec(name=name, image="busybox", digest=self.digest, **settings)

    def program(self, name: str, program: str, **more: Any) -> ContainerSpec:
        """A container that runs one of the programs that every engine has in these tests."""
        return self.spec(name, SCRIPTS[program], **more)

    def argv(self, program: str) -> tuple[str, ...]:
        """What runs one of these programs."""
        return ("/bin/sh", "-c", SCRIPTS[program])

    def run(self, script: str, **more: Any) -> tuple[int, list[str]]:
        """Run a script to its end; return its exit code and what it wrote to stdout."""
        container = self.engine.create(self.spec(f"run-{time.monotonic_ns()}", script, **more))
        container.start()
        code = container.wait()
        lines = list(container.logs())
        container.remove()
        for line in lines:
            if line.stream == "stderr":
                sys.stderr.write(line.text + "\n")
        return code, [line.text for line in lines if line.stream == "stdout"]

    def python(self, code: str, **more: Any) -> tuple[int, list[str]]:
        """Run a Python program on the host's interpreter, which is mounted into the container."""
        own = python_mounts()
        return self.run("", argv=python_argv(code), mounts=(*own, *more.pop("mounts", ())), **more)


def begin(begun: str) -> Begin:
    """How keepers are begun that are "executed", or "forked"."""
    return execute if begun == "executed" else ForkServer().fork


class EmbeddedBench(RealBench):
    """The embedded engine."""

    def __init__(self, data: Path, begun: str = "executed") -> None:
        """`begun` is how its keepers are."""
        self.data, self.begun = data, begun
        self.engine = EmbeddedEngine(data, never_unpacked, begin(begun))
        self.layers = (make_busybox_layer(data),)


class MemoryBench:
    """The memory engine with the same programs."""

    def __init__(self) -> None:
        engine = MemoryEngine(FUNCTIONS)
        engine.add(IMAGE)
        self.engine: Engine = engine

    def program(self, name: str, program: str, **more: Any) -> ContainerSpec:
        """A container that runs one of the programs that every engine has in these tests."""
        settings = {"layers": (IMAGE,), "argv": (program,)} | more
        return ContainerSpec(name=name, image="busybox", digest=IMAGE, **settings)

    def argv(self, program: str) -> tuple[str, ...]:
        """What runs one of these programs."""
        return (program,)


class ClientBench(RealBench):
    """docker or podman."""

    engine: ClientEngine

    def __init__(self, engine: ClientEngine, network: tuple[str, ...]) -> None:
        self.network = network
        self.store, self.image = busybox_image()
        self.engine = engine
        self.engine.load(self.store, self.image)
        self.layers = tuple(self.image.config.rootfs.diff_ids)
        self.digest = self.image.descriptor.digest

    def clear(self) -> None:
        """Remove every container, so that the next test begins with none."""
        for container in self.engine.list():
            container.remove(force=True)


Bench = RealBench | MemoryBench


def busybox_image() -> tuple[MemoryStore, Image]:
    """An image of one layer that has a shell."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(_entry("bin", tarfile.DIRTYPE, 0o755))
        program = _entry("bin/busybox", tarfile.REGTYPE, 0o755)
        data = static_busybox().read_bytes()
        program.size = len(data)
        tar.addfile(program, io.BytesIO(data))
        for path, content in FILES.items():
            file = _entry(path, tarfile.REGTYPE, 0o644)
            file.size = len(content)
            tar.addfile(file, io.BytesIO(content.encode()))
        for name in BUSYBOX:
            link = _entry(f"bin/{name}", tarfile.SYMTYPE, 0o777)
            link.linkname = "busybox"
            tar.addfile(link)
    packed = gzip.compress(archive.getvalue(), 1, mtime=0)
    layer = Descriptor.of(packed, LAYER_GZIP)
    config = ImageConfig(
        architecture=Platform.here().architecture,
        os="linux",
        config=RunConfig(cmd=["/bin/sh"], labels={"from.image": "yes"}),
        rootfs=RootFS(diff_ids=[Digest.of(archive.getvalue())]),
    )
    image = Image.make(config, [layer], {})
    store = MemoryStore()
    store.put(layer, io.BytesIO(packed))
    image.write(store)
    return store, image


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def python_mounts() -> tuple[Mount, ...]:
    """Whatever the running interpreter needs, read-only at its own place."""
    places = dict.fromkeys(["/usr", "/lib", "/lib64", sys.base_prefix])
    return tuple(Mount(source=place, target=place) for place in places if Path(place).exists())


def python_argv(code: str) -> tuple[str, ...]:
    """The command that runs Python code on the interpreter of `python_mounts`."""
    return (os.path.realpath(sys.executable), "-I", "-S", "-c", code)


def ready(container: Container, runs: int = 1) -> None:
    """Wait until the program has said that it is ready, in this many runs of the container."""
    until(lambda: sum(line.text == "ready" for line in container.logs()) == runs)


@contextmanager
def waiting(bench: RealBench, name: str) -> Iterator[Container]:
    """A container that runs and waits to be told what else to do, until the block ends."""
    settings = {"env": {"PATH": "/bin", "A": "image"}, "cwd": "/app"}
    made = bench.engine.create(bench.spec(name, "echo ready; sleep 600", **settings))
    made.start()
    ready(made)
    yield made
    made.remove(force=True)


def make_tree(folder: Path) -> Path:
    """Make a folder with a file, a program, a link and a folder in it, to be copied."""
    (folder / "tree" / "deep").mkdir(parents=True)
    (folder / "tree" / "deep" / "file").write_text("deep")
    (folder / "tree" / "program").write_text("#!/bin/sh\necho ran\n")
    (folder / "tree" / "program").chmod(0o750)
    (folder / "tree" / "link").symlink_to("deep/file")
    (folder / "file").write_text("words")
    return folder


def _hello(process: Process) -> int:
    process.out("hello")
    process.err("oops")
    return 3


def _serve(process: Process) -> int:
    process.out("ready")
    process.stopping.wait()
    process.out("drained")
    return 5


def _stubborn(process: Process) -> int:
    process.out("ready")
    process.stopping.wait()
    time.sleep(DEADLINE)
    return 0


def _listen(process: Process) -> int:
    process.out("ready")
    process.out(f"heard {process.signals.get(timeout=DEADLINE)}")
    return 0


FUNCTIONS = {"listen": _listen, "hello": _hello, "serve": _serve, "stubborn": _stubborn}
SCRIPTS = {
    "listen": "trap 'echo heard SIGUSR1; exit 0' USR1; echo ready; sleep 60 & wait",
    "hello": "echo hello; echo oops >&2; exit 3",
    "serve": "trap 'echo drained; exit 5' TERM; echo ready; sleep 60 & wait",
    "stubborn": "trap '' TERM; echo ready; while :; do sleep 60; done",
}


def executed(container: Container, *argv: str, given: bytes | None = None, **more: Any) -> tuple[int, str, str]:
    """Run a program in a container that runs; its exit code, what it wrote to stdout and to stderr."""
    assert isinstance(container, CanExec)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as source:
        source.write(given or b"")
        source.seek(0)
        stdin = None if given is None else source.fileno()
        streams = Streams(stdin=stdin, stdout=out.fileno(), stderr=err.fileno())
        code = container.exec(Command(argv=argv, **more), streams)
        out.seek(0)
        err.seek(0)
        return code, out.read().decode(), err.read().decode()


def sh(container: Container, script: str, **more: Any) -> tuple[int, str, str]:
    """Run a shell's script in a container that runs."""
    return executed(container, "sh", "-c", script, **more)
