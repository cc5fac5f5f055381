"""What is wrong with an image as a whole, which findings are accepted, and which end a release. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tiffin.config.project import Project
from tiffin.config.release import AllowSection, accepted
from tiffin.packages.lock import Lock
from tiffin.release.result import Finding, Level
from tiffin.release.rules import found

_ORDER = {Level.ERROR: 0, Level.WARNING: 1, Level.NOTE: 2}
_ROOTS = {"", "0", "root"}


def image_findings(user: str, project: Project | None, lock: Lock | None) -> Iterator[Finding]:
    """What is wrong with an image as a whole: whom it runs as, and what its project and its lock say.

    Both are None of an image that carries neither.
    """
    if user.partition(":")[0] in _ROOTS:
        yield found("root-user", f"it runs as {user or 'root'}")
    if project is None or lock is None:
        yield found("no-bill-of-materials", "the image does not say what it is made of")
        return
    for name in project.model.allow_imports:
        yield found("allowed-import", f"the model may import {name}")
    for name in project.image.allow_missing:
        yield found("missing-library", f"{name} may be missing")
    for name, origin in sorted(lock.origins.items()):
        yield found("source-package", f"{name} was built from source{f' of {origin.path}' if origin.path else ''}")
    for overlap in lock.overlaps or ():
        if warning := overlap.warning():
            yield found("overlapping-packages", warning, path=next(iter(overlap.first), ""))


def judged(findings: Iterable[Finding], allow: tuple[AllowSection, ...]) -> tuple[Finding, ...]:
    """Findings, the worst first, each with the reason for which it is accepted, where it is."""
    known = (
        msgspec.structs.replace(finding, accepted=accepted(allow, finding.rule, finding.path)) for finding in findings
    )
    return tuple(sorted(known, key=lambda one: (_ORDER[one.level], one.rule, one.path, one.message)))


def refused(findings: Sequence[Finding], fail_on: str) -> tuple[Finding, ...]:
    """The findings that end a release: those of that level or worse that nobody accepted."""
    if fail_on == "never":
        return ()
    worst = _ORDER[Level(fail_on)]
    return tuple(one for one in findings if not one.accepted and _ORDER[one.level] <= worst)


def summary(findings: Sequence[Finding]) -> str:
    """How many there are of each level."""
    if not findings:
        return "nothing found"
    counts = {level: sum(1 for one in findings if one.level is level and not one.accepted) for level in Level}
    said = [f"{count} {level.value}{'s' if count > 1 else ''}" for level, count in counts.items() if count]
    passed = sum(1 for one in findings if one.accepted)
    return ", ".join([*said, *([f"{passed} accepted"] if passed else [])])
