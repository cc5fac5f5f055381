"""Find the Python that a base image brings, and the C library that its wheels will run on, without running anything."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

import msgspec

from tiffin.errors import ConfigError, UnsupportedError
from tiffin.layers.members import DIRECTORY, FILE
from tiffin.layers.tree import Tree

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for in an image that says nothing (runtimes' usual default)."""

_HEAD = 4096
_LIBC_LIMIT = 32 << 20
_LIBC = re.compile(r"(?:usr/)?lib(?:64|32)?/(?:[\w-]+-linux-gnu/)?libc(?:\.so\.6|-2\.\d+\.so)")
_MUSL = re.compile(r"(?:usr/)?lib/ld-musl-\w+\.so\.1")
_PROGRAM = re.compile(r"(?:.*/)?python[\d.]*")
_NAME = re.compile(r"python(3\.\d{1,2})")
_VERSIONS = [f"3.{minor}" for minor in range(6, 30)]
_BANNER = re.compile(rb"GNU C Library [^\n\0]{0,200} version 2\.(\d{1,3})")
_ELF = b"\x7fELF"
_MACHINES = {62: "x86_64", 183: "aarch64"}
"""ELF's e_machine -> the kernel's name of an architecture."""


class FoundPython(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter: its program, its version such as 3.12, and the folder of its standard library, links followed."""

    program: str
    version: str
    library: str


def of_interest(path: str) -> int:
    """How many bytes of a path's content tell about interpreters and the C library: a `Keep` of `read_changes`."""
    if _LIBC.fullmatch(path):
        return _LIBC_LIMIT
    return _HEAD if _PROGRAM.fullmatch(path) else 0


def find_python(tree: Tree, path: str, wanted: str, machine: str) -> FoundPython:
    """Find the first interpreter of the wanted version on a PATH, else where distributions keep theirs.

    Raises ConfigError that names those that are there.
    """
    others: dict[str, str] = {}
    for found in _pythons(tree, path, wanted, machine):
        if found.version == wanted:
            return found
        others.setdefault(found.version, found.program)
    if others:
        version = next(iter(others))
        there = ", ".join(f"{program} is Python {version}" for version, program in others.items())
        raise ConfigError(
            f"the base image has no Python {wanted} for {machine}: {there}",
            f'write `version = "{version}"` under [python] if the model runs with that, or choose another base',
        )
    raise ConfigError(
        f"the base image has no Python for {machine}: looked in {path or PATH}, /usr and /opt",
        "choose a base that has one, such as python:3.12-slim, or put `[python] build` above debian:bookworm",
    )


def find_glibc(tree: Tree) -> tuple[int, int]:
    """Return the version of the GNU C library; raises UnsupportedError for an image that has another or none."""
    minors = [
        int(minor)
        for path, node in tree.below("/")
        if node.kind == FILE and node.data and _LIBC.fullmatch(path.lstrip("/"))
        for minor in _BANNER.findall(node.data)
    ]
    if minors:
        return 2, max(minors)
    musl = next((path for path, _ in tree.below("/") if _MUSL.fullmatch(path.lstrip("/"))), "")
    what = f"is built on musl ({musl})" if musl else "has no C library that is known"
    raise UnsupportedError(
        f"the base image {what}: the server and most wheels need the GNU C library",
        "choose a base of Debian, Ubuntu or Red Hat's kind, such as python:3.12-slim in place of python:3.12-alpine",
    )


def _pythons(tree: Tree, path: str, wanted: str, machine: str) -> Iterator[FoundPython]:
    folders = [*(path or PATH).split(":"), "/usr/local/bin", "/usr/bin", *_prefixes(tree)]
    for folder in dict.fromkeys(folder for folder in folders if folder.startswith("/")):
        for name in (f"python{wanted}", "python3", "python"):
            if found := _python(tree, posixpath.join(folder, name), machine):
                yield found


def _prefixes(tree: Tree) -> Iterator[str]:
    """Folders of programs in /opt, where many put an interpreter of their own."""
    for folder, node in sorted(tree.below("/opt")):
        if node.kind == DIRECTORY and folder.endswith("/bin") and folder.count("/") <= 4:  # noqa: PLR2004 - /opt/a/b/bin
            yield folder


def _python(tree: Tree, path: str, machine: str) -> FoundPython | None:
    program = tree.resolve(path)
    node = tree.get(program)
    if not node or not node.is_program or not runs_on(node.data, machine):
        return None
    prefix = posixpath.dirname(posixpath.dirname(program))
    named = _NAME.fullmatch(posixpath.basename(program))
    for version in [named[1]] if named else _VERSIONS:
        for lib in ("lib", "lib64"):
            library = f"{prefix}/{lib}/python{version}"
            if tree.get(f"{library}/os.py"):
                return FoundPython(program=program, version=version, library=tree.resolve(library))
    return None


def runs_on(head: bytes, machine: str) -> bool:
    """Say whether a program that begins like this is for a machine, by the kernel's name of it."""
    return head.startswith(_ELF) and _MACHINES.get(int.from_bytes(head[18:20], "little")) == machine
