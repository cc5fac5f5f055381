"""What docker or podman would not find of a container's mounts, as far as this machine is theirs too."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tiffin.engine.clients.program import Program
from tiffin.engine.data import Who
from tiffin.engine.data import obstacles as unmet
from tiffin.engine.declared import declared_data
from tiffin.engine.looking import daemons, data_obstacles, rootless
from tiffin.engine.spec import ContainerSpec, Obstacle

_SOMEWHERE = {"docker": "DOCKER_HOST", "podman": "CONTAINER_HOST"}
"""The variables that name the machine on which the program makes containers."""


def obstacles(program: Program, spec: ContainerSpec) -> list[Obstacle]:
    """Say what keeps a container from its data; files of another machine are not looked at."""
    who = _who(program.dialect.name, spec.user)
    if is_here(program.dialect.name, program.environment):
        return data_obstacles(spec, who)
    return unmet(spec.image, declared_data(spec.labels), spec.mounts, {}, who)


def is_here(name: str, environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether the program makes containers on this machine, and not on another or in a virtual one."""
    address = environment.get(_SOMEWHERE[name], "")
    return platform == "linux" and (not address or address.startswith("unix:"))


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _who(name: str, user: tuple[int, int]) -> Who:
    if name == "docker" or not os.geteuid():
        return daemons(user)
    own = (os.geteuid(), os.getegid())
    return rootless(user, getpass.getuser(), own, (_text("/etc/subuid"), _text("/etc/subgid")))
