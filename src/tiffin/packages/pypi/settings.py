"""Which package indexes are asked, in uv's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec

from tiffin.errors import ConfigError

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_NOT_PASSED_ON = {
    "UV_CONFIG_FILE",
    "UV_NO_CONFIG",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_MANAGED_PYTHON",
    "UV_NO_MANAGED_PYTHON",
    "UV_PYTHON_PREFERENCE",
}
"""Variables that name files which were read before, or an interpreter where the one that counts is the image's."""


class IndexSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which indexes are asked; what is empty is left to uv's environment variables and then to its default.

    `indexes` come before `default_index`, and an entry may be `name=url`; `find_links` are folders or pages with files.
    `alike`: the newest fitting version of any index is taken, as pip does; else the first index that has a package is
    the only one asked for it, as uv does; `strategy` says otherwise, in uv's words. `explicit` indexes are asked only
    for the packages in `pins`, by name. `certificates` is a file of authorities to trust in place of the system's.
    """

    default_index: str = ""
    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    alike: bool = False
    strategy: str = ""
    explicit: tuple[str, ...] = ()
    pins: dict[str, str] = {}
    certificates: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> IndexSettings:
        """Read the settings from uv's environment variables."""
        return cls(
            default_index=environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL", ""),
            indexes=tuple((environ.get("UV_INDEX") or environ.get("UV_EXTRA_INDEX_URL", "")).split()),
            find_links=tuple(part for part in environ.get("UV_FIND_LINKS", "").split(",") if part),
            no_index=environ.get("UV_NO_INDEX", "").lower() in {"1", "true", "yes"},
            strategy=environ.get("UV_INDEX_STRATEGY", ""),
        )

    @classmethod
    def folder(cls, folder: Path) -> IndexSettings:
        """Ask nobody: everything lies in one folder."""
        return cls(find_links=(str(folder),), no_index=True)

    def over(self, other: IndexSettings) -> IndexSettings:
        """Return these settings, and the other's where these are silent; lists are put one after the other."""
        return IndexSettings(
            default_index=self.default_index or other.default_index,
            indexes=tuple(dict.fromkeys((*self.indexes, *other.indexes))),
            find_links=tuple(dict.fromkeys((*self.find_links, *other.find_links))),
            no_index=self.no_index or other.no_index,
            alike=self.alike or other.alike,
            strategy=self.strategy or other.strategy,
            explicit=tuple(dict.fromkeys((*self.explicit, *other.explicit))),
            pins=other.pins | self.pins,
            certificates=self.certificates or other.certificates,
        )

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for uv: addresses may hold passwords, so they are kept out of its arguments."""
        kept = {key: value for key, value in environ.items() if key not in _NOT_PASSED_ON}
        said = {
            "UV_DEFAULT_INDEX": self.default_index,
            "UV_INDEX": " ".join(self.indexes),
            "UV_FIND_LINKS": ",".join(_link(place) for place in self.find_links),
            "UV_NO_INDEX": "1" if self.no_index else "",
            "UV_INDEX_STRATEGY": self.strategy
            or kept.get("UV_INDEX_STRATEGY")
            or ("unsafe-best-match" if self._alike else ""),
            "SSL_CERT_FILE": self.certificates,
        }
        return kept | {key: value for key, value in said.items() if value}

    @property
    def _alike(self) -> bool:
        """Whether it matters that indexes are alike: there are several."""
        return self.alike and bool(self.indexes)

    def pinned(self, names: Iterable[str]) -> dict[str, str]:
        """Return the index, as `name=url`, of each of these packages that is to be taken from one alone."""
        entries = (*self.indexes, *self.explicit, self.default_index)
        indexes = {entry.partition("=")[0]: entry for entry in reversed(entries)}  # the first of a name counts
        found = {name: self.pins[name] for name in names if name in self.pins}
        if missing := sorted({index for index in found.values() if index not in indexes}):
            message = f"no index is called {', '.join(missing)}, and {', '.join(sorted(found))} is to come from it"
            raise ConfigError(message, "name it in `[[tool.uv.index]]`, with its url")
        return {name: indexes[index] for name, index in found.items()}

    @property
    def urls(self) -> list[str]:
        """The address of every index, with its credentials if it has any."""
        named = (*self.indexes, *self.explicit, self.default_index, *self.find_links)
        return [url for entry in named if "://" in (url := re.sub(r"^[\w.-]+=", "", entry))]


def without_credentials(text: str) -> str:
    """Return the text with user names and passwords taken out of the addresses in it."""
    return _CREDENTIALS.sub("", text)


def _link(place: str) -> str:
    """Write a folder as an address, since uv separates these by commas and a folder's name may have one."""
    return place if "://" in place else "file://" + quote(str(Path(place).absolute()))
