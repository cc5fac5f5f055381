"""What tiffin.toml may say about a release: `[release]`, where it goes, what it is called there, and who vouches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from tiffin.config.deploy import EnvironmentSection
from tiffin.config.section import Section

TAG_WORDS = ("version", "major", "minor", "commit", "branch", "model", "digest")
"""What a tag may hold in braces."""
TAGS = ("latest", "{version}", "{commit}")
_WORD = re.compile(r"\{([^{}]*)\}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_REPOSITORY = re.compile(r"(?:localhost|[^/\s@]*[.:][^/\s@]*)/[a-z0-9][a-z0-9._/-]*", re.ASCII)


class SignSection(Section, frozen=True, kw_only=True):
    """With which private key an image is signed: a file, whose path begins at tiffin.toml."""

    key: str = ""


class AllowSection(Section, frozen=True, kw_only=True):
    """A finding that is known and accepted, with the reason; `path` narrows it down, as a shell's pattern."""

    rule: str
    reason: str
    path: str = "*"


class ReleaseSection(Section, frozen=True, kw_only=True):
    """How an image is released: where it is pushed and by which tags, its signature, its scan, where it is deployed.

    `environments` are names of `[environment.NAME]` in the order in which they are deployed to.
    """

    push: str = ""
    tags: tuple[str, ...] = TAGS
    sign: SignSection = SignSection()
    scanner: Literal["", "grype", "trivy"] = ""
    fail_on: Literal["error", "warning", "never"] = "error"
    allow: tuple[AllowSection, ...] = ()
    environments: tuple[str, ...] = ()


def words_of(tag: str) -> tuple[str, ...]:
    """The words in braces that a tag is made of."""
    return tuple(_WORD.findall(tag))


def release_mistakes(release: ReleaseSection, environments: Mapping[str, EnvironmentSection]) -> Iterator[str]:
    """Say what is wrong with `[release]` beyond its types, each with its place."""
    if release.push and not _REPOSITORY.fullmatch(release.push):
        yield f"{release.push!r} is no repository of a registry: REGISTRY/NAME without a tag - at `$.release.push`"
    for number, tag in enumerate(release.tags):
        yield from _tag_mistakes(tag, f"$.release.tags[{number}]")
    for number, allowed in enumerate(release.allow):
        if not (allowed.rule and allowed.reason.strip()):
            yield f"an accepted finding has its `rule` and a `reason` - at `$.release.allow[{number}]`"
    for number, name in enumerate(release.environments):
        if name not in environments:
            known = f"there is {', '.join(environments)}" if environments else f"write `[environment.{name}]`"
            yield f"no environment is called {name!r}: {known} - at `$.release.environments[{number}]`"
    if len(set(release.environments)) < len(release.environments):
        yield "an environment is deployed to once - at `$.release.environments`"


def _tag_mistakes(tag: str, place: str) -> Iterator[str]:
    for word in words_of(tag):
        if word not in TAG_WORDS:
            known = ", ".join(f"{{{name}}}" for name in TAG_WORDS)
            yield f"a tag has no {{{word}}}, but {known} - at `{place}`"
    if not _TAG.fullmatch(_WORD.sub("x", tag)):
        yield f"{tag!r} is no tag: letters, digits and . _ - - at `{place}`"


def filled(tag: str, words: Mapping[str, str]) -> str:
    """Fill a tag's words in; empty where one of them is not known. What no tag may hold becomes a dash."""
    if not all(words.get(word) for word in words_of(tag)):
        return ""
    text = _WORD.sub(lambda found: words[found[1]], tag)
    return re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip(".-")[:128]


def accepted(allow: tuple[AllowSection, ...], rule: str, path: str) -> str:
    """The reason for which a finding is accepted; empty where nobody accepts it."""
    import fnmatch  # noqa: PLC0415 - only a scan asks

    for one in allow:
        if one.rule == rule and fnmatch.fnmatchcase(path, one.path):
            return one.reason
    return ""


def changed(section: ReleaseSection, key: str) -> ReleaseSection:
    """The same with another key to sign with, as it is typed."""
    return msgspec.structs.replace(section, sign=SignSection(key=key)) if key else section
