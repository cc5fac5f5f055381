"""Wheels with a name, a version and nothing else: they stand in a resolution for what has yet to be built."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from tiffin.packages.pypi.found import Found

_TAG = "py3-none-any"
_FIRST, _GROWTH = 1, 4
"""How many versions of a package are asked for at first, and how many times more every further time."""


class StandIns:
    """Two folders that uv is shown: stand-ins, and the real wheels that took the place of some.

    `newest` returns the newest sdist that a requirement means, and whether there is a wheel as well; `asked` are the
    versions that are asked for by name, as PEP 440 specifiers.
    """

    def __init__(
        self, folder: Path, newest: Callable[[str], tuple[Found, bool] | None], asked: Mapping[str, str]
    ) -> None:
        self._fakes, self._real = folder / "stand-ins", folder / "real"
        for path in (self._fakes, self._real):
            path.mkdir()
        self._newest = newest
        self._asked = asked
        self._sdists: dict[str, dict[str, Found]] = defaultdict(dict)
        self._wanted: dict[str, int] = {}
        self._oldest: dict[str, str] = {}

    @property
    def links(self) -> list[str]:
        """The addresses of the folders."""
        return [self._fakes.as_uri(), self._real.as_uri()]

    @property
    def names(self) -> Collection[str]:
        """The packages that there are stand-ins of."""
        return self._sdists.keys()

    def more(self, names: Collection[str]) -> bool:
        """Add stand-ins for further, older versions of these packages; say whether there were any."""
        added = [self._older(name) for name in names]
        return any(added)

    def sdist(self, found: Found) -> Found | None:
        """Return what is to be built where a stand-in was chosen."""
        return self._sdists[found.name].get(found.version) if found.url.startswith(self._fakes.as_uri()) else None

    def replace(self, found: Found, wheel: Path) -> None:
        """Put a real wheel in the place of the stand-in that was chosen."""
        (self._fakes / found.filename).unlink()
        try:
            os.link(wheel, self._real / wheel.name)
        except OSError:
            shutil.copy(wheel, self._real / wheel.name)

    def _older(self, name: str) -> bool:
        self._wanted[name] = self._wanted.get(name, 0) * _GROWTH or _FIRST
        added = 0
        while added < self._wanted[name]:
            limits = [self._asked.get(name, ""), f"<{self._oldest[name]}" if name in self._oldest else ""]
            newest = self._newest(name + ",".join(filter(None, limits)))
            if newest is None:
                break
            sdist, has_wheel = newest
            self._oldest[name] = sdist.version
            if not has_wheel:
                self._sdists[name][sdist.version] = sdist
                self._stand(sdist)
                added += 1
        return added > 0

    def _stand(self, sdist: Found) -> None:
        stem = f"{sdist.name.replace('-', '_')}-{sdist.version}"
        info = f"{stem}.dist-info"
        with zipfile.ZipFile(self._fakes / f"{stem}-{_TAG}.whl", "w") as archive:
            archive.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {sdist.name}\nVersion: {sdist.version}\n"
            )
            archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {_TAG}\n")
            archive.writestr(f"{info}/RECORD", "")
