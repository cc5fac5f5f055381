"""Debian as an index of packages: what is wanted is resolved to pins, and a pin is fetched to a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import msgspec
import pysequoia

from tiffin.durable import lock, renamed
from tiffin.errors import IntegrityError, NotFoundError, UnavailableError, UnsupportedError
from tiffin.network import shown
from tiffin.oci.digest import Digest
from tiffin.packages.debian.archive import Archive, first
from tiffin.packages.debian.closure import Universe, close
from tiffin.packages.debian.index import Index, Package, keep, kept_at
from tiffin.packages.debian.pins import PYTHONS, BasePins, Wanted
from tiffin.packages.debian.release import IndexFile, Release, check_release, debian_keys, read_release
from tiffin.packages.debian.selection import selection
from tiffin.packages.debian.sources import Mirrors
from tiffin.packages.index import DOWNLOADS
from tiffin.packages.pins import DebPin
from tiffin.progress import note, parallel, step

ARCHITECTURES = ("amd64", "arm64")

_RELEASE_LIMIT = 4 << 20
_SECURITY_POOL = "pool/updates/"
"""How paths in the security archive begin."""


class Debian:
    """Debian's archive behind some mirrors, with what it gave kept in a folder that may be deleted at any time."""

    def __init__(
        self,
        cache: Path,
        mirrors: Callable[[], Mirrors],
        keys: Callable[[], list[pysequoia.Cert]] = debian_keys,
    ) -> None:
        """Work with the folder `cache`; `mirrors` is called when one is needed: never for pins fetched before."""
        self._cache = cache
        self._find = mirrors
        self._keys = keys

    def resolve(self, wanted: Wanted) -> BasePins:
        """Resolve what is wanted against the newest indexes.

        Raises UnsupportedError for a suite, Python or architecture that is not had, NotFoundError for packages that do
        not exist, and IntegrityError for indexes that Debian has not signed. Without a network the indexes seen last
        are used, with a note.
        """
        _check(wanted)
        with step("resolve", f"debian:{wanted.suite}"):
            universe = self._universe(wanted)
            chosen = selection()
            base = close(universe, chosen.base_roots(), chosen.follows)
            roots = chosen.interpreter_roots(wanted.python) if wanted.python else ()
            python = close(universe, roots, chosen.follows, base)
            packages = close(universe, wanted.packages, chosen.follows, (*base, *python))
        return BasePins(
            suite=wanted.suite,
            python=wanted.python,
            architecture=wanted.architecture,
            base=_pins(base),
            interpreter=_pins(python),
            packages=_pins(packages),
        )

    def fetch(self, pin: DebPin) -> Path:
        """Return the package's file, checked against its digest; it is downloaded when it is not kept already."""
        target = self._pooled(pin)
        if not self.kept(pin):
            mirrors = self._mirrors.security if pin.path.startswith(_SECURITY_POOL) else self._mirrors.main
            self._archive.download(mirrors, pin.path, target, (pin.sha256, pin.size))
        return target

    def kept(self, pin: DebPin) -> Path | None:
        """Return the package's file where the cache has it; no network is asked."""
        path = self._pooled(pin)
        return path if _is_whole(path, pin) else None

    def _pooled(self, pin: DebPin) -> Path:
        return self._cache / "pool" / pin.sha256.hex / Path(pin.path).name

    def fetch_all(self, pins: Sequence[DebPin]) -> list[Path]:
        """Return the packages' files in the order of the pins, several downloaded at once."""
        total = sum(pin.size for pin in pins)
        with step("fetch", f"{len(pins)} Debian packages", total=total, unit="bytes") as running:

            def fetch(pin: DebPin) -> Path:
                path = self.fetch(pin)
                running.advance(pin.size)
                return path

            return parallel(fetch, pins, workers=DOWNLOADS)

    @cached_property
    def _mirrors(self) -> Mirrors:
        return self._find()

    @cached_property
    def _archive(self) -> Archive:
        return Archive(self._mirrors)

    def _universe(self, wanted: Wanted) -> Universe:
        suites = [wanted.suite, f"{wanted.suite}-updates", f"{wanted.suite}-security"]
        indexes = parallel(lambda suite: self._index(suite, wanted.architecture), suites)
        return Universe(indexes, f"debian:{wanted.suite}")

    def _index(self, suite: str, architecture: str) -> Index:
        """Open the index of one suite, fetching it when the release names one that is not kept."""
        mirrors = self._mirrors.security if suite.endswith("-security") else self._mirrors.main
        path = f"main/binary-{architecture}/Packages.xz"
        release = self._release(suite, mirrors)
        if path not in release.files:
            raise IntegrityError(f"{suite} has no index {path}", "use another mirror")
        expected = release.files[path]
        kept = kept_at(self._cache / "index", expected.sha256)
        if found := _opened(kept, suite):
            return found
        folder = path.rpartition("/")[0]
        name = f"{folder}/by-hash/SHA256/{expected.sha256.hex}" if release.by_hash else path
        self._keep(mirrors, f"dists/{suite}/{name}", kept, expected)
        return Index(kept, f"the index of {suite}")

    def _keep(self, mirrors: Sequence[str], path: str, kept: Path, expected: IndexFile) -> None:
        """Fetch an index and keep it boiled down; of several processes one does it and the others wait."""
        with lock(kept.with_suffix(".lock")):
            if _opened(kept, path):
                return
            with step("download", path, total=expected.size, unit="bytes"):
                packed = kept.with_suffix(".xz")
                self._archive.download(mirrors, path, packed, (expected.sha256, expected.size))
                with packed.open("rb") as file:
                    keep(file, kept, path)
                packed.unlink()

    def _release(self, suite: str, mirrors: Sequence[str]) -> Release:
        """Read the newest release; where no mirror answers, the one kept from last time serves."""
        kept = self._cache / "dists" / suite / "InRelease"
        try:
            return first(mirrors, lambda mirror: self._newest(suite, mirror, kept))
        except UnavailableError as error:
            if not kept.exists():
                raise
            release = read_release(kept.read_bytes(), self._keys(), str(kept))
            check_release(release, suite, datetime.now(UTC), str(kept), dates=False)
            note(f"{error.message}; the index of {suite} of {release.date:%Y-%m-%d}, seen last, is used")
            return release

    def _newest(self, suite: str, mirror: str, kept: Path) -> Release:
        path = f"dists/{suite}/InRelease"
        where = shown(f"{mirror}/{path}")
        try:
            signed = self._archive.read([mirror], path, _RELEASE_LIMIT)
        except NotFoundError as error:
            raise NotFoundError(
                f"{where} is not there: this is no mirror of {suite}",
                "set `[image] mirror`, as two addresses where the security archive is not beside the main one",
            ) from error
        release = read_release(signed, self._keys(), where)
        check_release(release, suite, datetime.now(UTC), where, dates=self._mirrors.dates)
        with renamed(kept) as file:
            file.write(signed)
        return release


def _opened(kept: Path, suite: str) -> Index | None:
    """Open a kept index; one that is absent or damaged is none."""
    try:
        return Index(kept, f"the index of {suite}")
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _check(wanted: Wanted) -> None:
    have = ", ".join(f"`debian:{suite}` with Python {python}" for suite, python in PYTHONS.items())
    if wanted.suite not in PYTHONS:
        raise UnsupportedError(f"debian:{wanted.suite} is not a base that is known", f"there are {have}")
    if wanted.python not in {"", PYTHONS[wanted.suite]}:
        others = f'a registry has others, such as `base = "python:{wanted.python}-slim"`, or `[python] build` names one'
        raise UnsupportedError(f"debian:{wanted.suite} has no Python {wanted.python}", f"there are {have}; {others}")
    if wanted.architecture not in ARCHITECTURES:
        raise UnsupportedError(
            f"no base is made for the architecture {wanted.architecture}", f"there are {', '.join(ARCHITECTURES)}"
        )


def _pins(packages: Sequence[Package]) -> tuple[DebPin, ...]:
    return tuple(
        DebPin(
            name=package.name,
            version=package.version,
            architecture=package.architecture,
            path=package.path,
            sha256=package.sha256,
            size=package.size,
        )
        for package in packages
    )


def _is_whole(path: Path, pin: DebPin) -> bool:
    if not path.is_file() or path.stat().st_size != pin.size:
        return False
    with path.open("rb") as file:
        return Digest.of_stream(file) == pin.sha256
