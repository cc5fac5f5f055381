"""Whom `exec`, `cp` and `port-forward` mean by a name: a container of this machine, or a replica of a service."""

from __future__ import annotations

import msgspec

from tiffin.api.containers.verbs import engine_of
from tiffin.api.machine.home import Home
from tiffin.api.services.targets import LOCAL, Where, place_of, target_of
from tiffin.api.services.verbs import able, is_service
from tiffin.deploy.target import CanForward, CanReach, Forward
from tiffin.errors import ConfigError, UnsupportedError


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service is, and which replica of it is meant; empty is whichever is ready."""

    where: Where = Where()
    replica: str = ""


def reached(name: str, reach: Reach) -> object:
    """The container, or the replica: of a service where a place or a replica is said, or only one has the name."""
    if not (reach.replica or is_service(name, reach.where)):
        return engine_of().find(name)
    target = able(target_of(name, reach.where), CanReach, "has no replicas that could be reached")  # type: ignore[type-abstract]
    return target.replica(name, reach.replica)


def forward(name: str, ports: str, address: str, where: Where) -> Forward:
    """Lead a port of this machine, `LOCAL:REMOTE` or `REMOTE`, to one of a service's; raises UnsupportedError here."""
    if place_of(name, where, Home.of()).target == LOCAL:
        hint = f"`tiffin status {name}` says where it answers; `--to kubernetes` means the one in a cluster"
        raise UnsupportedError(f"a service of this machine needs no way to it: {name} is here", hint)
    target = able(target_of(name, where), CanForward, "leads no ports here")  # type: ignore[type-abstract]
    local, colon, remote = ports.rpartition(":")
    if not colon:
        local = remote if remote.isdecimal() and int(remote) > _PRIVILEGED else "0"
    if not (local or "0").isdecimal() or int(local or "0") > _LARGEST:
        raise ConfigError(f"not a port of this machine: {local!r}", "write it as `LOCAL:REMOTE`, such as `9000:http`")
    return target.forward(name, remote, address, int(local or "0"))


_PRIVILEGED, _LARGEST = 1023, 65535
