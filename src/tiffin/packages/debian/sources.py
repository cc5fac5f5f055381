"""Which mirrors of Debian's archive to ask: the project's, the environment's, or those this machine's apt asks.

Nothing is guessed: where none of the three says, the user is asked to. sources.list(5) and apt.conf(5) are read as far
as they say where Debian's own archive is and which proxy leads to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tiffin.errors import ConfigError
from tiffin.layers.deb import read_stanza
from tiffin.packages.debian.apt_conf import read_settings

MIRROR_VARIABLE = "TIFFIN_DEBIAN_MIRROR"
APT = Path("/etc/apt")
SUITES = ("bookworm", "trixie")
"""Debian 12 and 13: the suites whose archive keys are shipped here."""

_SCHEMES = ("http", "https")
_RELEASES = (*SUITES, "bullseye", "forky", "duke", "stable", "oldstable", "oldoldstable", "testing", "unstable", "sid")
_SECURITY = "-security"
_KEYS = "debian-archive"
_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>[^#]+)")


class Mirrors(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of Debian's archive and of its security archive, in the order in which they are asked.

    `proxies` maps `http` and `https` to a proxy's address, or to nothing where none must be used. `dates` is off where
    the machine's owner has told apt not to mind an index past its date, as for a mirror that is frozen on purpose.
    """

    main: tuple[str, ...]
    security: tuple[str, ...]
    proxies: dict[str, str] = {}
    dates: bool = True


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of apt's sources that is Debian's own."""

    uri: str
    suite: str
    trusted: bool
    """Whether it says that Debian's archive keys sign it."""


def find_mirrors(chosen: str | None, environment: Mapping[str, str], apt: Path = APT) -> Mirrors:
    """Find the mirrors to ask; raises ConfigError where neither project, environment nor apt names one."""
    settings = read_settings(_configuration(apt))
    proxies = _proxies(settings)
    if chosen:
        return msgspec.structs.replace(parse_mirrors(chosen, "`[image] mirror`"), proxies=proxies)
    if told := environment.get(MIRROR_VARIABLE):
        return msgspec.structs.replace(parse_mirrors(told, MIRROR_VARIABLE), proxies=proxies)
    sources = list(_sources(apt))
    main = tuple(dict.fromkeys(source.uri for source in sources if not source.suite.endswith(_SECURITY)))
    security = tuple(dict.fromkeys(source.uri for source in sources if source.suite.endswith(_SECURITY)))
    if not main:
        raise ConfigError(
            "no mirror of Debian's archive is known: apt's sources on this machine name none",
            f"set `[image] mirror` in tiffin.toml, or {MIRROR_VARIABLE}, to the address of a Debian mirror",
        )
    dates = settings.get("acquire::check-valid-until", "true").lower() not in ("false", "no", "0", "off", "without")
    return Mirrors(main=main, security=security or _beside(main), proxies=proxies, dates=dates)


def parse_mirrors(text: str, where: str) -> Mirrors:
    """Read `ADDRESS` or `ADDRESS SECURITY_ADDRESS`; the second is ADDRESS-security where it is not given."""
    words = [word.rstrip("/") for word in text.split()]
    wrong = [word for word in words if urlsplit(word).scheme not in _SCHEMES or not urlsplit(word).hostname]
    if wrong or len(words) not in (1, 2):
        raise ConfigError(
            f"{where} is not the address of a Debian mirror: {text!r}",
            "write `http://HOST/debian`, or two addresses where the security archive is somewhere else",
        )
    return Mirrors(main=(words[0],), security=(words[1],) if words[1:] else _beside(words[:1]))


def _beside(main: Sequence[str]) -> tuple[str, ...]:
    return tuple(uri + _SECURITY for uri in main)


def parse_sources(text: str) -> list[Source]:
    """Read the paragraphs of a `.sources` file that are Debian's own."""
    stanzas = map(read_stanza, re.split(r"\n[ \t]*\n", text))
    return [source for stanza in stanzas for source in _of_stanza({k.lower(): v for k, v in stanza.items()})]


def parse_list(text: str) -> list[Source]:
    """Read the lines of a `.list` file that are Debian's own."""
    found = []
    for match in filter(None, map(_LINE.match, map(str.strip, text.splitlines()))):
        options = dict(option.split("=", 1) for option in (match["options"] or "").split() if "=" in option)
        found += _debian([match["uri"]], [match["suite"]], match["components"].split(), options.get("signed-by", ""))
    return found


def _of_stanza(fields: Mapping[str, str]) -> list[Source]:
    if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
        return []
    uris, suites, components = (fields.get(name, "").split() for name in ("uris", "suites", "components"))
    return _debian(uris, suites, components, fields.get("signed-by", ""))


def _debian(uris: Sequence[str], suites: Sequence[str], components: Sequence[str], signed_by: str) -> list[Source]:
    """Keep what is Debian's: its suites, its `main`, and no other keys than its archive's."""
    if "main" not in components or (signed_by and _KEYS not in signed_by):
        return []
    return [
        Source(uri=uri.rstrip("/"), suite=suite, trusted=bool(signed_by))
        for suite in suites
        if re.split("[-/]", suite)[0] in _RELEASES and suite.partition("-")[2] in ("", "updates", "security")
        for uri in uris
    ]


def _sources(apt: Path) -> Iterator[Source]:
    """Read apt's sources; those that name Debian's keys come first."""
    paths = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    found = [
        source
        for path in paths
        if path.suffix in (".list", ".sources") and path.is_file()
        for source in (parse_sources if path.suffix == ".sources" else parse_list)(_text(path))
    ]
    for source in sorted(found, key=lambda source: not source.trusted):
        for uri in _addresses(source.uri):
            yield msgspec.structs.replace(source, uri=uri)


def _addresses(uri: str) -> Iterable[str]:
    """Follow `mirror+file:`, which names a file with one address a line (apt-transport-mirror(1))."""
    kind, _, rest = uri.partition(":")
    if kind == "mirror+file":
        path = Path(re.sub("^/+", "/", rest))
        words = map(str.split, _text(path).splitlines())
        return [line[0].rstrip("/") for line in words if line and urlsplit(line[0]).scheme in _SCHEMES]
    return [uri] if kind in _SCHEMES else []


def _configuration(apt: Path) -> str:
    """Join apt's configuration files in the order in which apt reads them."""
    paths = [*sorted((apt / "apt.conf.d").glob("*")), apt / "apt.conf"]
    return "\n".join(_text(path) for path in paths if path.is_file() and path.suffix in ("", ".conf"))


def _proxies(settings: Mapping[str, str]) -> dict[str, str]:
    told = {scheme: settings.get(f"acquire::{scheme}::proxy") for scheme in _SCHEMES}
    return {scheme: "" if proxy == "DIRECT" else proxy for scheme, proxy in told.items() if proxy}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
