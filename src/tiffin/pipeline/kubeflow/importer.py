"""Artifacts that lie at an address when a pipeline begins: on a web server, or as models in an image.

Files of this machine are looked at where they are (`attempt`). Whatever is imported is known by its content from then
on; an object store of a cluster is out of reach here.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import msgspec

from tiffin.errors import NotFoundError, TiffinError, UnsupportedError
from tiffin.layers.links import is_opaque
from tiffin.layers.unpack import unpack_layer
from tiffin.network import Connections, Hints, refusal, shown
from tiffin.oci.image import Image
from tiffin.oci.store import Store
from tiffin.pipeline.graph import Importer, Step
from tiffin.pipeline.kubeflow.launcher import URI
from tiffin.pipeline.meaning.addresses import address_of, facts_of
from tiffin.pipeline.workbench import FILES, Ended, Order

MODELS = "models"
"""The folder of an image that an `oci://` artifact is, as KServe and Kubeflow have it."""
_WEB = ("http", "https")
_CHUNK = 1 << 20
_HINTS = Hints(
    absent="see that the address is right",
    denied="download it with your own login, and give the path of the file as the address",
    busy="run the pipeline again later; what is done stays done",
    refused="see that the address is that of a file",
    changed="run the pipeline again",
)

TakeModels = Callable[[str, Path], None]
"""Puts the models of an image, by its reference, into a folder."""


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What an importer can reach: the network if it may, and images."""

    network: bool = False
    models: TakeModels | None = None


class ImporterBench:
    """Does importers, and nothing else (see `Workbench`)."""

    def __init__(self, means: Means) -> None:
        self._means = means

    def identity(self, step: Step) -> dict[str, str]:  # noqa: ARG002 - all importers are one
        """What lies at an address is looked at each time; there is nothing else that it could follow from."""
        return {"importer": "1"}

    def do(self, order: Order, said: Callable[[str], None], stopped: Event) -> Ended:  # noqa: ARG002 - it says one line
        """Bring what lies at the address; raises UnsupportedError for one that is out of reach here."""
        does = order.step.does
        if not isinstance(does, Importer):
            raise UnsupportedError(f"{order.step.place}: {order.step.name} imports nothing", "run it in a container")
        address = address_of(does, order.values, order.task)
        said(f"importing {address}")
        name = next(name for name, port in order.step.outputs.items() if not port.is_parameter)
        target = order.folder / FILES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            bring(address, target, self._means)
        except TiffinError as error:
            where = f"{order.step.place}: " if order.step.place.file else ""
            raise type(error)(f"{where}{order.task} imports {address}: {error.message}", error.hint) from error
        return Ended(metadata={name: facts_of(does, order.values) | {URI: address}})


def bring(address: str, target: Path, means: Means) -> None:
    """Have what lies at an address lie at `target`, a file or a folder.

    Raises NotFoundError where there is nothing, and UnsupportedError for an address that is out of reach here.
    """
    scheme = urlsplit(address).scheme
    if scheme in _WEB:
        if not means.network:
            raise UnsupportedError("there is no network", "run it with one, or import a file of this machine")
        _download(address, target)
    elif scheme == "oci" and means.models is not None:
        target.mkdir()
        means.models(address.removeprefix("oci://"), target)
    else:
        raise UnsupportedError(
            f"{scheme}:// is out of reach here", "download it, and give the path of the file or folder as its address"
        )


def take_models(store: Store, image: Image, target: Path) -> None:
    """Put what an image has in `/models` into a folder; raises NotFoundError where it has nothing there."""
    for layer, diff_id in zip(image.manifest.layers, image.config.rootfs.diff_ids, strict=True):
        with tempfile.TemporaryDirectory(dir=target.parent) as folder, store.open(layer) as blob:
            unpack_layer(blob, layer.media_type, Path(folder), diff_id)
            if (Path(folder) / MODELS).is_dir():
                _lay(Path(folder) / MODELS, target)
    if not any(target.iterdir()):
        raise NotFoundError(f"the image has nothing in /{MODELS}", "build it with the model's files there")


def _lay(layer: Path, target: Path) -> None:
    """Lay a layer's folder over what those below have, as an overlay would."""
    target.mkdir(exist_ok=True)
    if is_opaque(layer):
        for path in target.iterdir():
            _remove(path)
    for path in layer.iterdir():
        own = target / path.name
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            if os.path.lexists(own) and (own.is_symlink() or not own.is_dir()):
                _remove(own)
            _lay(path, own)
            continue
        if os.path.lexists(own):
            _remove(own)
        if not stat.S_ISCHR(mode):
            shutil.move(path, own)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _download(address: str, target: Path) -> None:
    connections = Connections(_HINTS)
    answer = connections.ask("GET", address, {})
    try:
        if answer.status != HTTPStatus.OK:
            raise refusal(answer, shown(address), _HINTS)
        with connections.translated(address), target.open("wb") as file:
            shutil.copyfileobj(answer, file, _CHUNK)
    finally:
        answer.close()
