"""What is made once, before anything is timed: projects, wheels, the base, and the builders that share them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.programs.client import Client
from tests.programs.docker import dockerd
from tests.programs.process import unmount
from tests.programs.registry import registry

from tiffin.oci.image import read_image
from tiffin.store.layout import LayoutStore

from . import names, shelf
from .base import NAME, write_base
from .buildah import Buildah
from .builder import Builder
from .command import Command
from .docker import Docker
from .dockerfile import BASE, PIP, SHELF, UV
from .kitchen import Kitchen
from .ports import free_port
from .project import Project
from .results import Results
from .tiffin import Tiffin, tiffin

STACK = ["scikit-learn==1.9.1", "pandas==3.1.1", "xgboost-cpu==3.2.0"]
BUMP = ["scikit-learn==1.9.1", "pandas==3.1.0", "xgboost-cpu==3.2.0"]
SIZES = {
    "scikit-learn, no bytecode": (STACK[:1], False),
    "scikit-learn": (STACK[:1], True),
    "scikit-learn, pandas": (STACK[:2], True),
}
"""Images that are only weighed: their packages, and whether they have bytecode."""
WHOLE = "scikit-learn, pandas, xgboost"
"""What is in the image that is measured."""


@dataclass(frozen=True)
class Setting:
    """What is measured: by whom, and on which projects; `bumped` depends on another version of one package."""

    project: Project
    bumped: Project
    tiffin: Tiffin
    pip: Docker
    uv: Docker
    buildah: Buildah
    servers: list[Builder]
    """Peers that bring a server of their own, or none, so that theirs is another image."""
    versions: dict[str, str]
    """Of those."""

    @property
    def alike(self) -> list[Builder]:
        """Everyone who makes the same image, in the order of the tables."""
        return [self.tiffin, self.pip, self.uv, self.buildah]

    @property
    def builders(self) -> list[Builder]:
        """Everyone who builds, in the order of the tables."""
        return [*self.alike, *self.servers]


@contextmanager
def setting(scratch: Path, results: Results, wanted: Collection[str]) -> Iterator[Setting]:
    """Make it, and stop what it started when the block ends; whoever is wanted and cannot be had is a failure."""
    with ExitStack() as stack:
        address, client = stack.enter_context(registry()), stack.enter_context(dockerd())
        pantry = scratch / "pantry"
        project, bumped = _projects(scratch, pantry)
        shelf.fill(scratch / "shelf", [*project.pin(), *bumped.pin()], pantry / "cache" / "wheels")
        buildah = Buildah(scratch / "buildah", address, client)
        stack.callback(unmount, buildah.folder)
        _share(scratch, pantry, client, buildah)
        ours = Tiffin(scratch / "home", pantry, address, free_port())
        stack.callback(ours.remove_all)
        pip, uv = Docker(client, address, names.PIP, PIP), Docker(client, address, names.UV, UV)
        kitchen = Kitchen(stack, scratch, address, client, project)
        servers, versions = kitchen.invite(results, wanted)
        yield Setting(
            project=project,
            bumped=bumped,
            tiffin=ours,
            pip=pip,
            uv=uv,
            buildah=buildah,
            servers=servers,
            versions=versions,
        )


def _projects(scratch: Path, pantry: Path) -> tuple[Project, Project]:
    """Lock the project, train it, and build it into the pantry; so too with another version of one package."""
    project = Project(scratch / "flowers", scratch / "plain" / "bin" / "python", STACK).write()
    tiffin(pantry, "lock", str(project.folder)).run()
    project.pin()
    shelf.plain_environment(project)
    project.train("xgboost")
    bumped = replace(project.copy("bumped"), dependencies=BUMP)
    bumped.take(bumped)
    tiffin(pantry, "lock", str(bumped.folder)).run()
    for each in (bumped, project):
        tiffin(pantry, "build", str(each.folder)).run()
    return project, bumped


def _share(scratch: Path, pantry: Path, docker: Client, buildah: Buildah) -> None:
    """Give base and shelf to docker and buildah, the base to the registry, and the server to the Dockerfiles."""
    write_base(pantry, "flowers:latest")
    _unpack_server(pantry, scratch / "flowers" / "server")
    source = f"oci:{pantry}/data:{NAME}"
    base, shelf_image = scratch / "base.tar", scratch / "shelf.tar"
    Command(["skopeo", "copy", source, f"docker-archive:{base}:{BASE}"]).run()
    Command(["skopeo", "copy", "--dest-tls-verify=false", source, f"docker://{buildah.registry}/{NAME}"]).run()
    docker("load", "--input", str(base))
    Command(["tar", "--create", f"--file={shelf_image}", f"--directory={scratch}/shelf", "."]).run()
    docker("import", str(shelf_image), SHELF)
    docker("save", f"--output={shelf_image}", SHELF)
    (buildah.folder / "tmp").mkdir(parents=True)
    for archive in (base, shelf_image):
        buildah.buildah("pull", "--quiet", f"docker-archive:{archive}").run()


def _unpack_server(pantry: Path, target: Path) -> None:
    """Take the server out of the image that tiffin built: the same files, bytecode too, serve in every image."""
    store = LayoutStore(pantry / "data")
    image = read_image(store, store.resolve("flowers:latest"))
    for layer in image.manifest.layers[-5:]:
        with store.open(layer) as stream, tarfile.open(fileobj=stream) as tar:
            members = [member for member in tar if member.name.startswith("opt/tiffin/")]
            for member in members:
                member.name = member.name.removeprefix("opt/tiffin/")
            tar.extractall(target, members, filter="data")


def built_size(home: Path, built: str) -> int:
    """Weigh a built image as it would be pushed: its config and compressed layers, in bytes."""
    rows = json.loads(tiffin(home, "images", "--json").run())
    return int(next(row["size"] for row in rows if row["digest"] == built.partition("@")[2]))


def pushed_size(reference: str) -> int:
    """Weigh an image in the registry: its config and compressed layers, in bytes."""
    manifest = _pushed(reference)
    return sum(int(part["size"]) for part in [manifest["config"], *manifest["layers"]])


def pushed_layers(reference: str) -> int:
    """Count the layers of an image in the registry, the base's too."""
    return len(_pushed(reference)["layers"])


def _pushed(reference: str) -> dict[str, Any]:
    """Read the manifest of an image in the registry."""
    inspect = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]
    manifest: dict[str, Any] = json.loads(Command(inspect).run())
    return manifest
