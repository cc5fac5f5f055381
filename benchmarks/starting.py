"""How soon a container says its first word, and how soon two hundred are listed."""

from __future__ import annotations

import io
import json
import subprocess
import time
from pathlib import Path

from tests.programs.base_image import packed
from tests.programs.client import Client

from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image
from tiffin.store.layout import LayoutStore

from .command import Command, timed
from .names import TIFFIN
from .results import Results
from .tiffin import tiffin

DOCKER = "docker"
ANEW = "tiffin, decided anew"
"""A run of which something is said that Tiffin does not remember runs by (docs/adr/0023)."""
FIRST_BYTE, LIST = "first byte of the entry point", "ps"
STARTS, LISTS = 11, 7
CONTAINERS, RUNNING = 200, 100
"""Half of them have ended, as one finds a machine."""
BUSYBOX = Path("/bin/busybox")


def write_image(home: Path, name: str, *argv: str) -> None:
    """Write an image of one program, linked statically, and what it is told, into a home."""
    store = LayoutStore(home / "data")
    data = packed({"bin": None, "bin/busybox": BUSYBOX.read_bytes()})
    layer = Descriptor.of(data, LAYER)
    store.put(layer, io.BytesIO(data))
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RunConfig(entrypoint=["/bin/busybox", *argv], user="65532:65532"),
        rootfs=RootFS(diff_ids=[layer.digest]),
    )
    image = Image.make(config, [layer], {})
    image.write(store)
    store.tag(f"{name}:latest", image.descriptor)


def first_bytes(results: Results, home: Path, docker: Client) -> None:
    """Run the same image again and again, by tiffin and by docker in turn; the first run of each is not counted."""
    write_image(home, "hello", "echo", "hello")
    archive = home / "hello.tar"
    tiffin(home, "save", "hello", "--output", str(archive)).run()
    docker("load", "--input", str(archive))
    ways = {
        TIFFIN: tiffin(home, "run", "--rm", "hello"),
        ANEW: tiffin(home, "run", "--rm", "--env", "GREETING=hello", "hello"),
        DOCKER: Command(docker.argv("run", "--rm", "--network=none", "hello"), docker.environment),
    }
    for number in range(STARTS + 1):
        for who, command in ways.items():
            seconds = first_byte(command)
            if number:
                results.add(FIRST_BYTE, who, seconds)


def first_byte(command: Command) -> float:
    """Run a command to its end and tell when the first byte of its output came, in seconds."""
    began = time.perf_counter()
    environment = dict(command.environment)
    with subprocess.Popen(
        command.argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        assert process.stdout
        byte = process.stdout.read(1)
        seconds = time.perf_counter() - began
        process.stdout.read()
    assert byte == b"h", f"it wrote {byte!r}"
    assert process.returncode == 0, f"`{command.argv[0]} …` exited with {process.returncode}"
    return seconds


def lists(results: Results, home: Path, containers: int = CONTAINERS, running: int = RUNNING) -> None:
    """List many containers, of which some run."""
    write_image(home, "sleeper", "sleep", "100000")
    names = [f"c{number}" for number in range(containers)]
    try:
        for name in names:
            tiffin(home, "run", "--detach", "--name", name, "sleeper").run()
        for begin in range(running, containers, 20):
            tiffin(home, "kill", *names[begin : begin + 20]).run()
        assert len(json.loads(tiffin(home, "ps", "--json").run())) == running
        for _ in range(LISTS):
            results.add(LIST, TIFFIN, timed(tiffin(home, "ps", "--all")))
    finally:
        there = [row["name"] for row in json.loads(tiffin(home, "ps", "--all", "--json").run())]
        tiffin(home, "rm", "--force", *there).run()
