"""What an image stands on besides Debian's packages: base images from wherever they are, and Pythons in archives."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tiffin.api.images.places import Source, open_files
from tiffin.api.machine.home import Home
from tiffin.config.base import ARCHIVES, LAYOUT, split_name
from tiffin.errors import ConfigError, NotFoundError, UnsupportedError
from tiffin.layers.members import DIRECTORY
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, LAYER_GZIP, LAYER_ZSTD, Descriptor
from tiffin.oci.image import Image
from tiffin.oci.store import Store
from tiffin.packages.base_image import BaseImage, BaseLayer, PythonBuild
from tiffin.progress import parallel, step

if TYPE_CHECKING:
    from tiffin.api.building.projects import Checkout
    from tiffin.layers.tree import Changes, Tree

MEDIA_TYPES = {
    LAYER: LAYER,
    LAYER_GZIP: LAYER_GZIP,
    LAYER_ZSTD: LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_GZIP,
}
"""What a layer may be in the base -> what OCI calls the same bytes."""
_REPLACED = re.compile(r"/(?:pyvenv\.cfg|bin/python|lib/python3\.\d+/site-packages)")
FOLDERS = ("opt", "opt/venv", "opt/tiffin", "models", "app")
"""Folders of ours, parents first."""
OWN = ("/opt/venv", "/opt/tiffin", "/models")
"""Those that must be empty in a base, so that nothing of it mixes with what the lock pins."""


def lock_base(checkout: Checkout, home: Home) -> BaseImage:
    """Pin the base image as it is now, and bring it into the store whole; raises what is wrong with it as a base."""
    from tiffin.layers.interpreter import PATH, find_glibc, find_python
    from tiffin.oci.copy import copy

    source, resolve = base_source(checkout)
    image = _image(source, resolve(), checkout)
    with step("base", checkout.project.image.base):
        copy(source, home.store, image.descriptor)
        layers, tree = _read(image, home.store)
    variables = dict(text.partition("=")[::2] for text in image.config.config.env)
    version, machine = checkout.project.python.version, checkout.platform.machine
    found = find_python(tree, variables.get("PATH", PATH), version, machine)
    return BaseImage(
        digest=image.descriptor.digest,
        layers=layers,
        program=found.program,
        library=found.library,
        glibc=find_glibc(tree),
        env=tuple(image.config.config.env),
        links=_links(tree),
    )


def bringing(checkout: Checkout, home: Home) -> Callable[[Descriptor], None]:
    """Return what brings a blob of the locked base into the store; where it comes from is found once, when needed.

    It raises NotFoundError for what is not to be had any more; threads may share it.
    """
    finding, source = threading.Lock(), cache(partial(base_source, checkout))

    def bring(blob: Descriptor) -> None:
        with finding:
            store, _ = source()
        try:
            with step("pull", blob.digest.short, total=blob.size, unit="bytes"), store.open(blob) as stream:
                home.store.put(blob, stream)
        except NotFoundError as error:
            message = f"the locked base image is gone: {error.message}"
            raise NotFoundError(message, "`tiffin lock` pins the base as it is now") from error

    return bring


def fetch_build(checkout: Checkout, home: Home) -> tuple[Path, PythonBuild]:
    """Fetch the archive that Python comes in, where the cache lacks it; raises IntegrityError for another file."""
    from tiffin.network import Hints
    from tiffin.packages.download import Wanted, download
    from tiffin.packages.web import Web

    hints = Hints(
        absent="check `[python] build`: it is the address of an archive, or a path beside tiffin.toml",
        denied="put the credentials into ~/.netrc",
        busy="check the network and the address, then try again",
        refused="check the address",
        changed="find out why it changed; `sha256` says which one is meant",
    )
    python = checkout.project.python
    url = python.build if "://" in python.build else (checkout.folder / python.build).absolute().as_uri()
    name, sha256 = PurePosixPath(unquote(urlsplit(url).path)).name, Digest("sha256", python.sha256)
    target = _build_path(home, name, sha256)
    if not target.is_file():
        download(Web(hints), url, Wanted(name=name, sha256=sha256), target)
    return target, PythonBuild(filename=name, sha256=sha256, size=target.stat().st_size)


def kept_build(home: Home, build: PythonBuild) -> Path | None:
    """Return the archive of Python where the cache has it."""
    path = _build_path(home, build.filename, build.sha256)
    return path if path.is_file() else None


def _build_path(home: Home, name: str, sha256: Digest) -> Path:
    return home.cache / "pythons" / sha256.hex / name


def base_source(checkout: Checkout) -> Source:
    """Find the place that the base comes from; nothing is asked of a registry yet."""
    base = checkout.base
    if base.kind not in {LAYOUT, *ARCHIVES}:
        from tiffin.oci.reference import Reference
        from tiffin.store.remote.store import RemoteStore

        reference = Reference.parse(base.where)
        remote = RemoteStore.of(reference)
        return remote, partial(remote.resolve, reference.digest or reference.tag or "latest")
    where, name = split_name(base.where)
    path = checkout.folder / Path(where).expanduser()
    if not path.exists():
        raise NotFoundError(
            f"{checkout.file}: no {path} - at `$.image.base`", "a path is beside the file that names it"
        )
    return open_files(base.kind, path, name)


def _image(source: Store, descriptor: Descriptor, checkout: Checkout) -> Image:
    """Read the image for the platform; a base for another platform is refused."""
    from tiffin.oci.image import read_image
    from tiffin.oci.platform import Platform

    image = read_image(source, descriptor, checkout.platform)
    config = image.config
    if not Platform(os=config.os, architecture=config.architecture, variant=config.variant).suits(checkout.platform):
        raise ConfigError(
            f"{checkout.file}: {checkout.project.image.base} is for {config.os}/{config.architecture}, and the image"
            f" is for {checkout.platform} - at `$.image.base`",
            "choose a base for that platform, or change `[image] platform`",
        )
    return image


def _read(image: Image, store: Store) -> tuple[tuple[BaseLayer, ...], Tree]:
    """Read every layer once: what the lock says of it, and what is in all of them together."""
    from tiffin.layers.interpreter import of_interest
    from tiffin.layers.tree import Tree, read_changes

    def read(layer: tuple[Descriptor, Digest]) -> Changes:
        with store.open(layer[0]) as blob:
            return read_changes(blob, layer[0].media_type, layer[1], of_interest)

    pairs = list(zip(image.manifest.layers, image.config.rootfs.diff_ids, strict=True))
    types = [_media_type(layer) for layer, _ in pairs]
    changes = parallel(read, pairs)
    layers = tuple(
        BaseLayer(media_type=type_, digest=layer.digest, diff_id=diff_id, size=layer.size, unpacked_size=change.size)
        for (layer, diff_id), type_, change in zip(pairs, types, changes, strict=True)
    )
    return layers, Tree(changes)


def _media_type(layer: Descriptor) -> str:
    if layer.media_type not in MEDIA_TYPES:
        hint = "push the base anew with its layers as tar, tar+gzip or tar+zstd"
        raise UnsupportedError(f"the base has a layer of the type {layer.media_type[:100]!r}", hint)
    return MEDIA_TYPES[layer.media_type]


def _links(tree: Tree) -> tuple[tuple[str, str], ...]:
    """Find the folders of ours that are links in a base, the deepest first, with where each leads.

    Raises UnsupportedError for a base that has files of its own in them.
    """
    found = {folder: tree.resolve(f"/{folder}").lstrip("/") for folder in FOLDERS}
    for folder in OWN:
        kept = _kept(tree, folder)
        if kept:
            raise UnsupportedError(
                f"the base image has {kept[0]} and {len(kept) - 1} more files where tiffin puts its own",
                "choose the image that this one was made from",
            )
    # the deepest first, since the first that fits a path counts
    return tuple((folder, target) for folder, target in reversed(found.items()) if target != folder)


def _kept(tree: Tree, folder: str) -> list[str]:
    """The files in a folder of ours that none of our layers would replace."""
    root = tree.resolve(folder)
    files = [path for path, node in tree.below(folder) if node.kind != DIRECTORY]
    return sorted(path for path in files if not _REPLACED.fullmatch(path.removeprefix(root)))
