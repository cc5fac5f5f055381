"""uv resolves for the image; what it refuses comes out with the requirement, its place and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiffin.errors import (
    CommandError,
    ConfigError,
    DeniedError,
    IntegrityError,
    NotFoundError,
    TiffinError,
    UnavailableError,
    UnsupportedError,
)
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.refusals import NoWheelError, refusal
from tiffin.packages.pypi.requirements import Requirements
from tiffin.packages.pypi.resolve import Resolver, python_platform
from tiffin.packages.pypi.settings import IndexSettings
from wheelhouse import Index, sdist, served, wheel

LINUX = "cp311-cp311-manylinux_2_28_x86_64"
FILES = (
    wheel("app", needs=("lib>=2", "native; sys_platform == 'linux'", "windows-only; sys_platform == 'win32'")),
    wheel("lib", "1.0"),
    wheel("lib", "2.0"),
    wheel("old", needs=("lib<2",)),
    wheel("native", tag=LINUX),
    wheel("native", tag="py3-none-any"),
    wheel("native", tag="cp313-cp313-manylinux_2_28_x86_64"),
    wheel("native", tag="cp311-cp311-win_amd64"),
    sdist("source"),
    wheel("mac", tag="cp311-cp311-macosx_11_0_arm64"),
    wheel("ancient", tag="cp39-cp39-manylinux_2_17_x86_64"),
    wheel("modern", requires_python=">=3.13"),
    wheel("glib", tag="cp311-cp311-manylinux_2_39_x86_64"),
    wheel("early", "1.0a1"),
    wheel("early", "0.9"),
    wheel("deep", needs=("missing>1",)),
)


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    with served(*FILES) as running:
        yield running


@pytest.fixture
def resolver(index: Index, python: ImagePython, tmp_path: Path) -> Resolver:
    return Resolver(python=python, settings=IndexSettings(default_index=index.url), cache=tmp_path / "uv")


def names(resolver: Resolver, *lines: str) -> list[str]:
    return [found.filename for found in resolver.resolve(Requirements.of(lines))]


def test_dependencies_are_resolved_for_the_image_and_the_best_wheel_is_taken(resolver: Resolver) -> None:
    assert names(resolver, "app") == ["app-1.0-py3-none-any.whl", "lib-2.0-py3-none-any.whl", f"native-1.0-{LINUX}.whl"]


def test_hashes_and_versions_come_with_every_wheel(resolver: Resolver) -> None:
    (found,) = resolver.resolve(Requirements.of(["old; python_version < '3'", "lib==1.0"]))
    assert (found.name, found.version, found.sha256.hex) == ("lib", "1.0", FILES[1].sha256)
    assert found.url.endswith("/files/lib-1.0-py3-none-any.whl")


def test_constraints_hold_without_requiring(resolver: Resolver, tmp_path: Path) -> None:
    (tmp_path / "limits.txt").write_text("lib<2\nnative==9\n")
    (tmp_path / "r.txt").write_text("-c limits.txt\nlib\n")
    (found,) = resolver.resolve(Requirements.of_file(tmp_path / "r.txt"))
    assert found.version == "1.0"


def test_prereleases_are_taken_where_the_file_says_so(resolver: Resolver, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("--pre\nearly\n")
    assert [found.version for found in resolver.resolve(Requirements.of_file(tmp_path / "r.txt"))] == ["1.0a1"]
    assert names(resolver, "early") == ["early-0.9-py3-none-any.whl"]


def test_an_index_that_the_file_names_is_asked(index: Index, python: ImagePython, tmp_path: Path) -> None:
    nowhere = Resolver(python=python, settings=IndexSettings(), cache=tmp_path / "uv")
    (tmp_path / "r.txt").write_text(f"--index-url {index.url}\nlib\n")
    assert nowhere.resolve(Requirements.of_file(tmp_path / "r.txt"))


def test_indexes_of_uvs_environment_are_asked(
    index: Index, python: ImagePython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    assert Resolver(python=python, settings=IndexSettings(), cache=tmp_path / "uv").resolve(Requirements.of(["lib"]))


def test_a_uv_configuration_nearby_changes_nothing(
    resolver: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uv.toml").write_text('index-url = "http://127.0.0.1:1/simple"\nresolution = "lowest"\n')
    (tmp_path / "pyproject.toml").write_text('[tool.uv.pip]\nresolution = "lowest"\n')
    monkeypatch.chdir(tmp_path)
    assert names(resolver, "lib") == ["lib-2.0-py3-none-any.whl"]


def test_another_python_gets_other_wheels(resolver: Resolver, tmp_path: Path) -> None:
    other = ImagePython(version="3.13", platform=resolver.python.platform, glibc=(2, 41))
    newer = Resolver(python=other, settings=resolver.settings, cache=tmp_path / "uv")
    assert names(newer, "native", "modern", "glib; python_version < '3.13'") == [
        "modern-1.0-py3-none-any.whl",
        "native-1.0-cp313-cp313-manylinux_2_28_x86_64.whl",
    ]


def test_no_requirements_come_to_no_wheels(resolver: Resolver) -> None:
    assert names(resolver) == []


def test_a_hash_in_the_requirements_chooses_the_wheel(resolver: Resolver) -> None:
    pure = next(file for file in FILES if file.name == "native-1.0-py3-none-any.whl")
    assert names(resolver, f"native==1.0 --hash=sha256:{pure.sha256}") == [pure.name]


def test_a_hash_that_no_wheel_has_is_an_error(resolver: Resolver) -> None:
    with pytest.raises(IntegrityError, match=r"native==1\.0.*hash that its requirement allows"):
        names(resolver, f"native==1.0 --hash=sha256:{'0' * 64}")


REFUSED: dict[str, tuple[list[str], type[TiffinError], str, str]] = {
    "no such package": (["nosuch"], NotFoundError, r"^asked\[0\]: there is no package called nosuch\n", "spelling"),
    "no such package below": (["lib", "deep"], NotFoundError, r"^there is no package called missing\n", "UV_INDEX"),
    "no such version": (["lib==9"], NotFoundError, r"^asked\[0\]: there is no lib==9\n", "versions there are"),
    "no version so new": (
        ["lib>9"],
        NotFoundError,
        r"^asked\[0\]: there is no such version of lib\n.*2\.0",
        "available",
    ),
    "a conflict": (
        ["old", "app"],
        ConfigError,
        r"^asked\[0\], asked\[1\]: the requirements contradict.*lib<2",
        "loosen",
    ),
    "source only": (["source"], UnsupportedError, r"^asked\[0\]: source is there as source only", "pip wheel"),
    "another platform": (["mac"], UnsupportedError, r"^asked\[0\]: mac has no wheel for .*macosx_11_0_arm64", "base"),
    "another Python": (["ancient"], UnsupportedError, r"ancient has no wheel for Python 3\.11.*cp39", "version"),
    "a newer C library": (["glib"], UnsupportedError, r"no wheel for .*glibc 2\.36.*manylinux_2_39", "base"),
    "a newer Python": (["modern"], UnsupportedError, r"^asked\[0\]: modern needs Python >=3\.13, and", "version"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_met_is_refused_by_name_with_a_hint(name: str, resolver: Resolver) -> None:
    lines, error, words, hint = REFUSED[name]
    with pytest.raises(error) as caught:
        resolver.resolve(Requirements.of(lines, "asked"))
    assert type(caught.value) in {error, NoWheelError}
    assert re.search(words, caught.value.message, re.DOTALL)
    assert hint in (caught.value.hint or "")
    assert len(caught.value.message) < 1500


def test_an_index_that_does_not_answer_is_temporary(python: ImagePython, tmp_path: Path) -> None:
    settings = IndexSettings(default_index="http://me:secret@127.0.0.1:1/simple")
    with pytest.raises(UnavailableError, match="did not answer") as caught:
        Resolver(python=python, settings=settings, cache=tmp_path).resolve(Requirements.of(["lib"]))
    assert "secret" not in caught.value.message


def test_a_network_that_is_switched_off_is_said(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(UnavailableError, match="network is off"):
        names(resolver, "lib")


def test_uvs_other_words_are_passed_on_without_passwords(python: ImagePython) -> None:
    error = refusal("error: http://me:secret@x.test/ exploded", [], python)
    assert type(error) is CommandError
    assert "http://x.test/ exploded" in error.message


def test_a_refused_login_is_no_matter_of_trying_again(python: ImagePython) -> None:
    words = "error: Failed to fetch: `https://x.test/simple/a/`\n  cause: HTTP status client error (403 Forbidden)"
    assert type(refusal(words, [], python)) is DeniedError


def test_a_base_without_any_wheels_for_it_is_refused(python: ImagePython) -> None:
    old = ImagePython(version="3.11", platform=python.platform, glibc=(2, 12))
    with pytest.raises(UnsupportedError, match="older than any wheel"):
        python_platform(old)
