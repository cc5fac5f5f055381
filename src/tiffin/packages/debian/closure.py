"""Which packages some packages come to: Depends and Pre-Depends, alternatives, virtual packages and versions.

A pure function of the indexes. Recommends are not followed and Essential packages are not assumed. Of a package's
versions the newest that will do is taken; of alternatives the one that is there already, else the first that exists;
of the providers of a virtual package the one with the best priority, then the first by name. There is no search: within
one release of Debian the first choice works, and where it does not, the error says who wanted what.
"""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from tiffin.errors import ConfigError, ConflictError, NotFoundError, TiffinError
from tiffin.packages.debian.index import Index, Package
from tiffin.packages.debian.relations import Clause, Relation, parse_relations
from tiffin.packages.debian.version import version_key

Follows = Callable[[str, str], bool]
"""Whether a package, by name, brings a dependency with it."""


class Universe:
    """The packages of several suites as one: bookworm, its updates and its security updates."""

    def __init__(self, indexes: Sequence[Index], suite: str) -> None:
        """Take the indexes; `suite` names them in errors."""
        self._indexes = indexes
        self.suite = suite

    def best(self, relation: Relation) -> Package | None:
        """Return the newest version of a real package that will do."""
        found = [package for index in self._indexes for package in index.find(relation.name)]
        allowed = [package for package in found if relation.allows(package.version)]
        return max(allowed, key=lambda package: (version_key(package.version), package.path), default=None)

    def provider(self, relation: Relation) -> Package | None:
        """Return the best package that provides a virtual one."""
        names = {name for index in self._indexes for name in index.providers(relation.name)}
        newest = [self.best(Relation(name=name)) for name in names]
        able = [package for package in newest if package and provides(package, relation)]
        return min(able, key=lambda package: (package.priority, package.name), default=None)

    def similar(self, name: str) -> list[str]:
        """Return names that look like this one."""
        return difflib.get_close_matches(name, {name for index in self._indexes for name in index.names}, 3, 0.8)


def provides(package: Package, relation: Relation) -> bool:
    """Say whether a package stands for what is asked, by its own name or by one that it provides (Policy 7.5)."""
    if package.name == relation.name and relation.allows(package.version):
        return True
    offers = [clause[0] for clause in package.provides if clause[0].name == relation.name]
    return any(not relation.operator or (offer.version and relation.allows(offer.version)) for offer in offers)


def close(
    universe: Universe, roots: Iterable[str], follows: Follows, already: Iterable[Package] = ()
) -> tuple[Package, ...]:
    """Return what the roots come to, beyond what is there already, by name.

    A root is a package's name, or `name (= version)`. Raises NotFoundError for what no suite has, ConflictError for
    packages that exclude each other, and ConfigError for what is no package's name.
    """
    there = {package.name: package for package in already}
    kept = len(there)
    wanted: deque[tuple[Clause, str]] = deque()
    for clause in sorted({_root(root) for root in roots}, key=str):
        package = _choose(universe, clause, there) or _missing(universe, clause, "")
        if there.setdefault(package.name, package) is package:
            wanted.extend(_needs(package, follows))
    while wanted:
        clause, why = wanted.popleft()
        package = _choose(universe, clause, there) or _missing(universe, clause, why)
        if package.name not in there:
            there[package.name] = package
            wanted.extend(_needs(package, follows))
    _check_conflicts(there.values())
    return tuple(sorted(list(there.values())[kept:], key=lambda package: package.name))


def _root(text: str) -> Clause:
    try:
        (clause,) = parse_relations(text, "the list of packages")
    except (ValueError, TiffinError) as error:
        raise ConfigError(
            f"not the name of a Debian package: {text!r}", "write a name, or `name (= version)`"
        ) from error
    return clause


def _needs(package: Package, follows: Follows) -> list[tuple[Clause, str]]:
    """Return what a package depends on, without what is not followed."""
    return [
        (clause, package.name)
        for clause in package.depends
        if all(follows(package.name, relation.name) for relation in clause)
    ]


def _choose(universe: Universe, clause: Clause, there: dict[str, Package]) -> Package | None:
    for relation in clause:
        for package in there.values():
            if provides(package, relation):
                return package
    for relation in clause:
        chosen = universe.best(relation) or universe.provider(relation)
        if chosen and chosen.name not in there:
            return chosen
    return None


def _missing(universe: Universe, clause: Clause, why: str) -> Package:
    wanted = " | ".join(map(str, clause))
    if why:
        raise NotFoundError(
            f"{why} needs {wanted}, which {universe.suite} does not have",
            "take another version of it, or leave it out of `[image] packages`",
        )
    similar = universe.similar(clause[0].name)
    raise NotFoundError(
        f"{universe.suite} has no package {wanted}",
        f"did you mean {', '.join(similar)}?" if similar else "correct the name in `[image] packages`",
    )


def _check_conflicts(packages: Iterable[Package]) -> None:
    """Refuse packages that exclude each other; one that conflicts with what it provides itself means the others."""
    everyone = list(packages)
    for package in everyone:
        for relation, *_ in package.conflicts:
            for other in everyone:
                if other is not package and provides(other, relation):
                    raise ConflictError(
                        f"{package.name} excludes {relation}, so it cannot be in one image with {other}",
                        "leave one of them out of `[image] packages`",
                    )
