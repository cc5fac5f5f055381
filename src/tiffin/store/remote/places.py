"""What a machine's owner says of registries, where podman and docker look for it.

Formats: containers-registries.conf(5), containers-certs.d(5), docker's `/etc/docker/certs.d`. Registries that would be
searched for names without one are not taken from there: a name means one image.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

import msgspec

from tiffin.errors import ConfigError, DeniedError
from tiffin.network import Tls
from tiffin.oci.reference import Reference
from tiffin.store.remote.address import Address

_SYSTEM = Path("/etc/containers")
_DOCKER = Path("/etc/docker/certs.d")


class Pulls(StrEnum):
    """What a mirror is asked for."""

    ALL = "all"
    DIGESTS = "digest-only"
    TAGS = "tag-only"


class _Mirror(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    location: str
    insecure: bool = False
    pull_from_mirror: Pulls = Pulls.ALL


class _Registry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    location: str = ""
    prefix: str = ""
    insecure: bool = False
    blocked: bool = False
    mirror: list[_Mirror] = []
    mirror_by_digest_only: bool = False

    @property
    def begins(self) -> str:
        """What the names begin with that it is about."""
        return self.prefix or self.location


class _File(msgspec.Struct, frozen=True, kw_only=True):
    registry: list[_Registry] = []


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a repository really is; one that is insecure may speak without TLS, or with anybody's certificate."""

    address: Address
    insecure: bool = False
    pulls: Pulls = Pulls.ALL


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """A repository's own place, and those of its mirrors, which are asked first."""

    own: Place
    mirrors: tuple[Place, ...] = ()


def find_places(address: Address, environment: Mapping[str, str]) -> Places:
    """Find where a repository is; raises DeniedError for one that is blocked, ConfigError for a damaged file."""
    found = _rule(address.name, environment)
    if found is None:
        return Places(own=Place(address=address))
    rule, where = found
    if rule.blocked:
        raise DeniedError(f"{address.name} is blocked by {where}", "ask who keeps that file, or name another registry")
    own = Place(address=_moved(address, rule, rule.location), insecure=rule.insecure)
    mirrors = [
        Place(
            address=_moved(address, rule, mirror.location),
            insecure=mirror.insecure,
            pulls=Pulls.DIGESTS if rule.mirror_by_digest_only else mirror.pull_from_mirror,
        )
        for mirror in rule.mirror
    ]
    return Places(own=own, mirrors=tuple(mirrors))


def find_tls(host: str, environment: Mapping[str, str]) -> Tls:
    """Find the certificates of a registry: authorities to trust besides the system's, and who we are to it."""
    for folder in (_own(environment) / "certs.d", _SYSTEM / "certs.d", _DOCKER):
        if (folder / host).is_dir():
            return _tls(folder / host)
    return Tls()


def _tls(folder: Path) -> Tls:
    clients = []
    for certificate in sorted(folder.glob("*.cert")):
        key = certificate.with_suffix(".key")
        if not key.is_file():
            raise ConfigError(f"{certificate} has no key beside it", f"put it into {key}")
        clients.append((str(certificate), str(key)))
    return Tls(authorities=tuple(str(path) for path in sorted(folder.glob("*.crt"))), clients=tuple(clients))


def _rule(name: str, environment: Mapping[str, str]) -> tuple[_Registry, Path] | None:
    """Find what is said of the longest beginning of a name; what is read later replaces what is read before."""
    rules = {}
    for path in _files(environment):
        for rule in _read(path).registry:
            rules[rule.begins] = (rule, path)
    fitting = [begins for begins in rules if _begins(name, begins)]
    return rules[max(fitting, key=len)] if fitting else None


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    if told := environment.get("CONTAINERS_REGISTRIES_CONF"):
        yield Path(told)
        return
    own = _own(environment)
    there = [path for path in (own / "registries.conf", _SYSTEM / "registries.conf") if path.is_file()]
    yield from there[:1]  # the user's is read in place of the system's
    for folder in (_SYSTEM, own):
        yield from sorted((folder / "registries.conf.d").glob("*.conf"))


def _own(environment: Mapping[str, str]) -> Path:
    home = Path(environment.get("HOME") or Path.home())
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers"


def _read(path: Path) -> _File:
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), _File)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        hint = "mend it as containers-registries.conf(5) says, or let CONTAINERS_REGISTRIES_CONF name another file"
        raise ConfigError(f"cannot read {path}: {error}", hint) from error


def _begins(name: str, begins: str) -> bool:
    """Say whether a rule is about a name: its host, a folder of it, the repository, or `*.` and the end of a host."""
    if begins.startswith("*."):
        return name.partition("/")[0].endswith(begins[1:])
    return bool(begins) and (name == begins or name.startswith(f"{begins}/"))


def _moved(address: Address, rule: _Registry, location: str) -> Address:
    """Put a location in the place of what a name begins with."""
    if not location:
        return address
    begins = address.name.partition("/")[0] if rule.begins.startswith("*.") else rule.begins
    host, _, repository = f"{location}{address.name[len(begins) :]}".partition("/")
    return Address.of(Reference(registry=host, repository=repository))
