"""`scan`: look at an image for what should not be in one, and have a scanner look up what is vulnerable."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import msgspec

from tiffin.api.images.sbom import document
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.build.carried import LOCK, PROJECT, read_lock_text, read_project_text
from tiffin.build.contents import titles
from tiffin.build.sbom import CYCLONEDX
from tiffin.config.project import Project
from tiffin.config.release import ReleaseSection
from tiffin.errors import (
    CommandError,
    DeniedError,
    IntegrityError,
    NotFoundError,
    TiffinError,
    UnavailableError,
    UnsupportedError,
)
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor, encode
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.packages.lock import Lock
from tiffin.progress import note, parallel, step
from tiffin.release.judge import image_findings, judged
from tiffin.release.look import LOOK, look
from tiffin.release.result import Finding
from tiffin.release.rules import found
from tiffin.release.sarif import read_sarif
from tiffin.release.scanner import SCANNERS

FORMAT = "dev.tiffin.format"
_WEIGHTS = "weights"
_SECONDS = 900
"""How long a scanner may take; the first time it brings its database."""


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan of an image found, the worst first."""

    name: str
    digest: Digest
    findings: tuple[Finding, ...]


class _Layer(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    blob: Descriptor
    diff_id: Digest


def scan(name: str, section: ReleaseSection | None = None, *, home: Home | None = None) -> Scan:
    """Look at an image, which is pulled where it is not here and its name has a registry.

    Raises UnavailableError for a scanner that is asked for and absent.
    """
    section, home = section or ReleaseSection(), home or Home.of()
    if section.scanner:
        find_scanner(section.scanner)
    image = _image(name, home)
    project, lock = _carried(name, image, home)
    with step("look", name):
        findings = [
            *image_findings(image.config.config.user, project, lock),
            *(finding for found in parallel(partial(_looked, home), _layers(image)) for finding in found),
            *_models(image, project, home),
        ]
    findings += _by_scanner(name, image, section.scanner, home)
    return Scan(name=name, digest=image.descriptor.digest, findings=judged(findings, section.allow))


def find_scanner(name: str) -> str:
    """Where a scanner is on this machine; raises UnavailableError where it is not."""
    if program := shutil.which(name):
        return program
    raise UnavailableError(
        f"`[release] scanner` asks for {name}, which is not on this machine", f"install {name}, or leave the key out"
    )


def _image(name: str, home: Home) -> Image:
    try:
        return find_image(home.store, name)
    except NotFoundError:
        if name.startswith("sha256:") or not (reference := Reference.parse(name)).registry:
            raise
    from tiffin.api.images.pull import pull_image

    return pull_image(reference, home)


def _layers(image: Image) -> list[_Layer]:
    blobs, diff_ids = image.manifest.layers, image.config.rootfs.diff_ids
    named = titles(image.config.history, len(blobs))
    return [
        _Layer(title=title, blob=blob, diff_id=diff) for title, blob, diff in zip(named, blobs, diff_ids, strict=True)
    ]


def _looked(home: Home, layer: _Layer) -> list[Finding]:
    """What is found in a layer, which is looked through once."""
    records, key = home.records("looks"), Digest.of(encode([LOOK, layer.diff_id]))
    known = records.get(key, list[Finding])
    if known is None:
        with home.store.open(layer.blob) as blob:
            known = look(blob, layer.blob.media_type, layer.diff_id)
        records.put(key, known)
    return [msgspec.structs.replace(finding, layer=layer.title) for finding in known]


def _models(image: Image, project: Project | None, home: Home) -> list[Finding]:
    """Judge the model's files as `build` did, whoever built it; a class of the user's own reads its files itself."""
    format_ = image.config.config.labels.get(FORMAT, "")
    layers = [layer for layer in _layers(image) if layer.title == _WEIGHTS]
    if not (format_ and layers):
        return []
    from tiffin.api.building.imports import SCAN
    from tiffin.models.allowed_imports import AllowedImports

    allowed = AllowedImports.of(project.model.allow_imports if project else ())
    records, told = home.records("judged"), list[Finding]()
    for layer in layers:
        key = Digest.of(encode([SCAN, layer.diff_id, format_, allowed.digest]))
        known = records.get(key, list[Finding])
        if known is None:
            known = _judged_files(layer, format_, allowed, home)
            records.put(key, known)
        told += known
    return told


def _judged_files(layer: _Layer, format_: str, allowed: object, home: Home) -> list[Finding]:
    from tiffin.engine.embedded.unpacked import Unpacked
    from tiffin.layers.unpack import unpack_layer
    from tiffin.models.approve import approve

    unpacked = Unpacked(home.data / "unpacked", unpack_layer)
    unpacked.add(home.store, {layer.diff_id: layer.blob})
    (folder,) = unpacked.folders([layer.diff_id])
    told = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        try:
            approve(path, format_, allowed)  # type: ignore[arg-type]
        except (DeniedError, IntegrityError) as error:
            place = path.relative_to(folder).as_posix()
            message = error.message.replace(str(path), place)
            told.append(
                msgspec.structs.replace(
                    found("model-code", message, layer=layer.title, path=place), hint=error.hint or ""
                )
            )
    return told


def _carried(name: str, image: Image, home: Home) -> tuple[Project | None, Lock | None]:
    """The project and the lock that an image carries; None for one that carries none, or another tiffin's."""
    try:
        project = read_project_text(document(home.store, image, PROJECT, name), f"{name}: /{PROJECT}")
        return project, read_lock_text(document(home.store, image, LOCK, name), f"{name}: /{LOCK}")
    except NotFoundError:
        return None, None
    except TiffinError as error:
        note(f"what {name} says of itself is not read: {error.message}")
        return None, None


def _by_scanner(name: str, image: Image, scanner: str, home: Home) -> tuple[Finding, ...]:
    """Have a scanner look up the bill of materials, where one is asked for."""
    if not scanner:
        here = next((one for one in SCANNERS if shutil.which(one)), "")
        hint = f'{here} is here: `[release] scanner = "{here}"`' if here else "`[release] scanner` names one"
        note(f"vulnerabilities are not looked up: {hint}")
        return ()
    try:
        bom = document(home.store, image, CYCLONEDX, name)
    except NotFoundError as error:
        raise UnsupportedError(
            f"{scanner} is given a bill of materials, and {name} carries none", error.hint
        ) from error
    with step("look up", f"{name} with {scanner}"), tempfile.TemporaryDirectory(prefix="tiffin-scan-") as folder:
        file = Path(folder, "sbom.cdx.json")
        file.write_text(bom, "utf-8")
        return read_sarif(_output(scanner, file), scanner)


def _output(scanner: str, file: Path) -> bytes:
    argv = [find_scanner(scanner), *SCANNERS[scanner](file)[1:]]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{scanner} said nothing within {_SECONDS} s", "run it again") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()[-2000:]
        raise CommandError(f"{scanner} ended with status {done.returncode}: {words}", f"`{' '.join(argv)}` by hand")
    return done.stdout
