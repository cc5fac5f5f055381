"""What tests of engines share: a tiny root of busybox, the host's Python by mounts, and the same programs in memory."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tiffin.engine.embedded.engine import EmbeddedEngine
from tiffin.engine.memory import MemoryEngine, Process
from tiffin.engine.spec import CanExec, Command, Container, ContainerSpec, Engine, Mount, Streams
from tiffin.oci.digest import Digest

DEADLINE = 20.0
"""Seconds that anything here may take before a test gives up."""
IMAGE = Digest.of(b"an image")


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition with a deadline."""
    due = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < due, "gave up waiting"
        time.sleep(0.005)


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
    digest = make_layer(data, "busybox", {"etc/passwd": "root:x:0:0::/:/bin/sh\n", "app/readme": "made\n"})
    folder = data / "unpacked" / digest.hex
    (folder / "bin").mkdir()
    shutil.copy(static_busybox(), folder / "bin/busybox")
    (folder / "bin/busybox").chmod(0o755)
    for name in [
        "sh",
        "cat",
        "echo",
        "id",
        "ls",
        "sleep",
        "pwd",
        "touch",
        "grep",
        "kill",
        "hostname",
        "stat",
        "true",
        "wc",
    ]:
        (folder / "bin" / name).symlink_to("busybox")
    return digest


def never_unpacked(blob: BinaryIO, media_type: str, target: Path, diff_id: Digest) -> None:
    """Stand in for the unpacker where layers are made as folders."""
    raise AssertionError((blob, media_type, target, diff_id))


class EmbeddedBench:
    """The embedded engine with one image: busybox."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.engine: Engine = EmbeddedEngine(data, never_unpacked)
        self.layers: tuple[Digest, ...] = (make_busybox_layer(data),)

    def spec(self, name: str, script: str, **more: Any) -> ContainerSpec:
        """A container that runs a shell script."""
        settings = {"layers": self.layers, "env": {"PATH": "/bin"}, "argv": ("/bin/sh", "-c", script)} | more
        return ContainerSpec(name=name, image="busybox", digest=IMAGE, **settings)

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


Bench = EmbeddedBench | MemoryBench


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
