"""What the user asks for: requirement lines or requirements.txt, read with the place of every mistake.

uv is given what was read here, never the file itself: what is checked, digested and resolved is the same thing.
Grammar: PEP 508, and pip's "Requirements File Format" without what cannot be locked to a wheel of an index.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import msgspec
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed
from packaging.utils import canonicalize_name

from tiffin.errors import ConfigError, UnsupportedError
from tiffin.packages.pypi.settings import IndexSettings

_COMMENT = re.compile(r"(^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_HASH = re.compile(r"\s--hash[=\s]\s*(\S+)")
_SHA256 = re.compile(r"sha256:([0-9a-fA-F]{64})")
_VCS = re.compile(r"(git|hg|svn|bzr)\+")
_FILE = re.compile(r"\.(whl|zip|tar\.gz|tar\.bz2)$|^[./~\\]|://")
_LOCAL = re.compile(
    r"(?:(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?P<named>\[[^\]]*\])?\s*@\s*)?"
    r"(?P<place>file:[^\s;\[]+|\.{1,2}(?:/[^\s;\[]*)?|/[^\s;\[]*|(?:[^\s:;@\[]+/)?[^\s:;@\[/]+(?:\.whl|\.tar\.gz|\.zip)|"
    r"[^\s:;@\[]+/[^\s:;@\[]*)"
    r"(?P<extras>\[[^\]]*\])?\s*(?:;\s*(?P<marker>.+))?"
)
"""A folder or file of this machine, with or without the name that it has as a package."""
_MEANT_ALREADY = {"--only-binary", "--prefer-binary", "--require-hashes", "--use-pep517"}
"""Options of pip that say what is done here anyway."""
_SHORT = {"-r": "--requirement", "-c": "--constraint", "-e": "--editable", "-i": "--index-url", "-f": "--find-links"}


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement in PEP 508's words, normalised, with the hashes it allows and the place where it was written.

    What lies on this machine has a `path`, whose content the lock pins; its name may be empty until it is built, and
    its extras and marker, which `text` has too, are kept for then.
    """

    name: str
    text: str
    place: str
    hashes: frozenset[str] = frozenset()
    path: Path | None = None
    extras: str = ""
    marker: str = ""

    @property
    def line(self) -> str:
        """The requirement with its hashes: what it means, wherever it was written."""
        return " ".join([self.text, *(f"--hash=sha256:{digits}" for digits in sorted(self.hashes))])

    @property
    def specifier(self) -> str:
        """Which versions it means (PEP 440)."""
        return "" if self.path else str(Parsed(self.text).specifier)

    def met(self, name: str, url: str) -> Requirement:
        """Return what uv is asked for in the place of what lies on this machine, now that it is a wheel."""
        text = f"{name}{self.extras} @ {url}" + (f" ; {self.marker}" if self.marker else "")
        return msgspec.structs.replace(self, name=name, text=text, path=None, hashes=frozenset())


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: requirements, constraints on versions, and what a requirements file says of indexes.

    `python` are the versions of Python that it says it is for (PEP 440). Where another tool has chosen the wheels
    already, `lock` is its file, and `wanted` says which state of it is meant.
    """

    wanted: tuple[Requirement, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    settings: IndexSettings = IndexSettings()
    prereleases: bool = False
    python: str = ""
    lock: Path | None = None

    @classmethod
    def of(cls, lines: Sequence[str], where: str = "requirements", folder: Path | None = None) -> Requirements:
        """Read requirement strings; raises ConfigError or UnsupportedError with the place of the mistake.

        Paths are relative to `folder`; without one there may be none.
        """
        return cls(wanted=tuple(_requirement(line.strip(), f"{where}[{at}]", folder) for at, line in enumerate(lines)))

    @classmethod
    def of_file(cls, path: Path) -> Requirements:
        """Read a requirements.txt and what it includes; raises ConfigError or UnsupportedError with file and line."""
        reading = _Reading()
        reading.file(path, str(path), constraint=False)
        return reading.read()

    @classmethod
    def of_list(cls, lines: Iterable[tuple[str, str]], path: Path) -> Requirements:
        """Read lines as of a requirements.txt, each with its place, that stand in another kind of file at `path`."""
        reading = _Reading()
        for place, line in lines:
            if stripped := _COMMENT.sub("", line).strip():
                reading.line(stripped, path, place, constraint=False)
        return reading.read()


class _Reading:
    """What has been read so far of a requirements file and those that it includes."""

    def __init__(self) -> None:
        self.wanted: list[Requirement] = []
        self.constraints: list[Requirement] = []
        self.settings = IndexSettings()
        self.prereleases = False
        self._seen: set[Path] = set()

    def read(self) -> Requirements:
        """Return what has been read."""
        return Requirements(
            wanted=tuple(self.wanted),
            constraints=tuple(self.constraints),
            settings=self.settings,
            prereleases=self.prereleases,
        )

    def file(self, path: Path, place: str, *, constraint: bool) -> None:
        """Read one file; a file that was read already adds nothing."""
        if path.resolve() in self._seen:
            return
        self._seen.add(path.resolve())
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(
                f"{place}: cannot read {path}: {reason}", "name a requirements file that exists"
            ) from error
        for number, line in _lines(text):
            self.line(line, path, f"{path}:{number}", constraint=constraint)

    def line(self, line: str, path: Path, place: str, *, constraint: bool) -> None:
        """Read one line of the file at `path`: a requirement or an option."""
        if line.startswith("-"):
            self._option(*_option(line), path=path, place=place)
        else:
            (self.constraints if constraint else self.wanted).append(
                _requirement(line, place, None if constraint else path.parent)
            )

    def _option(self, option: str, value: str, *, path: Path, place: str) -> None:
        if option == "--editable":
            hint = f"write `{value}` without `-e`: a wheel is built from it and goes into the image"
            raise UnsupportedError(f"{place}: {value!r} is editable, and an image has no folder to edit", hint)
        if option in {"--requirement", "--constraint"}:
            self.file(path.parent / value, place, constraint=option == "--constraint")
        elif option == "--pre":
            self.prereleases = True
        elif (said := _index_option(option, value, path.parent)) is not None:
            self.settings = self.settings.over(said)
        elif option not in _MEANT_ALREADY:
            raise ConfigError(f"{place}: the option {option} is not known here", "remove it")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each logical line with the number of its first: continued lines joined, comments and blanks left out."""
    parts: list[str] = []
    first = 1
    for number, line in enumerate([*text.splitlines(), ""], 1):
        first = first if parts else number
        continued = line.endswith("\\")
        parts.append(_COMMENT.sub("", line[:-1] if continued else line))
        if continued:
            continue
        if joined := " ".join(parts).strip():
            yield first, joined
        parts = []


def _option(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=") if re.match(r"--[\w-]+=", line) else line.partition(" ")
    if name[:2] in _SHORT and not name.startswith("--"):
        name, value = _SHORT[name[:2]], name[2:] + value
    return name, _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), value.strip().strip("\"'"))


def _index_option(option: str, value: str, folder: Path) -> IndexSettings | None:
    if option == "--index-url":
        return IndexSettings(default_index=value)
    if option == "--extra-index-url":
        return IndexSettings(indexes=(value,), alike=True)
    if option == "--find-links":
        return IndexSettings(find_links=(value if "://" in value else str(folder / value),))
    return IndexSettings(no_index=True) if option == "--no-index" else None


def _requirement(line: str, place: str, folder: Path | None) -> Requirement:
    hashes = _HASH.findall(line)
    text = _HASH.sub("", line).strip()
    if folder and (found := _LOCAL.fullmatch(text)):
        return _local(found, _sha256s(hashes, place), place, folder)
    if _VCS.match(text) or (_FILE.search(text.partition(";")[0].strip()) and " @ " not in text):
        raise _not_a_wheel(place, f"the address or path {text!r}")
    try:
        parsed = Parsed(text)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{place}: not a requirement: {text!r}: {reason}", "write it as `name==1.2.3`") from error
    if parsed.url:
        raise _not_a_wheel(place, f"the requirement {parsed.name!r} with an address")
    parsed.name = canonicalize_name(parsed.name)
    return Requirement(name=parsed.name, text=str(parsed), place=place, hashes=_sha256s(hashes, place))


def _local(found: re.Match[str], hashes: frozenset[str], place: str, folder: Path) -> Requirement:
    """Read a requirement that is a folder or file of this machine; its text is the same wherever the project lies."""
    name, extras, marker = found["name"] or "", found["named"] or found["extras"] or "", found["marker"] or ""
    where = found["place"]
    if where.startswith("file:"):
        where = unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", where))
    path = Path(os.path.normpath(folder.absolute() / where))
    text = f"{canonicalize_name(name)} @ " if name else ""
    text += f"{where}{extras}" + (f" ; {marker}" if marker else "")
    return Requirement(
        name=canonicalize_name(name), text=text, place=place, hashes=hashes, path=path, extras=extras, marker=marker
    )


def _sha256s(hashes: Iterable[str], place: str) -> frozenset[str]:
    """Keep the sha256 hashes; raises ConfigError where there are only others, since those could not be checked."""
    found = frozenset(match[1].lower() for text in hashes if (match := _SHA256.fullmatch(text)))
    if hashes and not found:
        raise ConfigError(f"{place}: no sha256 among the hashes", "write them as `--hash=sha256:<64 hex digits>`")
    return found


def _not_a_wheel(place: str, what: str) -> UnsupportedError:
    hint = "get its source or wheel onto this machine, and require that: `NAME @ ./vendored/NAME`"
    return UnsupportedError(f"{place}: {what} cannot be locked: only packages of an index or of this machine can", hint)
