"""What uv is told of indexes, by variables and files, holds for what it resolves and for what we download."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiffin.errors import ConfigError, DeniedError, NotFoundError
from tiffin.packages.index import fetch_all
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.pip_settings import machine_settings
from tiffin.packages.pypi.sources import read_requirements
from tiffin.packages.pypi.uv_index import UvIndex
from tiffin.packages.pypi.uv_settings import config_files, uv_settings
from wheelhouse import Index, served, wheel

LOGIN = {"UV_INDEX_MY_OWN_USERNAME": "me@work", "UV_INDEX_MY_OWN_PASSWORD": "p:w/d"}


@pytest.fixture
def public() -> Iterator[Index]:
    with served(wheel("app", needs=("shared",)), wheel("shared", "1.0"), wheel("private", "0.1")) as index:
        yield index


@pytest.fixture
def private() -> Iterator[Index]:
    with served(wheel("private", "1.0"), wheel("shared", "2.0")) as index:
        index.login = "me@work:p:w/d"
        yield index


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder in which nothing of this machine's own configuration is seen."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    folder = tmp_path / "above" / "project"
    folder.mkdir(parents=True)
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pins(project: Path, python: ImagePython, *lines: str, file: str = "requirements.txt") -> list[str]:
    """Resolve and download as a build of the project does."""
    if lines:
        write(project / file, "\n".join(lines))
    read = read_requirements(project / file)
    settings = read.settings.over(machine_settings(os.environ, project))
    index = UvIndex(python, project.parent.parent / "cache", settings)
    found = index.resolve(read)
    fetch_all(index, found)
    return [str(pin) for pin in found]


def index_table(name: str, url: str, more: str = "") -> str:
    return f'[[index]]\nname = "{name}"\nurl = "{url}"\n{more}\n'


def test_a_default_index_of_a_uv_toml_is_asked(project: Path, python: ImagePython, public: Index) -> None:
    write(project / "uv.toml", index_table("main", public.url, "default = true"))
    assert pins(project, python, "app") == ["app==1.0", "shared==1.0"]


def test_a_file_above_the_project_is_read_and_the_nearest_counts(
    project: Path, python: ImagePython, public: Index
) -> None:
    write(project.parent / "uv.toml", f'index-url = "{public.url}"')
    assert pins(project, python, "shared") == ["shared==1.0"]
    write(project / "uv.toml", "no-index = true")
    with pytest.raises(NotFoundError):
        pins(project, python, "shared")


def test_the_table_of_a_pyproject_counts_where_no_uv_toml_lies_beside_it(project: Path) -> None:
    write(project / "pyproject.toml", '[tool.uv]\nindex-url = "https://a.test/simple"')
    assert uv_settings({}, project).default_index == "https://a.test/simple"
    write(project / "uv.toml", 'index-url = "https://b.test/simple"')
    assert uv_settings({}, project).default_index == "https://b.test/simple"


def test_variables_go_over_the_project_the_project_over_the_user_and_the_user_over_the_machine(
    project: Path, tmp_path: Path
) -> None:
    environ = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}
    write(
        tmp_path / "xdg" / "uv" / "uv.toml", 'index-url = "https://machine.test"\nextra-index-url = ["https://m.test"]'
    )
    assert uv_settings(environ, project).default_index == "https://machine.test"
    write(tmp_path / "home" / ".config" / "uv" / "uv.toml", 'index-url = "https://user.test"')
    assert uv_settings(environ, project).default_index == "https://user.test"
    write(project / "uv.toml", 'index-url = "https://a.test"\n[pip]\nindex-url = "https://pip.test"')
    assert uv_settings(environ, project).default_index == "https://pip.test"
    environ |= {"UV_DEFAULT_INDEX": "https://variable.test", "UV_INDEX": "https://v.test"}
    found = uv_settings(environ, project)
    assert (found.default_index, found.indexes) == ("https://variable.test", ("https://v.test", "https://m.test"))


def test_one_file_may_be_named_and_none_may_be_wanted(project: Path, tmp_path: Path) -> None:
    write(project / "uv.toml", 'index-url = "https://project.test"')
    own = write(tmp_path / "own.toml", 'index-url = "https://own.test"')
    assert list(config_files({"UV_CONFIG_FILE": str(own)}, project)) == [own]
    assert uv_settings({"UV_CONFIG_FILE": str(own)}, project).default_index == "https://own.test"
    assert uv_settings({"UV_NO_CONFIG": "1"}, project).default_index == ""
    with pytest.raises(ConfigError, match="UV_CONFIG_FILE names"):
        uv_settings({"UV_CONFIG_FILE": str(tmp_path / "absent.toml")}, project)


@pytest.mark.parametrize("text", ["]", "index = 1", 'index = [{ name = "x" }]'])
def test_a_file_that_cannot_be_read_is_named(text: str, project: Path) -> None:
    path = write(project / "uv.toml", text)
    with pytest.raises(ConfigError, match=str(path)):
        uv_settings({}, project)


def test_credentials_of_a_named_index_are_its_own(
    project: Path, python: ImagePython, public: Index, private: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    write(project / "uv.toml", index_table("my-own", private.url) + index_table("main", public.url, "default = true"))
    assert pins(project, python, "private", "app") == ["app==1.0", "private==1.0", "shared==2.0"]
    assert private.downloads("private-1.0-py3-none-any.whl") >= 1
    assert set(public.logins) == {""}
    assert "p:w" not in "".join(path.read_text() for path in (project.parent.parent / "cache" / "urls").iterdir())


def test_credentials_of_a_netrc_are_used_however_open_it_is(
    project: Path, python: ImagePython, private: Index, tmp_path: Path
) -> None:
    write(project / "uv.toml", index_table("my-own", private.url, "default = true"))
    with pytest.raises((DeniedError, NotFoundError)):
        pins(project, python, "private")
    write(tmp_path / "home" / ".netrc", "machine 127.0.0.1 login me@work password p:w/d\n").chmod(0o644)
    assert pins(project, python, "private") == ["private==1.0"]


def test_an_explicit_index_is_asked_for_what_is_pinned_to_it(
    project: Path, python: ImagePython, public: Index, private: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_DEFAULT_INDEX", public.url)
    table = '[project]\nname = "x"\ndependencies = ["app", "private"]\n[tool.uv.sources]\n'
    index = index_table("my-own", private.url, "explicit = true").replace("[[index]]", "[[tool.uv.index]]")
    write(project / "pyproject.toml", table + index)
    assert pins(project, python, file="pyproject.toml") == ["app==1.0", "private==0.1", "shared==1.0"]
    write(project / "pyproject.toml", table + 'private = { index = "my-own" }\n' + index)
    assert pins(project, python, file="pyproject.toml") == ["app==1.0", "private==1.0", "shared==1.0"]


def test_a_pin_to_an_index_that_nobody_names_is_refused(project: Path, python: ImagePython) -> None:
    table = '[project]\nname = "x"\ndependencies = ["lib"]\n[tool.uv.sources]\nlib = { index = "gone" }'
    write(project / "pyproject.toml", table)
    with pytest.raises(ConfigError, match="no index is called gone, and lib is to come from it"):
        pins(project, python, file="pyproject.toml")


def test_flat_indexes_and_folders_are_relative_to_the_file(project: Path, python: ImagePython, tmp_path: Path) -> None:
    (tmp_path / "above" / "wheels").mkdir()
    (tmp_path / "above" / "more").mkdir()
    wheel("flat").into(tmp_path / "above" / "wheels")
    wheel("linked").into(tmp_path / "above" / "more")
    flat = index_table("flat", "wheels", 'format = "flat"')
    write(project.parent / "uv.toml", 'no-index = true\nfind-links = ["more"]\n' + flat)
    assert pins(project, python, "flat", "linked") == ["flat==1.0", "linked==1.0"]


def test_pips_indexes_are_not_asked_where_a_file_of_uv_names_one(project: Path, public: Index, private: Index) -> None:
    environ = {"PIP_INDEX_URL": private.url, "PIP_CONFIG_FILE": os.devnull}
    assert machine_settings(environ, project).default_index == private.url
    write(project / "uv.toml", f'index-url = "{public.url}"\nindex-strategy = "unsafe-best-match"')
    found = machine_settings(environ, project)
    assert found.urls == [public.url]
    assert found.environment({})["UV_INDEX_STRATEGY"] == "unsafe-best-match"
