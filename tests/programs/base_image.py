"""Base images without a network: the lowest layers of an image that tiffin built, with whatever a test puts on top."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tiffin.oci.copy import copy
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image, read_image
from tiffin.store.layout import LayoutStore

from .process import run

LAYERS = 2
"""The lowest two: base and Python."""
ENV = ("PATH=/usr/local/bin:/usr/bin:/bin", "GREETING=hello", "PYTHONHOME=/nowhere")
Files = Mapping[str, bytes | str | None]
"""Paths: content, a link's text, or a folder."""


def packed(files: Files) -> bytes:
    """Pack files as a tar, exactly as named: whiteouts are files whose names say so."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, what in files.items():
            member = tarfile.TarInfo(path)
            member.mode = 0o755
            if isinstance(what, bytes):
                member.size = len(what)
            else:
                member.type, member.linkname = (tarfile.DIRTYPE, "") if what is None else (tarfile.SYMTYPE, what)
            archive.addfile(member, io.BytesIO(what if isinstance(what, bytes) else b""))
    return data.getvalue()


def write_base(
    data: Path, name: str, target: Path, extra: Sequence[Files] = (), env: Sequence[str] = ENV, *, below: bool = False
) -> Image:
    """Write a base into the layout `target`, as base:1, of the image `name` in the layout `data`.

    The layers of `extra`, not compressed, are above those of the image, or `below` them.
    """
    store, layout = LayoutStore(data), LayoutStore(target)
    built = read_image(store, store.resolve(name))
    more = [Descriptor.of(packed(files), LAYER) for files in extra]
    for descriptor, files in zip(more, extra, strict=True):
        layout.put(descriptor, io.BytesIO(packed(files)))
    own, diff_ids = built.manifest.layers[:LAYERS], built.config.rootfs.diff_ids[:LAYERS]
    layers = [*more, *own] if below else [*own, *more]
    config = ImageConfig(
        architecture=built.config.architecture,
        os="linux",
        config=RunConfig(env=list(env), entrypoint=["/bin/false"], user="nobody", volumes={"/v": {}}),
        rootfs=RootFS(diff_ids=[_diff_id(layer, own, diff_ids) for layer in layers]),
    )
    image = Image.make(config, layers, {})
    for layer in own:
        copy(store, layout, layer)
    image.write(layout)
    layout.tag("base:1", image.descriptor)
    return image


def push(layout: Path, name: str, *options: str) -> str:
    """Push a base out of a layout with skopeo; returns what a tiffin.toml calls it."""
    run("skopeo", "copy", "--dest-tls-verify=false", *options, f"oci:{layout}:base:1", f"docker://{name}")
    return name


def _diff_id(layer: Descriptor, own: Sequence[Descriptor], diff_ids: Sequence[Digest]) -> Digest:
    return diff_ids[own.index(layer)] if layer in own else layer.digest
