"""What people call an image: `[registry/]name[:tag][@digest]` (distribution-spec, "Pulling manifests")."""

from __future__ import annotations

import re

import msgspec

from tiffin.errors import ConfigError
from tiffin.oci.digest import Digest

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LONGEST = 255


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A name, where it is, and which of its images; `registry` is empty for an image that lives only here."""

    registry: str = ""
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference; raises ConfigError that says which part is wrong."""
        rest, _, digest = text.partition("@")
        head, slash, tail = rest.rpartition("/")
        tail, _, tag = tail.partition(":")
        name = head + slash + tail
        first, _, others = name.partition("/")
        registry = first if others and (any(c in first for c in ".:") or first == "localhost") else ""
        repository = others if registry else name
        if not _NAME.fullmatch(repository) or len(name) > _LONGEST:
            raise ConfigError(f"not an image name: {text!r}", "a name has lower-case letters, digits and . _ - /")
        if tag and not _TAG.fullmatch(tag):
            raise ConfigError(f"not a tag: {tag!r} in {text!r}", "a tag has letters, digits and . _ -, at most 128")
        return cls(registry=registry, repository=repository, tag=tag, digest=Digest.parse(digest) if digest else None)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}" if self.registry else self.repository

    @property
    def tagged(self) -> str:
        """The name with its tag, `latest` where none is given."""
        return f"{self.name}:{self.tag or 'latest'}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")
