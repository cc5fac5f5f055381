"""`run`: a project or an image becomes a container that answers."""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from tiffin.api.containers import HTTP, described, engine_of, http_port, url
from tiffin.api.home import Home
from tiffin.api.images import find_image
from tiffin.engine.plan import SOCKETS, RunOptions, container_spec, parse_sockets
from tiffin.engine.spec import Container, Engine, Mount, Port, Status
from tiffin.errors import CommandError, ConfigError, ConflictError, NotFoundError
from tiffin.oci.documents import encode
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.progress import step

POLL_SECONDS = 0.01
_TAIL = 40
"""Lines of a log that an error quotes."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks to run: a folder or an image, and how."""

    what: str
    name: str = ""
    publish: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    env: dict[str, str] = {}
    args: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, what: str, *, name: str, publish: Sequence[str], volume: Sequence[str], env: Sequence[str], args: Sequence[str]
    ) -> Options:
        """Read options as they are typed; raises ConfigError for one that cannot be read."""
        return cls(
            what=what,
            name=name,
            publish=tuple(parse_port(text) for text in publish),
            mounts=tuple(parse_mount(text) for text in volume),
            env=dict(parse_variable(text, os.environ) for text in env),
            args=tuple(args),
        )


def parse_port(text: str) -> Port:
    """Read `[ADDRESS:]PORT[:CONTAINER-PORT]`; the container's port is 8080 unless given."""
    address, _, ports = text.rpartition("]:") if text.startswith("[") else ("", "", text)
    parts = ports.split(":")
    if not address and len(parts) > 1 and not parts[0].isdecimal():
        address, parts = parts[0], parts[1:]
    numbers = [int(part) for part in parts if part.isdecimal() and int(part) < 1 << 16]
    if len(numbers) != len(parts) or len(parts) not in {1, 2}:
        raise ConfigError(f"not a port: {text!r}", "write it as `8080`, `9000:8080` or `127.0.0.1:9000:8080`")
    return Port(
        host=address.lstrip("[") or "127.0.0.1", host_port=numbers[0], container_port=numbers[1] if numbers[1:] else 8080
    )


def parse_mount(text: str) -> Mount:
    """Read `SOURCE:TARGET[:ro|rw]`; a mount is read-only unless `rw` is said."""
    parts = text.split(":")
    if len(parts) not in {2, 3} or not all(parts) or parts[2:] not in ([], ["ro"], ["rw"]):
        raise ConfigError(f"not a mount: {text!r}", "write it as `/data:/data` or `/data:/data:rw`")
    return Mount(source=str(Path(parts[0]).absolute()), target=parts[1], read_only=parts[2:] != ["rw"])


def parse_variable(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Read `NAME=VALUE`, or `NAME` for the value it has here."""
    name, given, value = text.partition("=")
    if not given and name not in environment:
        raise ConfigError(f"no {name} in the environment", f"give its value: `-e {name}=…`")
    return name, value if given else environment[name]


def plan_text(options: Options) -> str:
    """Return what would run as JSON."""
    home = Home.of()
    reference, image = _image(options.what, home)
    return encode(container_spec(str(reference), image, _run_options(options, reference, image, engine_of(home)))).decode()


def run_detached(options: Options) -> str:
    """Start a container that goes on, and return its URL, or its name where it has none, once it is ready."""
    container = _start(options, attached=False)
    return wait_ready(container)


def run_attached(options: Options, *, remove: bool, ready: Callable[[str], None]) -> int:
    """Run a container until it ends and return its exit status; it stops with this process."""
    container = _start(options, attached=True)
    with step("stop", container.spec.name) if False else _stopping_on_signals(container):
        threading.Thread(target=_tell, args=(container, ready), daemon=True).start()
        for line in container.logs(follow=True):
            print(line.text, file=sys.stderr if line.stream == "stderr" else sys.stdout, flush=True)
        status = container.wait()
    if remove:
        container.remove()
    return status
