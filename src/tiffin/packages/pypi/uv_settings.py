"""What uv is told about indexes, by its environment variables and its configuration files.

uv itself is run without looking for a configuration, since it would look where tiffin was started and not where the
project lies; so both it and our own downloads get what is read here. Source: uv's "Configuration files", "Package
indexes" and "Environment variables".
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from tiffin.errors import ConfigError
from tiffin.packages.pypi.settings import IndexSettings

_TRUE = {"1", "true", "yes", "on", "y", "t"}


class _Index(msgspec.Struct, frozen=True, rename="kebab"):
    """An `[[index]]`."""

    url: str
    name: str = ""
    default: bool = False
    explicit: bool = False
    format: str = "simple"


class _Table(msgspec.Struct, frozen=True, rename="kebab"):
    """What of uv.toml, of its `[pip]`, or of `[tool.uv]` is about indexes."""

    index: tuple[_Index, ...] = ()
    index_url: str = ""
    extra_index_url: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    index_strategy: str = ""
    pip: dict[str, Any] = {}


def uv_settings(environ: Mapping[str, str], folder: Path | None = None) -> IndexSettings:
    """Return what uv would know of indexes in a project's folder: variables, then the project's file, then others.

    Raises ConfigError with the file for one that cannot be read.
    """
    settings = _with_logins(IndexSettings.of(environ), environ)
    for path, table in _tables(environ, folder):
        settings = settings.over(_with_logins(_settings(path, table), environ))
    return settings


def config_files(environ: Mapping[str, str], folder: Path | None = None) -> Iterator[Path]:
    """Yield the files that uv would read, each before what it goes over; not all of them exist."""
    if environ.get("UV_NO_CONFIG", "").lower() in _TRUE:
        return
    if named := environ.get("UV_CONFIG_FILE", ""):
        yield Path(named)
        return
    for place in (folder.resolve(), *folder.resolve().parents) if folder else ():
        if (place / "uv.toml").is_file():
            yield place / "uv.toml"
            break
        if (place / "pyproject.toml").is_file() and "uv" in _read(place / "pyproject.toml").get("tool", {}):
            yield place / "pyproject.toml"
            break
    home = Path(environ.get("HOME") or Path.home())
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "uv", "uv.toml")
    shared = [Path(place, "uv", "uv.toml") for place in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")]
    yield next((path for path in shared if path.is_file()), Path("/etc/uv/uv.toml"))


def _tables(environ: Mapping[str, str], folder: Path | None) -> Iterator[tuple[Path, _Table]]:
    for path in config_files(environ, folder):
        if not path.is_file():
            if "UV_CONFIG_FILE" in environ:
                raise ConfigError(f"UV_CONFIG_FILE names {path}, which is not there", "name a uv.toml, or unset it")
            continue
        read = _read(path)
        table = read.get("tool", {}).get("uv", {}) if path.name == "pyproject.toml" else read
        pip = table.get("pip", {}) if isinstance(table, dict) else {}
        try:
            for part in (pip, table):  # `uv pip` takes its own section first
                yield path, msgspec.convert(part, _Table)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{path}: {error}", "see uv's documentation of settings") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot read uv's {path}: {error}", "mend it, or leave it out with UV_NO_CONFIG=1"
        ) from error


def _settings(path: Path, table: _Table) -> IndexSettings:
    simple = [each for each in table.index if each.format == "simple"]
    flat = [each.url for each in table.index if each.format == "flat"]
    defaults = [_entry(each, path) for each in simple if each.default]
    return IndexSettings(
        default_index="".join(defaults[:1]) or _address(table.index_url, path),
        indexes=(
            *(_entry(each, path) for each in simple if not each.default and not each.explicit),
            *(_address(url, path) for url in table.extra_index_url),
        ),
        explicit=tuple(_entry(each, path) for each in simple if each.explicit),
        find_links=tuple(_address(place, path) for place in (*flat, *table.find_links)),
        no_index=table.no_index,
        strategy=table.index_strategy,
    )


def _entry(index: _Index, path: Path) -> str:
    address = _address(index.url, path)
    return f"{index.name}={address}" if index.name else address


def _address(place: str, path: Path) -> str:
    """Write a folder, which is relative to the file that names it, as an address."""
    return place if "://" in place or not place else (path.parent.absolute() / place).as_uri()


def _with_logins(settings: IndexSettings, environ: Mapping[str, str]) -> IndexSettings:
    """Put UV_INDEX_<NAME>_USERNAME and _PASSWORD into the addresses that they are for."""

    def known(entry: str) -> str:
        name, found, url = entry.partition("=")
        if not found or "://" in name:
            return entry
        variable = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
        user, password = environ.get(f"{variable}_USERNAME", ""), environ.get(f"{variable}_PASSWORD", "")
        parts = urlsplit(url)
        if not (user or password) or parts.username:
            return entry
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
        return f"{name}={parts._replace(netloc=login + parts.netloc).geturl()}"

    return msgspec.structs.replace(
        settings,
        default_index=known(settings.default_index),
        indexes=tuple(map(known, settings.indexes)),
        explicit=tuple(map(known, settings.explicit)),
    )
