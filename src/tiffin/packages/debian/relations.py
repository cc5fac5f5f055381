"""What packages say of each other: `libc6 (>= 2.34), debconf | debconf-2.0` (Debian Policy 7.1)."""

from __future__ import annotations

import re

import msgspec

from tiffin.errors import IntegrityError
from tiffin.packages.debian.version import version_key

_RELATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?\s*"
    r"(?:\(\s*(?P<operator><<|<=|=|>=|>>)\s*(?P<version>[^\s()]+)\s*\))?\s*(?:\[[^\]]*\]\s*)?(?:<[^>]*>\s*)*"
)


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """A package, with the versions of it that will do; no operator means any."""

    name: str
    operator: str = ""
    version: str = ""

    def allows(self, version: str) -> bool:
        """Say whether this version of the package will do."""
        if not self.operator:
            return True
        ours, theirs = version_key(version), version_key(self.version)
        return {
            "<<": ours < theirs,
            "<=": ours <= theirs,
            "=": ours == theirs,
            ">=": ours >= theirs,
            ">>": ours > theirs,
        }[self.operator]

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name


Clause = tuple[Relation, ...]
"""Alternatives, the preferred one first; one of them must hold."""


def parse_relations(text: str, where: str) -> list[Clause]:
    """Read a field such as Depends; raises IntegrityError that names `where`."""
    clauses = (clause.strip() for clause in text.split(","))
    return [tuple(_relation(one, where) for one in clause.split("|")) for clause in clauses if clause]


def _relation(text: str, where: str) -> Relation:
    match = _RELATION.fullmatch(text.strip())
    if not match:
        raise IntegrityError(f"{where} has a relation that cannot be read: {text.strip()[:100]!r}")
    return Relation(name=match["name"], operator=match["operator"] or "", version=match["version"] or "")
