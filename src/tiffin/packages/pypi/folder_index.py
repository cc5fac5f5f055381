"""A folder of wheels as the only index: for machines without a network, and for tests."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tiffin.errors import IntegrityError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.packages.pins import WheelPin
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.requirements import Requirements
from tiffin.packages.pypi.resolve import Resolver
from tiffin.packages.pypi.settings import IndexSettings


class FolderIndex:
    """A PackageIndex over one folder; its files are used where they are and nothing else is asked."""

    def __init__(self, folder: Path, python: ImagePython, cache: Path) -> None:
        """Resolve for `python` over the wheels in `folder`; uv keeps what it read of them in `cache/uv`."""
        self._folder = folder
        self._resolver = Resolver(python=python, settings=IndexSettings.folder(folder), cache=cache / "uv")

    def resolve(self, requirements: Requirements) -> list[WheelPin]:
        """Return the wheels that the requirements come to, by name; see `refusals` for what is raised."""
        if not self._folder.is_dir():
            raise NotFoundError(f"no folder of wheels at {self._folder}", "make it with `pip wheel -w FOLDER …`")
        settings = msgspec.structs.replace(requirements.settings, default_index="", indexes=(), find_links=())
        requirements = msgspec.structs.replace(requirements, settings=settings)
        found = self._resolver.resolve(requirements)
        return [each.pin((self._folder / each.filename).stat().st_size) for each in found]

    def fetch(self, pin: WheelPin) -> Path:
        """Return the file in the folder; raises NotFoundError or IntegrityError where it is not the pinned one."""
        path = self._folder / pin.filename
        try:
            with path.open("rb") as file:
                found = Digest.of_stream(file)
        except OSError as error:
            raise NotFoundError(
                f"cannot read {path}: {error.strerror}", "put the wheel there, or lock again"
            ) from error
        if found != pin.sha256:
            message = f"{path} is not the file that was pinned: the lock has {pin.sha256}, the folder {found}"
            raise IntegrityError(message, "find out why it changed; `tiffin lock` pins what is there now")
        return path
