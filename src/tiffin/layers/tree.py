"""A stack of layers seen as one root, read without unpacking it: what a base image holds, and where its links lead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import BinaryIO, cast

import msgspec
from isal import isal_zlib

from tiffin.errors import IntegrityError
from tiffin.layers.links import follow
from tiffin.layers.members import DIRECTORY, FILE, HARD_LINK, SYMLINK, Member, Tar, shown
from tiffin.layers.unpack import ENTRIES, LIMIT, uncompressed
from tiffin.oci.digest import Digest

_NAMES_LIMIT = 256 << 20
_KEPT_LIMIT = 256 << 20
"""Bytes of content that are kept of a layer in all."""
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class Node(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One path: what it is, and the begin of its content as far as it was kept."""

    kind: bytes
    mode: int = 0o755
    link: str = ""
    data: bytes = b""

    @property
    def is_program(self) -> bool:
        """Whether it is a file that anybody may execute."""
        return self.kind == FILE and bool(self.mode & 0o111)


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer brings and takes away, by paths without a leading slash; `size` is in bytes as a tar."""

    nodes: dict[str, Node]
    gone: frozenset[str]
    opaque: frozenset[str]
    size: int


Keep = Callable[[str], int]
"""How many bytes of the content of a path are wanted."""


def read_changes(blob: BinaryIO, media_type: str, diff_id: Digest, keep: Keep, *, limit: int = LIMIT) -> Changes:
    """Read a layer once and check its diff ID; raises IntegrityError for bytes that are damaged, hostile or others."""
    reading = _Reading(keep)
    try:
        with uncompressed(blob, media_type) as stream:
            tar = Tar(stream, limit)
            for member in tar.members():
                reading.take(member, tar)
            found = tar.finish()
    except (OSError, EOFError, cast("type[Exception]", isal_zlib.error)) as error:
        raise IntegrityError(f"the layer's compressed bytes are damaged: {error}", "pull it again") from error
    if found != diff_id:
        raise IntegrityError(f"the layer unpacks to {found}, not to its diff ID {diff_id}", "pull it again")
    return Changes(nodes=reading.nodes, gone=frozenset(reading.gone), opaque=frozenset(reading.opaque), size=tar.count)


class _Reading:
    """A layer half read."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._names = 0
        self._kept = 0
        self.nodes: dict[str, Node] = {}
        self.gone: set[str] = set()
        self.opaque: set[str] = set()

    def take(self, member: Member, tar: Tar) -> None:
        path = _path(member.path)
        self._names += len(path)
        if len(self.nodes) + len(self.gone) >= ENTRIES or self._names > _NAMES_LIMIT:
            raise IntegrityError(f"the layer has more than {ENTRIES} paths, or paths of more than {_NAMES_LIMIT} bytes")
        parent, _, name = path.rpartition("/")
        if name == _OPAQUE:
            self.opaque.add(parent)
        elif name.startswith(_WHITEOUT):
            self.gone.add(f"{parent}/{name.removeprefix(_WHITEOUT)}".lstrip("/"))
        elif path:
            self.nodes[path] = self._node(member, path, tar)

    def _node(self, member: Member, path: str, tar: Tar) -> Node:
        if member.kind == HARD_LINK:
            target = self.nodes.get(_path(member.link))
            if target is None or target.kind != FILE:
                raise IntegrityError(f"{member.shown} is a hard link to what the layer does not have before it")
            return target
        link = member.link.decode("utf-8", "surrogateescape") if member.kind == SYMLINK else ""
        data = self._content(tar, self._keep(path)) if member.kind == FILE else b""
        return Node(kind=member.kind, mode=member.mode, link=link, data=data)

    def _content(self, tar: Tar, wanted: int) -> bytes:
        data = bytearray()
        if wanted:
            for piece in tar.content():
                data += piece[: wanted - len(data)]
        self._kept += len(data)
        if self._kept > _KEPT_LIMIT:
            raise IntegrityError(f"the layer has more than {_KEPT_LIMIT} bytes of what is looked at", "is it an image?")
        return bytes(data)


def _path(path: bytes) -> str:
    text = str(PurePosixPath("/", path.decode("utf-8", "surrogateescape"))).lstrip("/")
    if ".." in text.split("/"):
        raise IntegrityError(f"{shown(path)} is no path inside the layer")
    return text


class Tree:
    """The root that a stack of layers makes."""

    def __init__(self, layers: Iterable[Changes] = ()) -> None:
        """Stack layers, bottom first."""
        self._nodes: dict[str, Node] = {}
        for layer in layers:
            self._stack(layer)

    def resolve(self, path: str) -> str:
        """Follow every symbolic link of an absolute path; raises ConfigError for a loop."""
        return follow(path, self._link)

    def get(self, path: str) -> Node | None:
        """What an absolute path means, its links followed."""
        return self._nodes.get(self.resolve(path).lstrip("/"))

    def link(self, path: str) -> str | None:
        """The text of an absolute path that is itself a link, its parents followed."""
        parent, _, name = path.rpartition("/")
        return self._link(f"{self.resolve(parent or '/').rstrip('/')}/{name}")

    def below(self, path: str) -> Iterator[tuple[str, Node]]:
        """Everything below an absolute path, its links followed; what is given is absolute."""
        prefix = f"{self.resolve(path)}/".lstrip("/")
        for name, node in self._nodes.items():
            if name.startswith(prefix):
                yield f"/{name}", node

    def _link(self, path: str) -> str | None:
        node = self._nodes.get(path.lstrip("/"))
        return node.link if node and node.kind == SYMLINK else None

    def _stack(self, layer: Changes) -> None:
        """Put a layer on top; a path that is no folder there takes away all that was below it."""
        replaced = {path for path, node in layer.nodes.items() if node.kind != DIRECTORY and path in self._nodes}
        gone = layer.gone | replaced
        if gone or layer.opaque:
            self._nodes = {path: node for path, node in self._nodes.items() if not _is_gone(path, gone, layer.opaque)}
        for path, node in layer.nodes.items():
            self._nodes[path] = node
            self._add_parents(path)

    def _add_parents(self, path: str) -> None:
        """Let every parent be a folder, given or not; a link in its place is replaced, as overlay replaces it."""
        while path := path.rpartition("/")[0]:
            there = self._nodes.get(path)
            if there and there.kind == DIRECTORY:
                return
            self._nodes[path] = Node(kind=DIRECTORY)


def _is_gone(path: str, gone: frozenset[str], opaque: frozenset[str]) -> bool:
    if path in gone:
        return True
    while path:
        path = path.rpartition("/")[0]
        if path in gone or path in opaque:
            return True
    return False


def read_tree(layers: Sequence[tuple[BinaryIO, str, Digest]], keep: Keep) -> Tree:
    """Stack layers given as open blobs with media type and diff ID, bottom first, each read and checked once."""
    return Tree(read_changes(blob, media_type, diff_id, keep) for blob, media_type, diff_id in layers)
