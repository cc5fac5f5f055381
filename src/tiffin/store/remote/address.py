"""Where a repository is: what people write, as the host and the name that its registry's API wants."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from tiffin.oci.reference import Reference

DOCKER_HUB = "docker.io"
_HUB_NAMES = {"", DOCKER_HUB, "index.docker.io", "registry-1.docker.io"}
_HUB_HOST = "registry-1.docker.io"
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", DOCKER_HUB, _HUB_HOST)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A repository of a registry; `host` may have a port."""

    host: str
    repository: str

    @classmethod
    def of(cls, reference: Reference) -> Address:
        """Find the registry of a reference: one without a registry is Docker Hub's, one without a slash official."""
        if reference.registry not in _HUB_NAMES:
            return cls(host=reference.registry, repository=reference.repository)
        official = "/" not in reference.repository
        return cls(host=_HUB_HOST, repository=f"library/{reference.repository}" if official else reference.repository)

    @property
    def name(self) -> str:
        """The repository as people know it, registry included."""
        return f"{login_host(self.host)}/{self.repository}"

    @classmethod
    def of_host(cls, host: str) -> Address:
        """Find a registry by its host alone; Docker Hub has several."""
        return cls.of(Reference(registry=host, repository="any"))

    @property
    def login_key(self) -> str:
        """What a login to the whole registry is kept under."""
        return self._hosts()[0]

    def keys(self) -> Iterator[str]:
        """What credentials for it are kept under, the closest first: podman's keys may go down to the repository."""
        for host in self._hosts():
            path = self.repository
            while path:
                yield f"{host}/{path}"
                path = path.rpartition("/")[0]
        yield from self._hosts()

    def _hosts(self) -> tuple[str, ...]:
        return _HUB_KEYS if self.host == _HUB_HOST else (self.host,)


def login_host(host: str) -> str:
    """The name that people have for a registry's host."""
    return DOCKER_HUB if host == _HUB_HOST else host


def is_loopback(host: str) -> bool:
    """Say whether a host, with or without a port, is this machine by a name that cannot mean another."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
