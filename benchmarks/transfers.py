"""Images on their way to a registry and back: how fast beside skopeo, and what a push that was killed sends again."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.programs.registry import registry

from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.store.layout import LayoutStore

from .command import Command, timed
from .names import TIFFIN
from .results import Results
from .tiffin import tiffin
from .wire import Wire, wire

SKOPEO = "skopeo"
PUSHED, PULLED, AGAIN = "push", "pull", "bytes sent again after a killed push"
KEEPS, FORGETS = "a registry that keeps what came", "docker-registry, which forgets it"
GIGABYTE = 1_000_000_000
LAYERS = (1_000_000_000, 250_000_000, 250_000_000, 250_000_000, 250_000_000)
"""Bytes: a large file of weights, and what else is in an image."""
KILLED_LAYERS = (96 << 20,) * 4
STEP_SECONDS = 0.01


def write_image(home: Path, name: str, sizes: tuple[int, ...]) -> int:
    """Write an image of random layers, which nobody can compress, into a home; returns its size."""
    store = LayoutStore(home / "data")
    layers = [_layer(store, size) for size in sizes]
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[layer.digest for layer in layers]))
    image = Image.make(config, layers, {})
    image.write(store)
    store.tag(f"{name}:latest", image.descriptor)
    return sum(sizes)


def _layer(store: LayoutStore, size: int) -> Descriptor:
    with store.ingest() as writer:
        for begin in range(0, size, 1 << 24):
            writer.write(os.urandom(min(1 << 24, size - begin)))
        return writer.commit(LAYER)


class Transfer:
    """One program's turn: push to a registry that has nothing, and pull into a folder that has nothing."""

    def __init__(self, scratch: Path, home: Path, size: int) -> None:
        """Move the image `share`, of so many bytes, out of a home."""
        self._scratch, self._home, self._size = scratch, home, size

    def play(self, results: Results, who: str) -> None:
        """Take the turn, and keep the rates in bytes a second."""
        target = self._scratch / "pulled"
        with registry() as address:
            name = f"{address}/share/{who}:1"
            results.add(PUSHED, who, self._size / _quiet(self._push(who, name)))
            results.add(PULLED, who, self._size / _quiet(self._pull(who, name, target)))
            shutil.rmtree(target)

    def _push(self, who: str, name: str) -> Command:
        if who == TIFFIN:
            return tiffin(self._home, "push", "share", name)
        source = f"oci:{self._home}/data:share:latest"
        return Command(["skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", source, f"docker://{name}"])

    def _pull(self, who: str, name: str, target: Path) -> Command:
        if who == TIFFIN:
            return tiffin(target, "pull", name)
        return Command(
            ["skopeo", "copy", "--preserve-digests", "--src-tls-verify=false", f"docker://{name}", f"oci:{target}:1"]
        )


def _quiet(command: Command) -> float:
    """Time a command when everything written before is on the disk."""
    os.sync()
    return timed(command)


@contextmanager
def _keeping() -> Iterator[str]:
    """Run the tests' own registry, which goes on where an upload was cut off."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    faulty: Any = importlib.import_module("faulty_registry")
    with faulty.faulty_registry() as running:
        yield running.host


REGISTRIES: dict[str, Callable[[], AbstractContextManager[str]]] = {KEEPS: _keeping, FORGETS: registry}


def sent_again(results: Results, home: Path, sizes: tuple[int, ...] = KILLED_LAYERS) -> None:
    """Kill a push in the middle, push again, and count what went over the wire beyond the image, by each registry."""
    size = write_image(home, "killed", sizes)
    for which, run in REGISTRIES.items():
        with run() as address, wire(address) as counted:
            push = tiffin(home, "push", "killed", f"{counted.address}/share/killed:1")
            _kill(push, partial(_reached, counted, size // 2))
            push.run()
            results.add(AGAIN, which, counted.sent - size)


def _reached(counted: Wire, count: int) -> bool:
    return counted.sent >= count


def _kill(command: Command, when: Callable[[], bool]) -> None:
    process = subprocess.Popen(command.argv, env=dict(command.environment), stdout=subprocess.DEVNULL)
    while process.poll() is None and not when():
        time.sleep(STEP_SECONDS)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
