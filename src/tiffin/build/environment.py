"""What is made for the user's code on an interpreter that is there: its environment, and who it runs as."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from tiffin.layers.debian_root import USER
from tiffin.layers.entry import Entry
from tiffin.layers.layer import Layer
from tiffin.layers.members import FILE
from tiffin.layers.tree import Tree, read_tree
from tiffin.layers.wheel_names import PREFIX, SITE
from tiffin.oci.store import Store

_LINES = {"/etc/passwd": f"tiffin:x:{USER}:{USER}:tiffin:/tmp:/usr/sbin/nologin\n", "/etc/group": f"tiffin:x:{USER}:\n"}
"""The account that programs in an image run under, as passwd(5) and group(5) have it."""
_SOURCE_LIMIT = 16 << 20
_ACCOUNTS_LIMIT = 1 << 20


def venv_entries(program: str, python: str) -> list[Entry]:
    """Make the environment of the user's code (PEP 405): wheels lie beside it, free of the interpreter's version."""
    home = posixpath.dirname(program)
    config = f"home = {home}\ninclude-system-site-packages = false\nversion = {python}\n"
    return [
        Entry.of(f"{PREFIX}/pyvenv.cfg", config.encode()),
        Entry.symlink(f"{PREFIX}/bin/python", program),
        Entry.symlink(f"{PREFIX}/lib/python{python}/site-packages", "../site-packages"),
        Entry.directory(SITE),
    ]


def account_entries(layers: Sequence[Layer], store: Store) -> Iterator[Entry]:
    """Add our user to a base image's accounts, unless somebody has the number there already."""
    tree = read_layers(layers, store, lambda path: _ACCOUNTS_LIMIT if f"/{path}" in _LINES else 0)
    for path, line in _LINES.items():
        node = tree.get(path)
        text = node.data if node else b""
        taken = {entry.split(b":")[2] for entry in text.splitlines() if entry.count(b":") > 1}
        if str(USER).encode() not in taken:
            ended = text if text.endswith(b"\n") or not text else text + b"\n"
            yield Entry.of(tree.resolve(path).lstrip("/"), ended + line.encode())


def library_sources(layers: Sequence[Layer], library: str, store: Store) -> list[Entry]:
    """Read the Python files of a standard library, which lies in `library`, out of the layers."""
    prefix = library.lstrip("/") + "/"
    tree = read_layers(
        layers, store, lambda path: _SOURCE_LIMIT if path.startswith(prefix) and path.endswith(".py") else 0
    )
    return [
        Entry.of(path.lstrip("/"), node.data)
        for path, node in tree.below(library)
        if node.kind == FILE and path.endswith(".py")
    ]


def read_layers(layers: Sequence[Layer], store: Store, keep: Callable[[str], int]) -> Tree:
    """See layers that are in a store as one root."""
    with ExitStack() as stack:
        opened = [
            (stack.enter_context(store.open(layer.descriptor)), layer.descriptor.media_type, layer.diff_id)
            for layer in layers
        ]
        return read_tree(opened, keep)
