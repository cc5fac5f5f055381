"""One-shot programs of an image, such as its own interpreter making bytecode, with a container's isolation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tiffin.engine.embedded.boot import python
from tiffin.engine.embedded.launch import tool
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.plan import PATH


def tool_argv(
    layers: Sequence[Path], argv: Sequence[str], *, machine: Machine, env: Mapping[str, str] | None = None
) -> list[str]:
    """Make the command that runs `argv` in these unpacked layers, bottom first, with the caller's standard streams.

    It has no network, a read-only root, an empty /tmp and no way to the host, runs as an unprivileged user where tiffin
    runs as root, and dies with the caller, whose child it must be. Its exit status is the program's.
    """
    settings = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/tmp"} | dict(env or {})  # noqa: S108 - the container's own
    launch = tool(list(layers), list(argv), settings, machine)
    return [*python("runner"), str(os.getpid()), msgspec.json.encode(launch).decode()]
