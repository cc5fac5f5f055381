"""What another tool has locked is taken as it is: exactly its wheels that fit the image, by hash."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv

from tiffin.errors import ConfigError, TiffinError, UnsupportedError
from tiffin.network import Patience
from tiffin.packages.index import fetch_all
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.locked import locked_wheels
from tiffin.packages.pypi.settings import IndexSettings
from tiffin.packages.pypi.sources import read_requirements
from tiffin.packages.pypi.uv_index import UvIndex
from wheelhouse import Index, served, wheel

LINUX = "cp311-cp311-manylinux_2_28_x86_64"
OLD = wheel("lib", "1.0")
NEW = wheel("lib", "2.0")
NATIVE = wheel("native", tag=LINUX)
FILES = (
    wheel("app", needs=("lib<2", "native; sys_platform == 'linux'", "windows-only; sys_platform == 'win32'")),
    OLD,
    NEW,
    NATIVE,
    wheel("native", tag="cp311-cp311-win_amd64"),
    wheel("native", tag="cp313-cp313-manylinux_2_28_x86_64"),
    wheel("windows-only"),
    wheel("linter"),
)
A = "a" * 64


@pytest.fixture
def index() -> Iterator[Index]:
    with served(*FILES) as running:
        yield running


def project(folder: Path, index: Index, dependencies: str = '"app"') -> Path:
    """Make a project of uv's, locked by uv."""
    path = folder / "pyproject.toml"
    path.write_text(
        f'[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [{dependencies}]\n'
        '[dependency-groups]\ndev = ["linter"]\n'
        f'[[tool.uv.index]]\nurl = "{index.url}"\ndefault = true\n'
    )
    subprocess.run([uv.find_uv_bin(), "lock", "--project", folder, "--quiet"], check=True)
    return path


def names(path: Path, python: ImagePython) -> list[str]:
    lock = read_requirements(path).lock
    assert lock
    return [found.filename for found in locked_wheels(lock, python)]


def test_the_lock_beside_a_pyproject_is_taken_without_developers_and_other_platforms(
    index: Index, python: ImagePython, tmp_path: Path
) -> None:
    path = project(tmp_path, index)
    assert names(path, python) == ["app-1.0-py3-none-any.whl", OLD.name, NATIVE.name]
    assert names(tmp_path / "uv.lock", python) == names(path, python)


def test_wheels_of_a_lock_arrive_although_the_index_has_newer_ones(
    index: Index, python: ImagePython, tmp_path: Path
) -> None:
    asked = read_requirements(project(tmp_path, index))
    packages = UvIndex(python, tmp_path / "cache", IndexSettings(default_index="http://127.0.0.1:1/simple"))
    pins = packages.resolve(asked)
    assert [path.name for path in fetch_all(packages, pins)] == [
        "app-1.0-py3-none-any.whl",
        OLD.name,
        NATIVE.name,
    ]
    assert {pin.filename: pin.size for pin in pins}[OLD.name] == len(OLD.data)


def test_a_lock_of_a_network_that_is_not_here_is_met_by_the_index_that_is(
    index: Index, python: ImagePython, tmp_path: Path
) -> None:
    pauses: list[float] = []
    path = tmp_path / "pylock.toml"
    address = f"http://127.0.0.1:1/{OLD.name}"
    path.write_text(pylock(f'wheels = [{{ url = "{address}", hashes = {{ sha256 = "{OLD.sha256}" }} }}]'))
    packages = UvIndex(
        python, tmp_path / "cache", IndexSettings(default_index=index.url), Patience(pause=pauses.append)
    )
    (pin,) = packages.resolve(read_requirements(path))
    assert packages.fetch(pin).read_bytes() == OLD.data


def test_a_changed_project_asks_for_a_new_uv_lock(index: Index, python: ImagePython, tmp_path: Path) -> None:
    path = project(tmp_path, index)
    path.write_text(path.read_text().replace('["app"]', '["app", "linter>=1"]'))
    with pytest.raises(ConfigError, match=r"uv\.lock is older than pyproject\.toml: linter changed") as caught:
        names(path, python)
    assert "uv lock" in (caught.value.hint or "")


def test_extras_and_markers_of_a_project_leave_its_lock_current(
    index: Index, python: ImagePython, tmp_path: Path
) -> None:
    path = project(tmp_path, index, '"app>=1, <3", "windows_only>0; sys_platform == \'win32\'"')
    path.write_text(path.read_text().replace("[dep", '[project.optional-dependencies]\nplot = ["linter"]\n[dep'))
    subprocess.run([uv.find_uv_bin(), "lock", "--project", tmp_path, "--quiet"], check=True)
    assert OLD.name in names(path, python)


def pylock(package: str, head: str = "", version: str = "1.0") -> str:
    head = f'lock-version = "{version}"\ncreated-by = "hand"\n{head}\n'
    return head + f'[[packages]]\nname = "lib"\nversion = "1.0"\n{package}\n'


def test_a_pylock_may_name_wheels_beside_it(python: ImagePython, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    OLD.into(tmp_path / "wheels")
    path = tmp_path / "pylock.prod.toml"
    path.write_text(pylock(f'wheels = [{{ path = "wheels/{OLD.name}", hashes = {{ sha256 = "{OLD.sha256}" }} }}]'))
    packages = UvIndex(python, tmp_path / "cache", IndexSettings(no_index=True))
    (pin,) = packages.resolve(read_requirements(path))
    assert pin.size == len(OLD.data)
    assert packages.fetch(pin).read_bytes() == OLD.data


def test_default_groups_of_a_pylock_are_in_and_extras_are_not(python: ImagePython, tmp_path: Path) -> None:
    there = f'{{ url = "https://x.test/lib-1.0-py3-none-any.whl", hashes = {{ sha256 = "{A}" }} }}'
    path = tmp_path / "pylock.toml"
    for marker, count in (("'dev' in dependency_groups", 1), ("'plot' in extras", 0)):
        path.write_text(
            pylock(f'marker = "{marker}"\nwheels = [{there}]', 'default-groups = ["dev"]\nextras = ["plot"]')
        )
        assert len(names(path, python)) == count


GOOD = f'{{ url = "https://x.test/lib-1.0-py3-none-any.whl", hashes = {{ sha256 = "{A}" }} }}'
REFUSED: dict[str, tuple[str, str, type[TiffinError], str]] = {
    "no TOML": ("]", "", ConfigError, "line"),
    "no hash": ('wheels = [{ url = "https://x.test/lib-1.0-py3-none-any.whl", hashes = {} }]', "", ConfigError, "hash"),
    "a weak hash": (
        'wheels = [{ url = "https://x.test/lib-1.0-py3-none-any.whl", hashes = { md5 = "ab" } }]',
        "",
        UnsupportedError,
        "has no sha256",
    ),
    "a hash cut short": (f"wheels = [{GOOD}]".replace(A, "abc"), "", ConfigError, "not a sha256: 'abc'"),
    "a name that leads away": (
        f"wheels = [{GOOD}]".replace("url", 'name = "../lib-1.0-py3-none-any.whl", url'),
        "",
        ConfigError,
        "wheel filename",
    ),
    "a name that is none": (
        f"wheels = [{GOOD}]".replace("lib-1.0-py3-none-any", "lib"),
        "",
        ConfigError,
        "wheel filename",
    ),
    "a source": (
        f'sdist = {{ url = "https://x.test/lib-1.0.tar.gz", hashes = {{ sha256 = "{A}" }} }}',
        "",
        UnsupportedError,
        "lib is locked to its source",
    ),
    "a folder": ('directory = { path = "." }', "", UnsupportedError, "lib is locked to its source"),
    "a repository": (
        'vcs = { type = "git", url = "https://x.test/lib", commit-id = "abc" }',
        "",
        UnsupportedError,
        "lib is locked to a vcs",
    ),
    "no wheel that fits": (
        f"wheels = [{GOOD}]".replace("py3-none", "cp39-cp39"),
        "",
        UnsupportedError,
        "No wheel found",
    ),
    "another Python": (
        f"wheels = [{GOOD}]",
        'requires-python = ">=3.13"',
        UnsupportedError,
        r"is not for Python 3\.11",
    ),
    "another platform": (
        f"wheels = [{GOOD}]",
        "environments = [\"sys_platform == 'win32'\"]",
        UnsupportedError,
        "is not for Python",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_wheel_of_the_image_with_a_hash_is_refused(name: str, python: ImagePython, tmp_path: Path) -> None:
    package, head, error, words = REFUSED[name]
    path = tmp_path / "pylock.toml"
    path.write_text(pylock(package, head))
    with pytest.raises(error, match=words) as caught:
        names(path, python)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_later_format_is_not_misread(python: ImagePython, tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(pylock(f"wheels = [{GOOD}]", version="2.0"))
    with pytest.raises(ConfigError, match=r"pylock\.toml.*2\.0"):
        names(path, python)
