"""What the hooks of NVIDIA's CDI specs do, done without running them: links, and folders of libraries. Pure.

A hook is a program of the host that an OCI runtime runs as root in the container's namespaces. Without root there is
nobody to run it, and so the two that matter are understood by their arguments, and any unknown one is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

import msgspec

from tiffin.engine.cdi import Edits, Hook
from tiffin.engine.devices import Link
from tiffin.errors import UnsupportedError

_PROGRAMS = {"nvidia-cdi-hook", "nvidia-ctk"}
_LINKS, _CACHE = "create-symlinks", "update-ldcache"
_NEEDLESS = {
    "chmod": "the folders of device nodes may be read by everybody here",
    "enable-cuda-compat": "a driver that is too old for the image is refused before",
    "disable-device-node-modification": "no container here may make device nodes",
}
"""Hooks that change nothing in a container of ours, and why."""


class Libraries(msgspec.Struct, frozen=True, kw_only=True):
    """What hooks ask for: links, and folders in which the dynamic linker shall find what is mounted there."""

    links: tuple[Link, ...] = ()
    folders: tuple[str, ...] = ()


def read_hooks(edits: Edits) -> Libraries:
    """Say what the hooks do; raises UnsupportedError for one that is not known."""
    links: dict[str, str] = {}
    folders: dict[str, None] = {}
    for hook in edits.hooks:
        verb, arguments = _verb(hook)
        if verb == _LINKS:
            links |= {path: target for target, path in map(_pair, _values(arguments, "--link"))}
        elif verb == _CACHE:
            folders |= dict.fromkeys(_values(arguments, "--folder"))
        elif verb not in _NEEDLESS:
            raise UnsupportedError(
                f"a CDI spec asks for the hook `{verb}`, which only a runtime can run",
                "use an engine that reads CDI specs itself: podman 4.1 or docker 25, with `--engine`",
            )
    return Libraries(links=tuple(Link(path=path, target=links[path]) for path in links), folders=tuple(folders))


def follow(link: Link, links: Iterable[Link]) -> str:
    """Where a link leads in the container, through the other links."""
    texts = {one.path: one.target for one in links}
    path, seen = link.path, set()
    while path in texts and path not in seen:
        seen.add(path)
        path = _joined(PurePosixPath(path).parent, texts[path])
    return path


def _verb(hook: Hook) -> tuple[str, list[str]]:
    """What a program of NVIDIA's is asked to do, and how; of any other program its name and first argument."""
    program = PurePosixPath(hook.path).name
    rest = [text for text in hook.args[1:] if text != "hook"]
    if program not in _PROGRAMS or not rest:
        return " ".join([program, *rest[:1]]), []
    return rest[0], rest[1:]


def _values(arguments: list[str], option: str) -> Iterator[str]:
    """The values of an option that may be given more than once, as `--option value` or `--option=value`."""
    for at, text in enumerate(arguments):
        name, given, value = text.partition("=")
        if name == option:
            yield value if given else "".join(arguments[at + 1 : at + 2])


def _pair(text: str) -> tuple[str, str]:
    target, _, path = text.partition("::")
    return target, path


def _joined(folder: PurePosixPath, text: str) -> str:
    """A link's text as a path, its `..` taken back."""
    parts: list[str] = []
    for part in (folder / text).parts[1:]:
        if part == "..":
            del parts[-1:]
        else:
            parts.append(part)
    return "/" + "/".join(parts)
