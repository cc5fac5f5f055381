"""A result as an OCI artifact (image-spec, manifest.md, "Guidelines for Artifact Usage").

The config is the document that the result's key is the digest of; each output is a layer: a file as its bytes, a folder
as one tar, and one JSON document has the values and what is said of the files. See docs/reference/pipeline-results.md.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tiffin.errors import ConfigError, IntegrityError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import MANIFEST, Descriptor, Document, decode_foreign, encode
from tiffin.oci.image import read_document
from tiffin.oci.store import Store
from tiffin.pipeline.graph import PARAMETERS
from tiffin.pipeline.meaning.values import typed
from tiffin.pipeline.results import Artifact, Result

RESULT = "application/vnd.tiffin.pipeline.result.v1"
KEY = "application/vnd.tiffin.pipeline.key.v1+json"
VALUES = "application/vnd.tiffin.pipeline.values.v1+json"
FILE = "application/vnd.tiffin.pipeline.file.v1"
FOLDER = "application/vnd.tiffin.pipeline.folder.v1.tar"
TITLE = "org.opencontainers.image.title"
CREATED = "org.opencontainers.image.created"
TYPE = "dev.tiffin.pipeline.type"
ATTEMPT, SECONDS = "dev.tiffin.pipeline.attempt", "dev.tiffin.pipeline.seconds"
VALUES_LIMIT = 64 << 20
"""Bytes of the largest document of values that is read."""
_VALUES_TITLE = "values.json"
_ANEW = "`tiffin pipeline run` makes it anew"


class ResultManifest(Document, frozen=True, kw_only=True, omit_defaults=False):
    """What a result consists of."""

    schema_version: int = 2
    media_type: str = MANIFEST
    artifact_type: str = ""
    config: Descriptor
    layers: list[Descriptor]
    annotations: dict[str, str]

    @property
    def blobs(self) -> list[Descriptor]:
        """All that it names."""
        return [self.config, *self.layers]


Documents = tuple[tuple[Descriptor, bytes], ...]


def blob_of(artifact: Artifact) -> Descriptor:
    """Where the content of an artifact is."""
    return Descriptor(media_type=FOLDER if artifact.folder else FILE, digest=artifact.digest, size=artifact.size)


def write_result(result: Result, document: bytes) -> Documents:
    """Write a result's documents, in the order in which they are put: the last is its manifest."""
    said = {
        "values": result.values,
        "metadata": {name: artifact.metadata for name, artifact in result.artifacts.items() if artifact.metadata},
    }
    values = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    config, described = Descriptor.of(document, KEY), Descriptor.of(values, VALUES)
    titled = msgspec.structs.replace(described, annotations={TITLE: _VALUES_TITLE})
    manifest = ResultManifest(
        artifact_type=RESULT,
        config=config,
        layers=[titled, *(_layer(name, artifact) for name, artifact in sorted(result.artifacts.items()))],
        annotations={CREATED: result.made, ATTEMPT: str(result.attempt), SECONDS: repr(result.seconds)},
    )
    data = encode(manifest)
    return ((config, document), (described, values), (Descriptor.of(data, MANIFEST), data))


def _layer(name: str, artifact: Artifact) -> Descriptor:
    return msgspec.structs.replace(blob_of(artifact), annotations={TITLE: name, TYPE: artifact.type})


def read_manifest(store: Store, descriptor: Descriptor, key: Digest) -> ResultManifest:
    """Read the manifest of a key's result; raises IntegrityError for what is none, or another key's."""
    where = f"result {key.short}"
    manifest = decode_foreign(ResultManifest, read_document(store, descriptor), where)
    if manifest.artifact_type != RESULT:
        raise IntegrityError(f"{where} is no result of a pipeline but {manifest.artifact_type[:100]!r}", _ANEW)
    if manifest.config.digest != key or manifest.config.media_type != KEY:
        raise IntegrityError(f"{where} is another key's: its config is {manifest.config.digest}", _ANEW)
    return manifest


def read_result(store: Store, manifest: ResultManifest) -> Result:
    """Read the result that a manifest says; raises IntegrityError for one that its key does not promise."""
    key = manifest.config.digest
    where = f"result {key.short}"
    said = [layer for layer in manifest.layers if layer.media_type == VALUES]
    if len(said) != 1:
        raise IntegrityError(f"{where} has {len(said)} documents of values", _ANEW)
    values, metadata = _said(read_document(store, said[0], VALUES_LIMIT), where)
    files = [layer for layer in manifest.layers if layer is not said[0]]
    artifacts = {artifact.name: artifact for artifact in (_artifact(layer, metadata, where) for layer in files)}
    if len(artifacts) != len(files):
        raise IntegrityError(f"{where} has two outputs of one name", _ANEW)
    _check_promised(read_document(store, manifest.config), values, artifacts, where)
    return Result(key=key, values=values, artifacts=artifacts, **_circumstances(manifest.annotations, where))


def _said(data: bytes, where: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    try:
        said = json.loads(data)
        values, metadata = said["values"], said["metadata"]
        if isinstance(values, dict) and all(isinstance(facts, dict) for facts in metadata.values()):
            return values, metadata
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise IntegrityError(f"{where} has values that cannot be read", _ANEW)


def _artifact(layer: Descriptor, metadata: dict[str, dict[str, Any]], where: str) -> Artifact:
    name, kind = layer.annotations.get(TITLE, ""), layer.annotations.get(TYPE, "")
    if name in {"", ".", ".."} or "/" in name or "\0" in name or layer.media_type not in {FILE, FOLDER}:
        raise IntegrityError(f"{where} has an output {name[:100]!r} of {layer.media_type[:100]!r}", _ANEW)
    folder = layer.media_type == FOLDER
    facts = metadata.get(name, {})
    return Artifact(digest=layer.digest, size=layer.size, type=kind, name=name, folder=folder, metadata=facts)


def _check_promised(document: bytes, values: dict[str, Any], artifacts: dict[str, Artifact], where: str) -> None:
    """Refuse outputs that the step does not have, or has of another type; those that may stay away may."""
    promised = _promised(document)
    wrong = [name for name, value in values.items() if not _is_of(value, promised.get(name, ""))]
    wrong += [name for name, artifact in artifacts.items() if artifact.type != promised.get(name, "")]
    wrong += [name for name in artifacts if promised.get(name, "") in PARAMETERS]
    if promised and wrong:
        raise IntegrityError(f"{where} gives {wrong[0]}, which its step does not give, or not as that", _ANEW)


def _is_of(value: Any, kind: str) -> bool:
    if kind not in PARAMETERS:
        return False
    try:
        fit = typed(value, kind, "it")
    except ConfigError:
        return False
    return type(fit) is type(value)


def _promised(document: bytes) -> dict[str, str]:
    try:
        outputs = json.loads(document).get("outputs", {})
        return {str(name): str(kind) for name, kind in outputs.items()}
    except (ValueError, AttributeError, RecursionError):
        return {}


def _circumstances(annotations: dict[str, str], where: str) -> dict[str, Any]:
    try:
        return {
            "made": annotations.get(CREATED, ""),
            "attempt": int(annotations.get(ATTEMPT, "1")),
            "seconds": float(annotations.get(SECONDS, "0")),
        }
    except ValueError as error:
        raise IntegrityError(f"{where} says no number where one is due: {error}", _ANEW) from error
