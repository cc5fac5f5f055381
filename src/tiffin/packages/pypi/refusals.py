"""uv's words for why there is no solution, as errors of ours that name the requirement and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from tiffin.errors import (
    CommandError,
    ConfigError,
    DeniedError,
    FullError,
    NotFoundError,
    TiffinError,
    UnavailableError,
    UnsupportedError,
)
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.requirements import Requirement
from tiffin.packages.pypi.settings import without_credentials

_LONGEST = 900
"""Characters of uv's explanation that are passed on."""
_NAME = r"`?(?P<name>[A-Za-z0-9][\w.-]*?)`?"
_WITHOUT = (
    rf"(?:{_NAME}(?:[<=>!~]=?\S+)? has no (?:usable wheels|wheels with a matching))|"
    r"(?:Wheels are required for `(?P<hinted>[^`]+)`)"
)
"""How uv says of a package that it has no wheel for us."""
_NOISE = re.compile(
    r"^(error: No solution found.*|hint: (Wheels are required for|The `--python-version` value|Packages were unav).*)$",
    re.MULTILINE,
)
"""What uv says of its own options, which are ours here."""


class NoWheelError(UnsupportedError):
    """Packages have no wheel that the image could use; there may be sources of them. `names` are theirs."""

    names: tuple[str, ...] = ()


class _Refusal(NamedTuple):
    """What uv says (a pattern), and the error it is: what happened and what to do, with the pattern's groups put in."""

    words: str
    error: type[TiffinError]
    message: str
    hint: str


_REFUSALS = [
    _Refusal(
        r"No space left on device|quota exceeded|File too large",
        FullError,
        "there is no room for what uv keeps",
        "`uv cache clean` or deleting something else makes room; TIFFIN_HOME may name a bigger disk",
    ),
    _Refusal(
        r"network was disabled",
        UnavailableError,
        "the network is off and the cache does not have all that is required",
        "unset UV_OFFLINE, or lock once with a network",
    ),
    _Refusal(
        r"\b(401 Unauthorized|403 Forbidden)\b",
        DeniedError,
        "the package index refuses us",
        "put the credentials into the index's address or into ~/.netrc",
    ),
    _Refusal(
        r"Request failed|Failed to fetch|error sending request",
        UnavailableError,
        "the package index did not answer",
        "check the network and the index's address (UV_DEFAULT_INDEX, HTTPS_PROXY, SSL_CERT_FILE)",
    ),
    _Refusal(
        rf"{_NAME} was not found in the (package registry|provided package locations|cache)",
        NotFoundError,
        "there is no package called {name}",
        "check the spelling, or name the index that has it with UV_INDEX",
    ),
    _Refusal(
        rf"requested Python version \(.*?\) does not satisfy Python(?P<needs>\S+) and (all versions of )?{_NAME}[=\s]",
        UnsupportedError,
        "{name} needs Python {needs}, and the image has {python}",
        "ask for another version of it, or change `[python] version`",
    ),
    _Refusal(
        rf"{_NAME}([<=>!~]=?\S+)? has no usable wheels",
        NoWheelError,
        "{name} is there as source only, without a wheel",
        "build its wheel (`pip wheel --no-deps -w wheels {name}`) and add `--find-links wheels`",
    ),
    _Refusal(
        rf"{_NAME}([<=>!~]=?\S+)? has no wheels with a matching",
        NoWheelError,
        "{name} has no wheel for {python}",
        "ask for another version of it, or change `[python] version` or the base",
    ),
    _Refusal(
        rf"there (is|are) no versions? of {_NAME}(?P<version>[=<>!~]\S+)",
        NotFoundError,
        "there is no {name}{version}",
        "look up which versions there are, and ask for one of them",
    ),
    _Refusal(
        rf"only {_NAME}[<=>]\S* (is|are) available\s+and you require (?P=name)[=<>!~]",
        NotFoundError,
        "there is no such version of {name}",
        "ask for one that is available",
    ),
    _Refusal(
        r"No solution found",
        ConfigError,
        "the requirements contradict each other",
        "loosen or drop one of them",
    ),
]
"""The first whose words match counts."""


def refusal(words: str, asked: Iterable[Requirement], python: ImagePython) -> TiffinError:
    """Return the error that uv's words on stderr mean, with the places of the requirements it is about."""
    words = without_credentials(words)
    explanation, unwrapped = _explanation(words), " ".join(words.split())
    for known in _REFUSALS:
        if found := re.search(known.words, unwrapped):
            groups = {key: value.rstrip(",") for key, value in found.groupdict().items() if value}
            places = _places(asked, groups.get("name"), explanation)
            message = known.message.format(**groups, python=python)
            error = known.error(f"{places}{message}\n{explanation}", known.hint.format(**groups))
            if isinstance(error, NoWheelError):
                error.names = tuple(
                    sorted({each["name"] or each["hinted"] for each in re.finditer(_WITHOUT, unwrapped)})
                )
            return error
    return CommandError(f"uv could not resolve the requirements\n{explanation}")


def _places(asked: Iterable[Requirement], name: str | None, explanation: str) -> str:
    """Name the lines that ask for the package, or where it is several packages, for any that is spoken of."""
    spoken = {name} if name else set(re.findall(r"[a-z0-9][\w.-]*", explanation.lower()))
    found = sorted({requirement.place for requirement in asked if requirement.name in spoken})
    return ", ".join(found) + ": " if found else ""


def _explanation(words: str) -> str:
    lines = (re.sub(r"^\s*(cause|error|hint): ", "", line).strip() for line in _NOISE.sub("", words).splitlines())
    text = "\n".join(f"  {line}" for line in lines if line)
    return text if len(text) <= _LONGEST else text[:_LONGEST].rsplit(" ", 1)[0] + " …"
