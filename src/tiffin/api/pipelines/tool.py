"""The layer that has tiffin in it: made once for what is installed here, and for the interpreter that is to run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tiffin.api.machine.home import Home
from tiffin.api.pipelines.ground import Ground, compiled
from tiffin.api.pipelines.layered import files_at
from tiffin.build.fingerprint import Fingerprints
from tiffin.build.recipes import LAYOUT
from tiffin.layers.entry import Entry
from tiffin.layers.layer import Layer
from tiffin.layers.write import write_layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.oci.image import Image
from tiffin.pipeline.benches.code import code_digest
from tiffin.pipeline.benches.processes import OWN
from tiffin.progress import step

TOOL = f"{OWN}/tool"
"""Where tiffin lies in an image that runs it, with all that it needs and nothing of the project's."""
_BEGIN = b"from tiffin.cli import main\n\nmain()\n"
"""What an interpreter runs that is begun with the folder."""


def tool_layer(files: Mapping[str, Path], below: Image, ground: Callable[[], Ground] | None, home: Home) -> Layer:
    """Have tiffin's files in a layer above an environment; with a `ground`, bytecode for its interpreter, too."""
    seen = Fingerprints(home.records("pipeline-tool"), Path(TOOL))
    described = seen.files(dict(files))
    seen.save()
    records = home.records("pipeline-images")
    made_of = [LAYOUT, TOOL, code_digest(described), below.descriptor.digest if ground else None]
    key = Digest.of(encode(["tiffin", *made_of]))
    known = records.get(key, Layer)
    if known and home.store.exists(known.descriptor):
        return known
    with step("layer", "tiffin"):
        bytecode = compiled(_sources(files), ground(), TOOL) if ground else {}
        entries = [*files_at(TOOL, files), *_made({"__main__.py": _BEGIN, **bytecode})]
        layer = write_layer(entries, home.store)
    records.put(key, layer)
    return layer


def _sources(files: Mapping[str, Path]) -> dict[str, Path]:
    return {path: here for path, here in files.items() if path.endswith(".py")}


def _made(files: Mapping[str, bytes]) -> list[Entry]:
    return [Entry.of(f"{TOOL.strip('/')}/{path}", data) for path, data in files.items()]
