"""What has no wheel becomes one: built apart, chosen by uv, pinned like any other, and built again byte by byte."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv

from sources import HostRoom, sdist_of, source_files, source_folder
from tiffin.errors import CommandError, ConfigError, IntegrityError, UnsupportedError
from tiffin.packages.pins import WheelPin
from tiffin.packages.pypi.from_source import FromSource
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.requirements import Requirements
from tiffin.packages.pypi.settings import IndexSettings
from tiffin.packages.pypi.sources import read_requirements
from tiffin.packages.pypi.uv_index import UvIndex
from wheelhouse import File, Index, served, wheel


def source_only(name: str, version: str = "1.0", needs: tuple[str, ...] = ()) -> File:
    return sdist_of(name, version, source_files(name, version, needs=needs))


@pytest.fixture
def index() -> Iterator[Index]:
    with served(
        wheel("tool", "2.0"), wheel("tool", "3.0"), wheel("six"), wheel("app", needs=("old<3",))
    ) as served_index:
        yield served_index


@pytest.fixture
def room() -> HostRoom:
    return HostRoom()


@pytest.fixture
def packages(index: Index, python: ImagePython, tmp_path: Path) -> UvIndex:
    return UvIndex(python, tmp_path / "cache", IndexSettings(default_index=index.url))


@pytest.fixture
def builds(packages: UvIndex, room: HostRoom, tmp_path: Path) -> FromSource:
    return FromSource(packages, room, tmp_path)


def asked(tmp_path: Path, *lines: str) -> Requirements:
    path = tmp_path / "requirements.txt"
    path.write_text("\n".join(lines) + "\n")
    return read_requirements(path)


def test_a_folder_becomes_a_wheel_with_all_that_it_needs(builds: FromSource, tmp_path: Path) -> None:
    source_folder(tmp_path / "mylib", source_files("my-lib", needs=("six",)))
    pinned = builds.resolve(asked(tmp_path, "./mylib"))
    assert [str(pin) for pin in pinned.wheels] == ["my-lib==1.0", "six==1.0"]
    assert pinned.origins["my-lib"].path == "mylib"
    assert pinned.origins["my-lib"].needs == ("six",)
    assert set(pinned.origins) == {"my-lib"}


@pytest.mark.parametrize(
    "line", ["my-lib @ ./mylib", "my_lib @ file:./mylib", "file:mylib", "./mylib ; python_version > '3'", "mylib/"]
)
def test_a_folder_may_be_named_as_pip_and_uv_have_it(line: str, builds: FromSource, tmp_path: Path) -> None:
    source_folder(tmp_path / "mylib", source_files("my-lib"))
    assert [str(pin) for pin in builds.resolve(asked(tmp_path, line)).wheels] == ["my-lib==1.0"]


def test_a_marker_that_is_false_leaves_the_folder_out(builds: FromSource, tmp_path: Path) -> None:
    source_folder(tmp_path / "mylib", source_files("my-lib"))
    pinned = builds.resolve(asked(tmp_path, "./mylib ; sys_platform == 'win32'", "six"))
    assert [str(pin) for pin in pinned.wheels] == ["six==1.0"]
    assert not pinned.origins


def test_a_wheel_and_an_sdist_of_this_machine_are_taken(builds: FromSource, room: HostRoom, tmp_path: Path) -> None:
    wheel("ready").into(tmp_path)
    source_only("packed").into(tmp_path)
    pinned = builds.resolve(asked(tmp_path, "./ready-1.0-py3-none-any.whl", "packed-1.0.tar.gz"))
    assert [str(pin) for pin in pinned.wheels] == ["packed==1.0", "ready==1.0"]
    assert pinned.origins["ready"].source == pinned.wheels[1].sha256
    assert len(room.asked) == 1


def test_of_a_package_without_wheels_the_version_that_fits_is_built(
    builds: FromSource, index: Index, room: HostRoom, tmp_path: Path
) -> None:
    for version in ("1.0", "2.0", "3.0", "3.1", "4.0"):
        index.add(source_only("old", version, needs=("six",)))
    pinned = builds.resolve(asked(tmp_path, "app"))
    assert [str(pin) for pin in pinned.wheels] == ["app==1.0", "old==2.0", "six==1.0"]
    assert pinned.origins["old"].sdist == "old-2.0.tar.gz"
    assert len(room.asked) == 1


def test_what_a_source_needs_may_be_source_only_too(builds: FromSource, index: Index, tmp_path: Path) -> None:
    index.add(source_only("outer", needs=("inner",)), source_only("inner"))
    pinned = builds.resolve(asked(tmp_path, "outer"))
    assert set(pinned.origins) == {"outer", "inner"}


def test_an_older_wheel_is_taken_before_a_newer_source(builds: FromSource, index: Index, tmp_path: Path) -> None:
    index.add(wheel("both", "1.0"), source_only("both", "2.0"))
    assert [str(pin) for pin in builds.resolve(asked(tmp_path, "both")).wheels] == ["both==1.0"]
    assert [str(pin) for pin in builds.resolve(asked(tmp_path, "both>=2")).wheels] == ["both==2.0"]


def test_a_hash_of_an_sdist_is_held(builds: FromSource, index: Index, tmp_path: Path) -> None:
    index.add(source_only("old"))
    good = index.files["old-1.0.tar.gz"].sha256
    assert builds.resolve(asked(tmp_path, f"old==1.0 --hash=sha256:{good}")).origins["old"].source.hex == good
    with pytest.raises(IntegrityError, match="none of the hashes"):
        builds.resolve(asked(tmp_path, f"old==1.0 --hash=sha256:{'0' * 64}"))


def test_a_package_that_is_nowhere_is_refused_as_before(builds: FromSource, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="there is no package called nosuch"):
        builds.resolve(asked(tmp_path, "nosuch"))


def test_what_builds_is_pinned_and_used_again_after_an_edit(
    builds: FromSource, room: HostRoom, index: Index, tmp_path: Path
) -> None:
    source_folder(tmp_path / "mylib", source_files("mylib", requires=("tool<4",)))
    first = builds.resolve(asked(tmp_path, "./mylib")).origins["mylib"]
    assert room.asked == [["tool==3.0"]]
    index.add(wheel("tool", "3.5"))
    (tmp_path / "mylib" / "mylib" / "more.py").write_text("more = 1\n")
    again = builds.renewed("mylib", first)
    assert room.asked == [["tool==3.0"]] * 2
    assert again.origin.source != first.source
    assert again.origin.requires == first.requires


def test_what_a_backend_asks_for_besides_is_there_the_next_time(
    builds: FromSource, room: HostRoom, tmp_path: Path
) -> None:
    more = "def get_requires_for_build_wheel(settings=None):\n    return ['tool==2.0']"
    source_folder(tmp_path / "mylib", source_files("mylib", extra=more))
    builds.resolve(asked(tmp_path, "./mylib"))
    assert room.asked == [[], ["tool==2.0"]]


def test_the_same_source_is_built_once(builds: FromSource, room: HostRoom, tmp_path: Path) -> None:
    source_folder(tmp_path / "mylib", source_files("mylib"))
    assert builds.resolve(asked(tmp_path, "./mylib")) == builds.resolve(asked(tmp_path, "./mylib"))
    assert len(room.asked) == 1


def test_another_machine_builds_the_very_same_wheel(
    builds: FromSource, index: Index, python: ImagePython, tmp_path: Path
) -> None:
    index.add(source_only("old"))
    source_folder(tmp_path / "mylib", source_files("mylib", requires=("tool",)))
    pinned = builds.resolve(asked(tmp_path, "./mylib", "old"))
    other = UvIndex(python, tmp_path / "other", IndexSettings(default_index=index.url))
    for pin in pinned.wheels:
        FromSource(other, HostRoom(), tmp_path).again(pin, pinned.origins[pin.name])
        assert other.kept(pin)


def test_a_build_that_depends_on_more_than_its_source_is_told_apart(
    builds: FromSource, packages: UvIndex, tmp_path: Path
) -> None:
    random = "Path('mylib/chance.py').write_text(f'chance = {os.urandom(8)!r}')"
    source_folder(tmp_path / "mylib", source_files("mylib", before=random))
    pinned = builds.resolve(asked(tmp_path, "./mylib"))
    shutil.rmtree(packages.cache / "built")
    with pytest.raises(IntegrityError, match="gives another wheel than the lock has") as caught:
        builds.again(pinned.wheels[0], pinned.origins["mylib"])
    assert "not reproducible" in (caught.value.hint or "")


def test_an_edited_source_is_not_what_was_locked(builds: FromSource, tmp_path: Path) -> None:
    source_folder(tmp_path / "mylib", source_files("mylib"))
    pinned = builds.resolve(asked(tmp_path, "./mylib"))
    (tmp_path / "mylib" / "new.py").touch()
    with pytest.raises(IntegrityError, match="mylib is not what was locked"):
        builds.again(pinned.wheels[0], pinned.origins["mylib"])


NETWORK = "import urllib.request\nurllib.request.urlopen('http://example.invalid')"
FAILURES: dict[str, tuple[dict[str, object], str, str]] = {
    "the network": ({"before": NETWORK}, "Temporary failure|Name or service|resolution", "a build has no network"),
    "a compiler": (
        {"before": "import subprocess\nsubprocess.run(['no-such-gcc'], check=True)"},
        "No such file or directory: 'no-such-gcc'",
        "it compiles",
    ),
    "a module": ({"extra": "import nosuch"}, "No module named 'nosuch'", "requires"),
    "its own mistake": ({"before": "print('half')\nraise ValueError('whole')"}, "half(.|\n)*whole", "name that"),
    "its exit": ({"before": "os._exit(0)"}, "ended without an answer", "name that"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_build_that_fails_is_shown_with_the_end_of_its_log(name: str, builds: FromSource, tmp_path: Path) -> None:
    options, words, hint = FAILURES[name]
    source_folder(tmp_path / "mylib", source_files("mylib", **options))  # type: ignore[arg-type]
    with pytest.raises(CommandError, match=words) as caught:
        builds.resolve(asked(tmp_path, "./mylib"))
    assert caught.value.message.startswith("./mylib could not be built into a wheel\n")
    assert hint in (caught.value.hint or "")


def test_a_build_floods_neither_memory_nor_disk(builds: FromSource, tmp_path: Path) -> None:
    loud = "for _ in range(100):\n    print('x' * 100_000)\nraise ValueError('enough')"
    source_folder(tmp_path / "mylib", source_files("mylib", before=loud))
    with pytest.raises(CommandError, match="enough") as caught:
        builds.resolve(asked(tmp_path, "./mylib"))
    assert len(caught.value.message) < 10_000


def test_a_wheel_for_another_python_is_refused(builds: FromSource, tmp_path: Path) -> None:
    source_folder(tmp_path / "mylib", source_files("mylib", tag="cp39-cp39-win_amd64"))
    with pytest.raises(UnsupportedError, match=r"does not run on Python 3\.11"):
        builds.resolve(asked(tmp_path, "./mylib"))


def test_an_sdist_that_gives_another_package_is_refused(builds: FromSource, index: Index, tmp_path: Path) -> None:
    index.add(sdist_of("old", "1.0", source_files("numpy", "9.9")))
    with pytest.raises(IntegrityError, match=r"gave a wheel of numpy 9\.9"):
        builds.resolve(asked(tmp_path, "old"))


def test_a_folder_with_another_name_than_asked_for_is_refused(builds: FromSource, tmp_path: Path) -> None:
    source_folder(tmp_path / "mylib", source_files("other"))
    with pytest.raises(ConfigError, match=r"mylib was asked for, and .* is other"):
        builds.resolve(asked(tmp_path, "mylib @ ./mylib"))


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("./nosuch", "NotFoundError", "No such file"),
        ("./empty", "ConfigError", "neither pyproject.toml nor setup.py"),
        ("./notes.zip", "ConfigError", "neither a wheel nor an sdist"),
        ("-e ./empty", "UnsupportedError", "is editable"),
        ("x @ git+https://example.invalid/x", "UnsupportedError", "cannot be locked"),
    ],
)
def test_what_is_no_source_is_refused_with_its_place(
    line: str, error: str, words: str, builds: FromSource, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.zip").touch()
    with pytest.raises(Exception, match=words) as caught:
        builds.resolve(asked(tmp_path, line))
    assert type(caught.value).__name__ == error
    assert getattr(caught.value, "hint", "")


def test_a_malicious_build_sees_and_writes_nothing_of_this_machine(builds: FromSource, tmp_path: Path) -> None:
    evil = """\
for path in ('/etc/tiffin-was-here', os.path.expanduser('~/tiffin-was-here'), '/usr/tiffin-was-here'):
    try:
        Path(path).write_text('x')
        raise SystemExit('wrote ' + path)
    except OSError:
        pass"""
    source_folder(tmp_path / "mylib", source_files("mylib", before=evil))
    pinned: list[WheelPin] = list(builds.resolve(asked(tmp_path, "./mylib")).wheels)
    assert [str(pin) for pin in pinned] == ["mylib==1.0"]
    assert not any(Path(path).exists() for path in ("/etc/tiffin-was-here", os.path.expanduser("~/tiffin-was-here")))  # noqa: PTH111


PYLOCK = 'lock-version = "1.0"\ncreated-by = "test"\n'


def test_sources_of_a_pylock_are_built(builds: FromSource, index: Index, tmp_path: Path) -> None:
    index.add(source_only("old"))
    source_only("beside").into(tmp_path)
    source_folder(tmp_path / "libs" / "mylib", source_files("mylib", needs=("ignored",)))
    hashes = f'hashes = {{ sha256 = "{index.files["old-1.0.tar.gz"].sha256}" }}'
    packages = [
        'name = "mylib"\ndirectory = { path = "libs/mylib", editable = true }',
        f'name = "old"\nversion = "1.0"\nsdist = {{ url = "https://gone.invalid/old-1.0.tar.gz", {hashes} }}',
        'name = "beside"\narchive = { path = "beside-1.0.tar.gz", hashes = { sha256 = "ab" } }',
    ]
    (tmp_path / "pylock.toml").write_text(PYLOCK + "".join(f"[[packages]]\n{each}\n" for each in packages))
    pinned = builds.resolve(read_requirements(tmp_path / "pylock.toml"))
    assert [str(pin) for pin in pinned.wheels] == ["beside==1.0", "mylib==1.0", "old==1.0"]
    assert {origin.path or origin.sdist for origin in pinned.origins.values()} == {
        "beside-1.0.tar.gz",
        "libs/mylib",
        "old-1.0.tar.gz",
    }


def more(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_a_workspace_of_uv_comes_with_its_members(
    builds: FromSource, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source_folder(tmp_path, source_files("app"))
    source_folder(tmp_path / "libs" / "member", source_files("member", needs=("six",)))
    more(tmp_path / "libs" / "member" / "pyproject.toml", 'dependencies = ["six"]\n')
    more(tmp_path / "pyproject.toml", 'requires-python = ">=3.11"\ndependencies = ["member"]\n[tool.uv]\n')
    more(tmp_path / "pyproject.toml", 'workspace.members = ["libs/*"]\nsources.member.workspace = true\n')
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    subprocess.run([uv.find_uv_bin(), "lock", "-q", "--project", tmp_path, "--cache-dir", tmp_path / "uv"], check=True)
    shutil.rmtree(tmp_path / "uv")
    pinned = builds.resolve(read_requirements(tmp_path / "pyproject.toml"))
    assert [str(pin) for pin in pinned.wheels] == ["app==1.0", "member==1.0", "six==1.0"]
    assert pinned.origins["app"].path == "."


def test_no_requirements_come_to_nothing(builds: FromSource) -> None:
    assert builds.resolve(Requirements()).wheels == ()
