"""`up`: keep services on this machine, and `events`: say what was decided for them."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tiffin.api.accounts import accounts_for
from tiffin.api.containers import engine_of
from tiffin.api.home import Home
from tiffin.api.images import find_image
from tiffin.api.needs import foreseen, with_gpus
from tiffin.api.sbom import document
from tiffin.api.trust import require
from tiffin.build.plan import SERVICE
from tiffin.deploy.local.state import Event
from tiffin.deploy.local.supervisor import Supervisor
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Template
from tiffin.engine.data import refuse
from tiffin.engine.plan import RunOptions, container_spec
from tiffin.engine.spec import ContainerSpec, Engine
from tiffin.errors import NotFoundError, UnsupportedError
from tiffin.oci.image import Image

NEEDED = ("httptools", "uvloop")
FOLLOW_SECONDS = 20.0


def up(say: Callable[[str], None]) -> None:
    """Keep the services of this home until interrupted; raises ConflictError where another supervisor does."""
    check_installed()
    home = Home.of()
    asyncio.run(Supervisor(home.data, Bench(home), say).run())


def this_machine(home: Home) -> LocalTarget:
    """This machine as a target."""
    return LocalTarget(home.data, engine_of(home))


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


def unit(environment: Mapping[str, str] = os.environ) -> str:
    """Write a unit that has systemd keep the supervisor of this user; replicas and fronts outlive it."""
    passed = [
        f"Environment={name}={environment[name]}" for name in ("TIFFIN_HOME", "TIFFIN_ENGINE") if name in environment
    ]
    lines = [
        "[Unit]",
        "Description=Tiffin keeps services on this machine",
        "After=network-online.target",
        "",
        "[Service]",
        f"ExecStart={sys.executable} -m tiffin up",
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
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UnsupportedError(f"the server needs {missing[0]} here", "`pip install 'tiffin[serve]'`")


class Bench:
    """Makes of templates what runs here (see `Workshop`)."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.engine: Engine = engine_of(home)

    def check(self, template: Template) -> None:
        """Refuse an image that is not here or not signed as it must be, and what is in the way of its containers."""
        image = self._image(template)
        require(self._home.store, image.descriptor, template.image)
        if self._service(template, image)["serve"].get("grpc"):
            raise UnsupportedError(
                f"{template.image} answers gRPC, which services of this machine do not yet",
                "leave `[serve] grpc` out, or use `tiffin run`",
            )
        refuse(foreseen(self.engine, self._spec(template, image, RunOptions(name="check", args=("worker",)))))

    def spec(self, template: Template, options: RunOptions) -> ContainerSpec:
        """Decide how a replica runs, and have its image where the engine finds it."""
        image = self._image(template)
        self.engine.load(self._home.store, image)
        return self._spec(template, image, options)

    def documents(self, template: Template) -> Mapping[str, bytes]:
        """What the front is told: the image's own document, with its checks and its baseline beside it."""
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
        root = Path(__file__).parents[2]
        passed = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
        environment = {**passed, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
        return (sys.executable, "-P", "-m", "tiffin_serve.front"), environment

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
