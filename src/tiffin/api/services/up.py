"""`up`: keep services on this machine, and `events`: say what was decided for them."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tiffin.api.containers.accounts import accounts_for
from tiffin.api.containers.needs import foreseen, with_gpus
from tiffin.api.containers.verbs import engine_of
from tiffin.api.images.sbom import document
from tiffin.api.images.trust import require
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.engines import engine_called, engine_name
from tiffin.api.machine.home import Home
from tiffin.build.plan import SERVICE
from tiffin.deploy.local.edge.caddy import Edge, parse_ports
from tiffin.deploy.local.exporter import Address
from tiffin.deploy.local.room import Room, refuse_too_big
from tiffin.deploy.local.state import Event
from tiffin.deploy.local.supervisor import Supervisor
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Template
from tiffin.engine.data import refuse
from tiffin.engine.plan import RunOptions, container_spec
from tiffin.engine.spec import ContainerSpec, Engine, Network
from tiffin.errors import NotFoundError, UnsupportedError
from tiffin.oci.image import Image

NEEDED = ("httptools", "uvloop")
NEEDED_FOR_GRPC = ("grpc", "google.protobuf")
FOLLOW_SECONDS = 20.0


def up(say: Callable[[str], None], metrics: str = "", edge: str | None = None) -> None:
    """Keep the services of this home until interrupted, and listen for who wants metrics where that is said.

    With an `edge` hosts lead to them; its ports are written as `8080:8443`, or nothing for the usual ones. Raises
    ConflictError where another supervisor keeps them, or the port is taken.
    """
    check_installed()
    home, address = Home.of(), Address.parse(metrics) if metrics else None
    caddy = None if edge is None else Edge(home.data, parse_ports(edge))
    asyncio.run(Supervisor(home.data, Bench(home), say, metrics=address, edge=caddy).run())


def this_machine(home: Home) -> LocalTarget:
    """This machine as a target."""
    return LocalTarget(home.data, engine_of(home), functools.partial(engine_called, home))


def events(name: str = "", *, last: int = 1000, follow: bool = False) -> Iterator[Event]:
    """What was decided and seen, oldest first; `follow` goes on. Raises UnavailableError where no supervisor runs."""
    target = this_machine(Home.of())
    found = target.events(name, last=last)
    yield from found
    after = found[-1].id if found else 0
    while follow:
        for event in target.events(name, after=after, wait=FOLLOW_SECONDS):
            after = event.id
            yield event


def unit(environment: Mapping[str, str] = os.environ, *, metrics: str = "", edge: str | None = None) -> str:
    """Write a unit that has systemd keep the supervisor of this user; replicas and fronts outlive it."""
    listening = f" --metrics {Address.parse(metrics)}" if metrics else ""
    passed = [
        f"Environment={name}={environment[name]}" for name in ("TIFFIN_HOME", "TIFFIN_ENGINE") if name in environment
    ]
    options = "" if edge is None else f" --edge={edge}" if edge else " --edge"
    lines = [
        "[Unit]",
        "Description=Tiffin keeps services on this machine",
        "After=network-online.target",
        "",
        "[Service]",
        f"ExecStart={sys.executable} -m tiffin up{options}{listening}",
        *passed,
        "KillMode=process",
        "Restart=always",
        "RestartSec=1",
        "",
        "[Install]",
        f"WantedBy={'multi-user' if os.getuid() == 0 else 'default'}.target",
    ]
    return "\n".join(lines)


def check_installed() -> None:
    """Raise UnsupportedError where a front lacks what it runs on."""
    missing = [name for name in NEEDED if not _is_here(name)]
    if missing:
        raise UnsupportedError(f"the server needs {missing[0]} here", "`pip install 'tiffin[serve]'`")


def check_grpc(image: str, is_here: Callable[[str], bool] | None = None) -> None:
    """Raise UnsupportedError where the front of an image that answers gRPC lacks what that needs."""
    missing = [name for name in NEEDED_FOR_GRPC if not (is_here or _is_here)(name)]
    if missing:
        raise UnsupportedError(
            f"{image} answers gRPC, and its front on this machine needs {missing[0]} for that",
            f"`{sys.executable} -m pip install 'tiffin[serve,grpc]'`, or leave `[serve] grpc` out",
        )


def _is_here(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # what it is in is not here
        return False


class Bench:
    """Makes of templates what runs here (see `Workshop`)."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.engine: Engine = engine_of(home)
        self.usual = engine_name()
        self._others: dict[str, Engine] = {}

    def engine_called(self, name: str) -> Engine:
        """The engine of a template (see `Workshop`)."""
        if not name:
            return self.engine
        if name not in self._others:
            engine = engine_called(self._home, name)
            engine.list()  # it answers, or says why not, before anything is decided by what it has
            self._others[name] = engine
        return self._others[name]

    def engines(self) -> Sequence[Engine]:
        """The usual engine, and every other that was called for."""
        return [self.engine, *self._others.values()]

    def check(self, template: Template) -> None:
        """Refuse an image that is not here or not signed as it must be, and what is in the way of its containers."""
        refuse_too_big(template.resources, Room.here())
        image = self._image(template)
        require(self._home.store, image.descriptor, template.image)
        engine, options = self.engine_called(template.engine), RunOptions(name="check", args=("worker",))
        if not template.inherits:
            options = RunOptions(name="check", network=Network(template.network))
        elif self._service(template, image)["serve"].get("grpc"):
            check_grpc(template.image)
        gpus = str(template.resources.gpus) if template.resources.gpus else ""
        options = msgspec.structs.replace(options, gpus=gpus)
        refuse(foreseen(engine, self._spec(template, image, options)))

    def spec(self, template: Template, options: RunOptions) -> ContainerSpec:
        """Decide how a replica runs, and have its image where the engine finds it."""
        image = self._image(template)
        self.engine_called(template.engine).load(self._home.store, image)
        return self._spec(template, image, options)

    def documents(self, template: Template) -> Mapping[str, bytes]:
        """What the front is told: the image's own document, with its checks and its baseline beside it."""
        if not template.inherits:
            return {}
        image = self._image(template)
        service = self._service(template, image)
        found: dict[str, bytes] = {}

        def beside(path: str) -> str:
            if not path:
                return ""
            name = path.removeprefix("/opt/tiffin/")
            found[name] = document(self._home.store, image, path.lstrip("/"), template.image).encode()
            return name

        for check in service.get("checks", []):
            check["request"], check["expect"] = beside(check["request"]), beside(check.get("expect", ""))
        if "baseline" in service:
            service["baseline"] = beside(service["baseline"])
        return {**found, "service.json": msgspec.json.encode(service)}

    def front(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """This tiffin's own server, started by this interpreter."""
        return self._program("tiffin_serve.front")

    def relay(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """This tiffin's own relay."""
        return self._program("tiffin_serve.relay")

    def _program(self, module: str) -> tuple[tuple[str, ...], dict[str, str]]:
        root = Path(__file__).parents[3]
        passed = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
        environment = {**passed, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
        return (sys.executable, "-P", "-m", module), environment

    def _image(self, template: Template) -> Image:
        try:
            return find_image(self._home.store, str(template.digest))
        except NotFoundError as error:
            raise NotFoundError(
                f"{template.reference} is not on this machine", f"`tiffin pull {template.image}` brings it"
            ) from error

    def _spec(self, template: Template, image: Image, options: RunOptions) -> ContainerSpec:
        accounts = accounts_for(image.config.config.user, image, self._home.store)
        return container_spec(template.image, image, with_gpus(template.image, image, options), accounts)

    def _service(self, template: Template, image: Image) -> dict[str, Any]:
        text = document(self._home.store, image, SERVICE, template.image)
        found: dict[str, Any] = msgspec.json.decode(text)
        return found
