"""Package indexes on the network: uv resolves, we fetch; a pin never says where its file is, so that is looked up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tiffin.durable import room_in
from tiffin.errors import DeniedError, IntegrityError, NotFoundError, TiffinError, UnavailableError
from tiffin.network import PATIENCE, Hints, Patience
from tiffin.oci.digest import Digest
from tiffin.packages.download import Wanted, download
from tiffin.packages.index import DOWNLOADS
from tiffin.packages.pins import WheelPin
from tiffin.packages.pypi.found import Found
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.pip_settings import machine_settings
from tiffin.packages.pypi.requirements import Requirements
from tiffin.packages.pypi.resolve import Resolver
from tiffin.packages.pypi.settings import IndexSettings, without_credentials
from tiffin.packages.web import Web
from tiffin.progress import parallel, step

HINTS = Hints(
    absent="run `tiffin lock` to look for it again",
    denied="put the credentials into the index's address or into ~/.netrc",
    busy="check the network and the index's address, then try again",
    refused="check the index's address",
    changed="find out why it changed; `tiffin lock` pins what is there now",
)


class UvIndex:
    """A PackageIndex over whatever indexes uv is pointed at, with a cache folder of its own.

    `cache/wheels/<sha256>/<filename>` are verified wheels, `cache/urls/<sha256>` is where one was last seen, and
    `cache/uv` is uv's.
    """

    def __init__(
        self, python: ImagePython, cache: Path, settings: IndexSettings | None = None, patience: Patience = PATIENCE
    ) -> None:
        """Resolve for `python` over the indexes in `settings`, by default what this machine tells uv and pip."""
        settings = settings if settings is not None else machine_settings(os.environ)
        self.resolver = Resolver(python=python, settings=settings, cache=cache / "uv")
        self.cache = cache
        self._web = Web(HINTS, settings.urls, certificates=settings.certificates, patience=patience)

    def resolve(self, requirements: Requirements) -> list[WheelPin]:
        """Return the wheels that the requirements come to, by name; see `refusals` for what is raised."""
        with step("resolve", ", ".join(requirement.name for requirement in requirements.wanted)):
            return self.pinned(self.resolver.resolve(requirements))

    def pinned(self, found: Sequence[Found]) -> list[WheelPin]:
        """Return the pins of wheels that were found, and remember where they are."""
        self._remember(found)
        return parallel(self._sized, found, workers=DOWNLOADS)

    def locate(self, pins: Sequence[WheelPin]) -> None:
        """Ask uv once where those pins are that are neither in the cache nor seen before."""
        unknown = [pin for pin in pins if self.kept(pin) is None and not self._seen(pin.sha256).exists()]
        if unknown:
            with step("locate", f"{len(unknown)} wheels"):
                self._remember(self.resolver.find(unknown))

    def fetch(self, pin: WheelPin) -> Path:
        """Return the pinned wheel, downloading it where the cache lacks it.

        Raises IntegrityError where the index has another file under its name, NotFoundError where it has none,
        UnavailableError where it does not answer.
        """
        return self.kept(pin) or self._bring(pin, pin.size)

    def kept(self, pin: WheelPin) -> Path | None:
        """Return the pinned wheel where the cache has it; no network is asked."""
        path = self.place(pin.sha256, pin.filename)
        return path if path.exists() and path.stat().st_size == pin.size else None

    def place(self, sha256: Digest, filename: str) -> Path:
        """Where a file with this digest is kept."""
        return self.cache / "wheels" / sha256.hex / filename

    def bring(self, sdist: Found) -> Path:
        """Return an sdist, from the cache, from where it was found or from where the index has it now."""
        target = self.place(sdist.sha256, sdist.filename)
        if target.exists():
            return target
        wanted = Wanted(name=sdist.filename, sha256=sdist.sha256, size=sdist.size)
        try:
            if sdist.url:
                download(self._web, sdist.url, wanted, target)
                return target
        except (NotFoundError, DeniedError, UnavailableError):
            pass  # another tool's lock may name a host that this network cannot reach
        newest = self.resolver.newest(f"{sdist.name}==={sdist.version}", IndexSettings())
        if newest is None or newest[0].sha256 != sdist.sha256:
            message = f"{sdist.filename} with {sdist.sha256} is not on the index any more"
            raise NotFoundError(message, "run `tiffin lock` to choose another")
        download(self._web, newest[0].url, wanted, target)
        return target

    def _bring(self, pin: WheelPin, size: int | None) -> Path:
        """Download a wheel from where it was seen last, and where that does not give it, from where it is now."""
        wanted = Wanted(name=pin.filename, sha256=pin.sha256, size=size)
        target, url = self.place(pin.sha256, pin.filename), ""
        if seen := self._last_seen(pin):
            try:
                download(self._web, seen, wanted, target)
            except (NotFoundError, DeniedError, IntegrityError):
                self._seen(pin.sha256).unlink(missing_ok=True)  # the address is stale: ask where it is now
            except UnavailableError:
                url = self._elsewhere(pin)  # another tool's lock may name a host that this network cannot reach
                if url in {"", seen}:
                    raise
            else:
                return target
        download(self._web, url or self._find(pin), wanted, target)
        return target

    def _elsewhere(self, pin: WheelPin) -> str:
        try:
            return self._find(pin)
        except TiffinError:
            return ""

    def _find(self, pin: WheelPin) -> str:
        found = self.resolver.find([pin], anew=True)
        self._remember(found)
        for each in found:
            if each.sha256 == pin.sha256:
                return each.url
        if other := next((each for each in found if each.filename == pin.filename), None):
            message = f"{pin.filename} changed on the index: the lock has {pin.sha256}, the index {other.sha256}"
            raise IntegrityError(message, "find out why it changed; `tiffin lock` pins what is there now")
        raise NotFoundError(f"{pin.filename} is not on the index any more", "run `tiffin lock` to choose another")

    def _sized(self, found: Found) -> WheelPin:
        """Make the pin; where neither the index's page nor its server tells the size, the file is fetched for it."""
        if found.size is not None:
            return found.pin(found.size)
        target = self.place(found.sha256, found.filename)
        size = target.stat().st_size if target.exists() else self._web.size(found.url)
        if size is None:
            size = self._bring(found.pin(0), None).stat().st_size
        return found.pin(size)

    def _seen(self, sha256: Digest) -> Path:
        return self.cache / "urls" / sha256.hex

    def _last_seen(self, pin: WheelPin) -> str:
        try:
            url = self._seen(pin.sha256).read_text("utf-8")
        except OSError:
            return ""
        return url.strip() if url.endswith("\n") else ""

    def _remember(self, found: Sequence[Found]) -> None:
        """Keep addresses, without credentials: hints, so that one which is lost, cut off or stale costs a question."""
        with room_in(self.cache):
            (self.cache / "urls").mkdir(parents=True, exist_ok=True)
            for each in found:
                self._seen(each.sha256).write_text(without_credentials(each.url) + "\n", "utf-8")
