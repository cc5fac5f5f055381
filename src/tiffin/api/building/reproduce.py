"""`reproduce`: make an image again out of what it carries, and compare digests."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tiffin import __version__
from tiffin.api.building.build import environment_of, server_parts, workshop_of
from tiffin.api.building.projects import Checkout
from tiffin.api.images.sbom import document
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.build.carried import LOCK, PROJECT, read_lock_text, read_project_text
from tiffin.build.contents import titles
from tiffin.build.fingerprint import Fingerprints
from tiffin.build.foundation import foundation_of
from tiffin.build.plan import BASELINE, BuildPlan, Environment, Payload, check_paths, plan_image
from tiffin.build.reproduce import VERSION, Reproduction, without_gone
from tiffin.build.reproduce import reproduce as reproduce_plan
from tiffin.build.server import server_files
from tiffin.config.checks import CheckTexts
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.layers.unpack import unpack_layer
from tiffin.oci.image import Image
from tiffin.oci.store import Store
from tiffin.packages.lock import Lock
from tiffin.progress import step

WEIGHTS, CODE = "weights", "code"
"""Layers of the user's own files, which no index has."""


def reproduce(name: str, home: Home | None = None) -> Reproduction:
    """Make an image again from its lock, its project and its own files, every package fetched anew, and compare.

    Raises NotFoundError for an image that carries no lock, and UnavailableError where an index does not answer.
    """
    home = home or Home.of()
    image = find_image(home.store, name)
    home.cache.mkdir(parents=True, exist_ok=True)
    with step("reproduce", name), tempfile.TemporaryDirectory(prefix="reproduce-", dir=home.cache) as folder:
        checkout, lock = _carried(name, image, home.store, Path(folder))
        scratch = Home(data=checkout.folder / "data", cache=checkout.folder / "cache")
        own = _own_files(image, home.store, checkout.folder)
        foundation = foundation_of(lock)
        seen = Fingerprints(scratch.records("files"), checkout.folder)
        named = checkout.project.model.training_data
        payload = Payload(
            format=image.config.config.labels.get("dev.tiffin.format", ""),
            weights=seen.files(own[WEIGHTS]),
            code=seen.files(own[CODE]),
            checks=_checks(checkout, image, home.store, name),
            baseline=document(home.store, image, BASELINE, name) if named else "",
        )
        plan = _plan(checkout, environment_of(lock, foundation), payload, seen)
        sources = {**own[WEIGHTS], **own[CODE], **server_files()}
        checkout = _on_its_platform(checkout, lock)
        workshop = without_gone(workshop_of(checkout, scratch, lock, foundation.program, sources))
        return reproduce_plan(name, image, home.store, plan, workshop)


def _carried(name: str, image: Image, store: Store, folder: Path) -> tuple[Checkout, Lock]:
    """Read project and lock out of an image."""
    project, lock = (document(store, image, path, name) for path in (PROJECT, LOCK))
    try:
        read = read_project_text(project, f"{name}: /{PROJECT}")
        return Checkout(folder=folder, file=Path("/", PROJECT), project=read), read_lock_text(lock, f"{name}: /{LOCK}")
    except (ConfigError, UnsupportedError) as error:
        made_by = image.config.config.labels.get(VERSION, "")
        if made_by == __version__:
            raise
        message = f"tiffin {made_by} made {name}, and this is {__version__}: {error.message}"
        raise UnsupportedError(message, f"use that version: `uvx tiffin@{made_by} reproduce {name}`") from error


def _checks(checkout: Checkout, image: Image, store: Store, name: str) -> tuple[CheckTexts, ...]:
    """Read the files of the checks out of an image."""
    found = []
    for number, check in enumerate(checkout.project.check):
        request, expect = check_paths(number)
        found.append(
            CheckTexts(
                request=document(store, image, request, name),
                expect=document(store, image, expect, name) if check.expect else "",
                tolerance=check.tolerance,
            )
        )
    return tuple(found)


def _plan(checkout: Checkout, environment: Environment, payload: Payload, seen: Fingerprints) -> BuildPlan:
    """Plan the image as its build did, with the server of this tiffin."""
    python, platform = environment.foundation.python, environment.platform
    server = server_parts(checkout.project, python, platform, seen.files(server_files()))
    return plan_image(checkout.project, environment, server, payload)


def _on_its_platform(checkout: Checkout, lock: Lock) -> Checkout:
    """Say which platform the packages are for; where they are is this machine's to say, not the image's."""
    image = msgspec.structs.replace(checkout.project.image, platform=str(lock.platform), mirror="")
    python = msgspec.structs.replace(checkout.project.python, requirements="", dependencies=())
    return msgspec.structs.replace(
        checkout, project=msgspec.structs.replace(checkout.project, image=image, python=python)
    )


def _own_files(image: Image, store: Store, folder: Path) -> dict[str, dict[str, Path]]:
    """Unpack the user's own layers; for weights and code, path in the image -> path here."""
    layers = list(zip(image.manifest.layers, image.config.rootfs.diff_ids, strict=True))
    own: dict[str, dict[str, Path]] = {WEIGHTS: {}, CODE: {}}
    for number, title in enumerate(titles(image.config.history, len(layers))):
        if title in own:
            descriptor, diff_id = layers[number]
            target = folder / "own" / str(number)
            target.mkdir(parents=True)
            with store.open(descriptor) as blob:
                unpack_layer(blob, descriptor.media_type, target, diff_id)
            own[title] |= dict(_regular(target))
    return own


def _regular(root: Path) -> Iterator[tuple[str, Path]]:
    """Every regular file below a folder; no link is followed, since an image may come from anybody."""
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if stat.S_ISREG(path.lstat().st_mode):
                yield path.relative_to(root).as_posix(), path
