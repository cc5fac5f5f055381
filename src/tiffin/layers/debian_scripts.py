"""What a package's maintainer scripts would do, read and never run.

`update-alternatives --install` is understood, and so is what says or does nothing; everything else must have been
reviewed (`debian_scripts.toml`), or the package is refused by name.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources

import msgspec

from tiffin.errors import UnsupportedError


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """A link that may lead to one of several files; the highest priority wins (update-alternatives(1))."""

    link: str
    name: str
    path: str
    priority: int


class Reviewed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Packages whose scripts a person has read: what they do, why an image is right without, and links made instead."""

    packages: tuple[str, ...]
    does: str
    why: str
    links: dict[str, str] = {}


class Reviews(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `debian_scripts.toml` says."""

    sections: dict[str, str]
    reviewed: tuple[Reviewed, ...]

    def of(self, package: str) -> Reviewed | None:
        """Return the review of a package's scripts."""
        for review in self.reviewed:
            if any(fnmatchcase(package, pattern) for pattern in review.packages):
                return review
        return None


_SECTION = re.compile(r"# Automatically added by (\w+).*?# End automatically added section", re.DOTALL)
_TEST = r"""(?:\[ ["']?\$\{?[12]:?-?\}?["']? !?= ["']?[\w-]*["']? \]|\[ -[nz] ["']?\$\{?2\}?["']? \])"""
_WORD = r"""["']?[\w*-]+["']?"""
_PLAIN = r"[^;&|$`<>()]*"
_HARMLESS = re.compile(
    "|".join(
        (
            r"set [-+][eux]+|exit [01]|:|true|esac|;;|fi|then|else|[{}]|ldconfig",
            r"""case ["']?\$\{?1\}?["']? in""",
            rf"\(?\s?{_WORD}(?:\s?\|\s?{_WORD})*\s?\)(?: ?;;)?",
            rf"(?:el)?if {_TEST}(?: (?:\|\||&&) {_TEST})* ?(?:; ?then)?",
            r"""(?:>&2 )?echo (?=.*unknown argument)(?:"(?:[^"$`\\]|\\.|\$[@*012])*"|'[^']*')(?: 1?> ?&2)?""",
            rf"update-alternatives {_PLAIN}--remove(?:-all)? {_PLAIN}",
        )
    )
)
"""Commands, each on a line of its own, that say something, do nothing, or undo what an earlier version did."""
_HARMLESS_DIVERSION = re.compile(r"\.usr-is-merged\b|--remove\b")
"""What guards a file's move from / to /usr (DEP 17); here both are one place from the start."""
_INSTALL = re.compile(r"update-alternatives\b[^;&|]*--install\b")


@cache
def reviews() -> Reviews:
    """Read the reviews that are shipped with tiffin."""
    text = resources.files("tiffin.layers").joinpath("debian_scripts.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), Reviews)


def read_scripts(package: str, scripts: Mapping[str, str], known: Reviews) -> tuple[list[Alternative], dict[str, str]]:
    """Return the alternatives that a package's scripts would register, and the links that its review gives instead.

    Raises UnsupportedError that names the package when its scripts do more.
    """
    review = known.of(package)
    alternatives: list[Alternative] = []
    for command in _commands(scripts.get("postinst", ""), known):
        if _INSTALL.match(command):
            alternatives += _alternatives(package, command, excused=review is not None)
        elif review is None and not _HARMLESS.fullmatch(command):
            raise _refusal(package, "postinst", command)
    for command in _commands(scripts.get("preinst", ""), known):
        if review is None and "dpkg-divert" in command and not _HARMLESS_DIVERSION.search(command):
            raise _refusal(package, "preinst", command)
    return alternatives, review.links if review else {}


def _refusal(package: str, script: str, command: str) -> UnsupportedError:
    return UnsupportedError(
        f"the package {package} has a {script} script that does more than is understood: `{command[:100]}`",
        f"no maintainer script is ever run: leave {package} out, or use a base image of a registry that has it",
    )


def _commands(script: str, known: Reviews) -> Iterator[str]:
    """Read a script's commands, without comments and without debhelper's sections that are known to do no harm."""
    script = _SECTION.sub(lambda found: "" if found[1] in known.sections else found[0], script)
    for line in re.sub(r"\\\n", " ", script).splitlines():
        words = " ".join(line.split())
        if words and not words.startswith("#"):
            yield words


def _alternatives(package: str, command: str, *, excused: bool) -> list[Alternative]:
    """Read `update-alternatives --install LINK NAME PATH PRIORITY [--slave LINK NAME PATH]...`."""
    found = _install(re.sub(r"\s*\|\|\s*true$", "", command))
    if found is None and not excused:
        raise _refusal(package, "postinst", command)
    return found or []


def _install(command: str) -> list[Alternative] | None:
    """Read the command, or return nothing where only a shell could."""
    if re.search(r"[$`;&|<>()]", command):
        return None
    try:
        words = shlex.split(command)
        start = words.index("--install") + 1
        link, name, path, priority = words[start : start + 4]
        links = [(link, name, path), *_followers(words[start + 4 :])]
        return [
            Alternative(link=link.lstrip("/"), name=name, path=path.lstrip("/"), priority=int(priority))
            for link, name, path in links
        ]
    except ValueError:
        return None


def _followers(words: list[str]) -> Iterator[tuple[str, str, str]]:
    for position, word in enumerate(words):
        if word in ("--slave", "--follower"):
            link, name, path = words[position + 1 : position + 4]
            yield link, name, path
