"""What pip is told about indexes, by its environment variables and config files; uv reads none of it.

Source: pip's "Configuration": files for everybody, for the user, for the environment, then PIP_CONFIG_FILE, then
variables; of each file `[global]`, over which `[install]` goes.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from tiffin.errors import ConfigError
from tiffin.packages.pypi.settings import IndexSettings
from tiffin.packages.pypi.uv_settings import uv_settings
from tiffin.progress import note

_KEYS = {"index-url", "extra-index-url", "find-links", "no-index", "cert"}
_TRUE = {"1", "y", "yes", "t", "true", "on"}


def machine_settings(environ: Mapping[str, str], folder: Path | None = None) -> IndexSettings:
    """Return what this machine says of indexes: to uv, for a project in `folder`, and where that is nothing to pip.

    Where uv's variables or files say anything of indexes, they are obeyed as uv would: pip's indexes are not asked as
    well. Its folders of wheels and its certificates are used either way. Pip takes indexes to be alike, so those of
    pip's are.
    """
    uvs, pips = uv_settings(environ, folder), pip_settings(environ)
    if uvs.default_index or uvs.indexes or uvs.no_index:
        pips = IndexSettings(find_links=pips.find_links, certificates=pips.certificates)
    if environ.get("SSL_CERT_FILE"):
        pips = msgspec.structs.replace(pips, certificates="")
    return uvs.over(pips)


def pip_settings(environ: Mapping[str, str]) -> IndexSettings:
    """Read pip's variables and config files; raises ConfigError with the file for one that cannot be read.

    Places that are not there are left out with a note, as pip leaves them out with a warning.
    """
    said = _said(environ)
    index = [place for place in map(_address, said.get("index-url", "").split()) if _is_there(place)]
    extra = [place for place in map(_address, said.get("extra-index-url", "").split()) if _is_there(place)]
    links = [os.path.expanduser(place) for place in said.get("find-links", "").split()]  # noqa: PTH111 - may be a URL
    certificates = said.get("cert", "")
    return IndexSettings(
        default_index="".join(index[:1]),
        indexes=tuple(extra),
        find_links=tuple(place for place in links if _is_there(place)),
        no_index=said.get("no-index", "").lower() in _TRUE,
        alike=True,
        certificates=certificates if certificates and _is_there(certificates) else "",
    )


def config_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files that pip reads, each over those before it; not all of them exist."""
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return
    home = Path(environ.get("HOME") or Path.home())
    for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"):
        yield Path(folder, "pip", "pip.conf")
    yield Path("/etc/pip.conf")
    if not (named and Path(named).exists()):
        yield home / ".pip" / "pip.conf"
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip", "pip.conf")
    yield Path(environ.get("VIRTUAL_ENV") or sys.prefix, "pip.conf")
    if named:
        yield Path(named)


def _said(environ: Mapping[str, str]) -> dict[str, str]:
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for path in config_files(environ):
        for name, values in _file(path).items():
            if name in sections:
                sections[name] |= values
    variables = {key: environ.get(f"PIP_{key.replace('-', '_').upper()}", "") for key in _KEYS}
    merged: dict[str, str] = {}
    for values in (*sections.values(), variables):
        merged |= {key: value for key, value in values.items() if value.strip()}
    return merged


def _file(path: Path) -> dict[str, dict[str, str]]:
    """Read the values of one file by section; a file that is not there says nothing."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text("utf-8"), str(path))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        hint = "mend it, or leave it out with PIP_CONFIG_FILE=/dev/null"
        raise ConfigError(f"cannot read pip's {path}: {' '.join(str(error).split())}", hint) from error
    return {
        section: {key.removeprefix("--").replace("_", "-"): value for key, value in parser.items(section)}
        for section in parser.sections()
    }


def _address(place: str) -> str:
    """Write an index in a folder as the address that uv wants."""
    return place if "://" in place else Path(place).expanduser().absolute().as_uri()


def _is_there(place: str) -> bool:
    """Whether a folder or file exists; what lies on the network is taken to."""
    if "://" in place and not place.startswith("file:"):
        return True
    path = Path(unquote(urlsplit(place).path) if place.startswith("file:") else place)
    if not path.exists():
        note(f"pip's settings name {path}, which is not there: it is left out")
    return path.exists()
