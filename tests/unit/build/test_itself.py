"""Tiffin as files: its own packages and all that it needs, as installed, for an interpreter that can run them."""

from __future__ import annotations

import sys

import pytest

from tiffin.build.itself import itself
from tiffin.errors import UnsupportedError
from tiffin.oci.platform import Platform
from tiffin.packages.pypi.image_python import ImagePython

MINOR = sys.version_info.minor


def python(minor: int = MINOR, platform: str = "", glibc: tuple[int, int] = (2, 41)) -> ImagePython:
    where = Platform.parse(platform) if platform else Platform.here()
    return ImagePython(version=f"3.{minor}", platform=where, glibc=glibc)


def test_all_that_it_imports_is_there_and_where_imports_find_it() -> None:
    files = itself(python())
    assert {
        "tiffin/cli/__init__.py",
        "tiffin/engine/embedded/syscalls.json",
        "tiffin_pipeline/__main__.py",
        "tiffin_serve/front/boot.py",
        "msgspec/__init__.py",
        "click/core.py",
        "mdurl/__init__.py",  # which rich needs, by way of markdown-it-py
    } <= files.keys()
    assert all(path.is_file() for path in files.values())


def test_programs_come_along_and_scripts_with_the_path_of_an_interpreter_do_not() -> None:
    files = itself(python())
    assert {path for path in files if path.startswith("bin/")} == {"bin/uv", "bin/uvx"}


def test_nothing_says_how_it_came_here() -> None:
    files = itself(python())
    assert not [path for path in files if path.endswith((".pyc", "/RECORD", "/INSTALLER", "/direct_url.json"))]
    assert not [path for path in files if path.startswith(("pytest", "tests/", "/", "..")) or ".." in path]


def test_a_python_that_tiffin_does_not_run_on_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"tiffin does not run on the environment's Python 3\.10") as caught:
        itself(python(10))
    assert caught.value.hint == 'write `version = "3.11"` or newer in `[python]`'


@pytest.mark.parametrize("other", [python(MINOR + 1), python(glibc=(2, 5))])
def test_what_is_compiled_for_another_interpreter_or_c_library_is_named(other: ImagePython) -> None:
    with pytest.raises(
        UnsupportedError, match=r"which tiffin needs, is installed for .*, and not for Python"
    ) as caught:
        itself(other)
    assert f'`version = "3.{MINOR}"`' in str(caught.value.hint)


def test_what_is_compiled_for_another_machine_is_named() -> None:
    other = "linux/arm64" if Platform.here().architecture == "amd64" else "linux/amd64"
    with pytest.raises(UnsupportedError, match=other):
        itself(python(platform=other))
