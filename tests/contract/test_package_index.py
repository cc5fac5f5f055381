"""What every PackageIndex of Python packages does: an index on the network and a folder pass the same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tiffin.errors import IntegrityError, NotFoundError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.oci.platform import Platform
from tiffin.packages.index import PackageIndex, fetch_all
from tiffin.packages.pins import WheelPin
from tiffin.packages.pypi.folder_index import FolderIndex
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.requirements import Requirements
from tiffin.packages.pypi.settings import IndexSettings
from tiffin.packages.pypi.uv_index import UvIndex
from wheelhouse import File, served, wheel

PYTHON = ImagePython(version="3.12", platform=Platform.parse("linux/arm64"), glibc=(2, 41))
BEST = "cp312-cp312-manylinux_2_28_aarch64"
FILES = (
    wheel("app", needs=("lib<2",)),
    wheel("lib", "1.5"),
    wheel("lib", "2.0"),
    wheel("native", tag=BEST),
    wheel("native", tag="cp312-cp312-manylinux_2_28_x86_64"),
    wheel("native"),
    wheel("foreign", tag="cp312-cp312-win_amd64"),
)
Opens = Callable[..., PackageIndex[Requirements, WheelPin]]


@pytest.fixture(params=["network", "folder"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opens]:
    """Open an index with these files; called again, the index has others."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with served() as server:

        def of(*files: File) -> PackageIndex[Requirements, WheelPin]:
            server.files.clear()
            server.add(*files)
            for old in folder.iterdir():
                old.unlink()
            for file in files:
                file.into(folder)
            if request.param == "folder":
                return FolderIndex(folder, PYTHON, tmp_path / "cache")
            return UvIndex(PYTHON, tmp_path / "cache", IndexSettings(default_index=server.url))

        yield of


class TestPackageIndex:
    def test_requirements_come_to_pins_by_name_with_the_best_wheel_each(self, opens: Opens) -> None:
        pins = opens(*FILES).resolve(Requirements.of(["native", "app"]))
        assert [pin.filename for pin in pins] == [
            "app-1.0-py3-none-any.whl",
            "lib-1.5-py3-none-any.whl",
            f"native-1.0-{BEST}.whl",
        ]
        files = {file.name: file.data for file in FILES}
        for pin in pins:
            assert (pin.sha256, pin.size) == (Digest.of(files[pin.filename]), len(files[pin.filename]))

    def test_a_pin_becomes_a_file_with_its_bytes(self, opens: Opens) -> None:
        packages = opens(*FILES)
        pins = packages.resolve(Requirements.of(["app", "native"]))
        paths = fetch_all(packages, pins)
        assert [path.name for path in paths] == [pin.filename for pin in pins]
        assert [Digest.of(path.read_bytes()) for path in paths] == [pin.sha256 for pin in pins]

    def test_the_same_files_give_the_same_pins_from_any_index(self, opens: Opens, tmp_path: Path) -> None:
        pins = opens(*FILES).resolve(Requirements.of(["app"]))
        beside = tmp_path / "beside"
        beside.mkdir()
        for file in FILES:
            file.into(beside)
        assert FolderIndex(beside, PYTHON, tmp_path / "cache").resolve(Requirements.of(["app"])) == pins

    def test_what_nobody_has_is_not_found(self, opens: Opens) -> None:
        with pytest.raises(NotFoundError, match="no package called nosuch"):
            opens(*FILES).resolve(Requirements.of(["nosuch"]))

    def test_what_has_no_wheel_for_the_image_is_unsupported(self, opens: Opens) -> None:
        with pytest.raises(UnsupportedError, match=r"foreign has no wheel for Python 3\.12"):
            opens(*FILES).resolve(Requirements.of(["foreign"]))

    def test_a_pin_whose_file_is_gone_is_not_found(self, opens: Opens) -> None:
        (pin,) = opens(*FILES).resolve(Requirements.of(["lib<2"]))
        with pytest.raises(NotFoundError):
            opens(wheel("lib", "2.0")).fetch(pin)

    def test_a_pin_whose_file_changed_is_refused(self, opens: Opens) -> None:
        (pin,) = opens(*FILES).resolve(Requirements.of(["lib<2"]))
        with pytest.raises(IntegrityError):
            opens(wheel("lib", "1.5", padding=10)).fetch(pin)

    def test_a_pin_with_another_hash_is_refused(self, opens: Opens) -> None:
        packages = opens(*FILES)
        (pin,) = packages.resolve(Requirements.of(["lib"]))
        with pytest.raises(IntegrityError):
            packages.fetch(msgspec.structs.replace(pin, sha256=Digest.of(b"other")))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no folder of wheels"):
        FolderIndex(tmp_path / "nowhere", PYTHON, tmp_path / "cache").resolve(Requirements.of(["lib"]))
