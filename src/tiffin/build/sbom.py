"""What an image is made of, in the two forms that scanners read: CycloneDX 1.6 and SPDX 2.3, both JSON.

Both are pure functions of the contents: no clock, no random serial number, no address. Package URLs follow the purl
specification, types `pypi` and `deb`.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any
from urllib.parse import quote

import msgspec

from tiffin import __version__
from tiffin.build.recipes import SourceFile
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.packages.pins import DebPin, WheelPin

CYCLONEDX = "opt/tiffin/sbom.cdx.json"
SPDX = "opt/tiffin/sbom.spdx.json"
RELEASES = {"bookworm": "debian-12", "trixie": "debian-13"}
"""Debian's suites, as package URLs name them."""

_NOTHING_SAID = "NOASSERTION"
_SPDX_PURPOSE = {
    "container": "CONTAINER",
    "library": "LIBRARY",
    "application": "APPLICATION",
    "machine-learning-model": "FILE",
}


class BaseRef(msgspec.Struct, frozen=True, kw_only=True):
    """The image that an image stands on."""

    name: str
    digest: Digest


class Contents(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image holds but the user's code; `created` is when all say that they were made.

    `program` is where Python lies when no Debian package brings it, and `base` the image that has it.
    """

    name: str
    version: str
    python: str
    suite: str
    created: str
    debs: tuple[DebPin, ...]
    wheels: tuple[WheelPin, ...]
    server: tuple[WheelPin, ...]
    models: tuple[SourceFile, ...]
    program: str = ""
    base: BaseRef | None = None


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the image: what kind of thing it is in CycloneDX's words, and where it lies."""

    kind: str
    name: str
    version: str = ""
    purl: str = ""
    sha256: Digest | None = None
    place: str

    @property
    def ref(self) -> str:
        """What the documents call it; the same package may lie in two places."""
        return f"{self.purl or self.kind + ':' + self.name}#{self.place}"


def components(contents: Contents) -> list[Component]:
    """Every part of the image, the interpreter first."""
    return [
        *([_base(contents.base)] if contents.base else []),
        *_interpreter(contents),
        *(_deb(pin, contents.suite) for pin in sorted(contents.debs)),
        *(_wheel(pin, "opt/venv/lib/site-packages") for pin in sorted(contents.wheels)),
        *(_wheel(pin, "opt/tiffin/front") for pin in sorted(contents.server)),
        Component(
            kind="application",
            name="tiffin",
            version=__version__,
            purl=f"pkg:pypi/tiffin@{_quoted(__version__)}",
            place="opt/tiffin",
        ),
        *(
            Component(kind="machine-learning-model", name=file.path, sha256=file.digest, place=file.path)
            for file in contents.models
        ),
    ]


def cyclonedx(contents: Contents) -> str:
    """Describe the image in CycloneDX 1.6."""
    parts = components(contents)
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(contents).urn,
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "tiffin", "version": __version__}]},
            "component": {"type": "container", "bom-ref": "image", "name": contents.name, "version": contents.version},
        },
        "components": [_cyclonedx(part) for part in parts],
        "dependencies": [{"ref": "image", "dependsOn": [part.ref for part in parts]}],
    }
    return _text(document)


def spdx(contents: Contents) -> str:
    """Describe the image in SPDX 2.3."""
    parts = components(contents)
    image = {
        "SPDXID": "SPDXRef-image",
        "name": contents.name,
        "versionInfo": contents.version,
        "primaryPackagePurpose": "CONTAINER",
        **_unsaid(),
    }
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image")]
    relations += [("SPDXRef-image", "CONTAINS", _spdx_id(part)) for part in parts]
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": contents.name,
        "documentNamespace": serial(contents).urn,
        "creationInfo": {"created": contents.created, "creators": [f"Tool: tiffin-{__version__}"]},
        "packages": [image, *(_spdx(part) for part in parts)],
        "relationships": [
            {"spdxElementId": one, "relationshipType": relation, "relatedSpdxElement": other}
            for one, relation, other in relations
        ],
    }
    return _text(document)


def serial(contents: Contents) -> uuid.UUID:
    """The documents' number: the same for the same contents."""
    return uuid.uuid5(uuid.NAMESPACE_OID, Digest.of(encode([__version__, contents])))


def _interpreter(contents: Contents) -> list[Component]:
    """Python itself, by the version that its Debian package tells: epoch and Debian's own revision left out."""
    for pin in contents.debs:
        if pin.name == f"python{contents.python}":
            version = pin.version.rpartition(":")[2].partition("-")[0]
            place = f"usr/bin/python{contents.python}"
            purl = f"pkg:generic/python@{_quoted(version)}"
            return [Component(kind="application", name="python", version=version, purl=purl, place=place)]
    place = contents.program.lstrip("/")
    return [Component(kind="application", name="python", version=contents.python, place=place)] if place else []


def _base(base: BaseRef) -> Component:
    """Name a base image as package URLs do, type `oci`: by digest, and by where it is where that is a registry."""
    name = base.name.rpartition("/")[2].partition("@")[0].partition(":")[0] or "base"
    place = base.name.partition("@")[0].removesuffix(f":{base.name.rpartition(':')[2]}")
    purl = f"pkg:oci/{_quoted(name)}@{quote(base.digest, safe='')}"
    purl += f"?repository_url={quote(place, safe='')}" if "/" in place else ""
    return Component(kind="container", name=name, version=base.digest, purl=purl, sha256=base.digest, place="")


def deb_url(pin: DebPin, suite: str) -> str:
    """The package URL of a Debian package."""
    return (
        f"pkg:deb/debian/{_quoted(pin.name)}@{_quoted(pin.version)}"
        f"?arch={_quoted(pin.architecture)}&distro={RELEASES.get(suite, suite)}"
    )


def wheel_url(pin: WheelPin) -> str:
    """The package URL of a Python package."""
    return f"pkg:pypi/{_quoted(pin.name)}@{_quoted(pin.version)}"


def _deb(pin: DebPin, suite: str) -> Component:
    purl, place = deb_url(pin, suite), "var/lib/dpkg/status.d"
    return Component(kind="library", name=pin.name, version=pin.version, purl=purl, sha256=pin.sha256, place=place)


def _wheel(pin: WheelPin, place: str) -> Component:
    purl = wheel_url(pin)
    return Component(kind="library", name=pin.name, version=pin.version, purl=purl, sha256=pin.sha256, place=place)


def _quoted(text: str) -> str:
    return quote(text, safe="-._~:")


def _cyclonedx(part: Component) -> dict[str, Any]:
    return {
        "type": part.kind,
        "bom-ref": part.ref,
        "name": part.name,
        **({"version": part.version} if part.version else {}),
        **({"purl": part.purl} if part.purl else {}),
        **({"hashes": [{"alg": "SHA-256", "content": part.sha256.hex}]} if part.sha256 else {}),
        "properties": [{"name": "tiffin:path", "value": "/" + part.place}],
    }


def _spdx(part: Component) -> dict[str, Any]:
    purl = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": part.purl}
    return {
        "SPDXID": _spdx_id(part),
        "name": part.name,
        "primaryPackagePurpose": _SPDX_PURPOSE[part.kind],
        "sourceInfo": f"in the image at /{part.place}",
        **_unsaid(),
        **({"versionInfo": part.version} if part.version else {}),
        **({"checksums": [{"algorithm": "SHA256", "checksumValue": part.sha256.hex}]} if part.sha256 else {}),
        **({"externalRefs": [purl]} if part.purl else {}),
    }


def _unsaid() -> dict[str, Any]:
    """Say what SPDX asks of every package and a lock does not know."""
    return {
        "downloadLocation": _NOTHING_SAID,
        "filesAnalyzed": False,
        "licenseConcluded": _NOTHING_SAID,
        "licenseDeclared": _NOTHING_SAID,
        "copyrightText": _NOTHING_SAID,
    }


def _spdx_id(part: Component) -> str:
    return "SPDXRef-" + hashlib.sha256(part.ref.encode()).hexdigest()[:20]


def _text(document: dict[str, Any]) -> str:
    return msgspec.json.format(encode(document)).decode() + "\n"
