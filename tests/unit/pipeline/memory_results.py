"""Results in memory, for tests of whoever asks for them; what `take` gives lies in a folder of the test's."""

from __future__ import annotations

import io
from pathlib import Path
from threading import Lock

import msgspec

from tiffin.errors import NotFoundError
from tiffin.oci.digest import Digest
from tiffin.pipeline.keeping.folders import unpack
from tiffin.pipeline.keeping.outputs import outputs_of, pour_output
from tiffin.pipeline.results import Artifact, Result
from tiffin.pipeline.workbench import Ended, Input, Order


class MemoryResults:
    """Results by key in dictionaries; `asked` and `kept` are the keys in the order that they came."""

    def __init__(self, folder: Path) -> None:
        self.results: dict[Digest, Result] = {}
        self.documents: dict[Digest, bytes] = {}
        self.contents: dict[Digest, bytes] = {}
        self.asked: list[Digest] = []
        self.kept: list[Digest] = []
        self._folder, self._taking = folder, Lock()

    def find(self, key: Digest) -> Result | None:
        self.asked.append(key)
        found = self.results.get(key)
        whole = found and all(artifact.digest in self.contents for artifact in found.artifacts.values())
        return found if whole else None

    def key_of(self, key: Digest) -> bytes | None:
        return self.documents.get(key)

    def keep(self, document: bytes, order: Order, ended: Ended, seconds: float) -> Result:
        outputs, key, artifacts = outputs_of(order, ended), Digest.of(document), {}
        for left in outputs.artifacts:
            content = io.BytesIO()
            pour_output(order.step, left, content.write)
            digest = Digest.of(content.getvalue())
            self.contents[digest] = content.getvalue()
            artifacts[left.name] = Artifact(
                digest=digest,
                size=len(content.getvalue()),
                type=left.type,
                name=left.name,
                folder=left.seen.folder,
                metadata=left.metadata,
            )
        made = Result(key=key, values=outputs.values, artifacts=artifacts, attempt=order.attempt, seconds=seconds)
        self.documents[key], self.results[key] = document, msgspec.structs.replace(made, made="2026-01-01T00:00:00Z")
        self.kept.append(key)
        return self.results[key]

    def take(self, artifact: Artifact) -> Input:
        if artifact.digest not in self.contents:
            raise NotFoundError(f"no content {artifact.digest}")
        content = self.contents[artifact.digest]
        kind = "folder" if artifact.folder else "file"
        path = self._folder / f"{kind}-{artifact.digest.hex}" / artifact.name
        with self._taking:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                if artifact.folder:
                    path.mkdir()
                    unpack(io.BytesIO(content), len(content), path)
                else:
                    path.write_bytes(content)
        return Input(
            digest=artifact.digest,
            path=path,
            name=artifact.name,
            type=artifact.type,
            size=artifact.size,
            folder=artifact.folder,
            metadata=artifact.metadata,
        )
