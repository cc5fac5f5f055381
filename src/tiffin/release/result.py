"""What came of a release: each step's state, what it said, and what its checks and its scan found."""

from __future__ import annotations

from enum import Enum

import msgspec

from tiffin.oci.digest import Digest


class State(Enum):
    """How a step ended."""

    DONE = "done"
    ALREADY = "already"
    """It was done before, for the same image and the same settings."""
    FAILED = "failed"
    WAITING = "waiting"
    """Somebody has to approve."""
    LEFT_OUT = "left-out"
    NOT_REACHED = "not-reached"


class Level(Enum):
    """How bad a finding is, in SARIF's words."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried, such as a `[[check]]`: its name, seconds, and what went wrong; empty is a pass."""

    name: str
    seconds: float = 0.0
    wrong: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found: which rule, how bad, where (the layer by what people call it, the path from the image's root).

    `accepted` is the reason for which it is passed by; `tool` is who found it, where that is another program.
    """

    rule: str
    level: Level
    message: str
    layer: str = ""
    path: str = ""
    hint: str = ""
    accepted: str = ""
    tool: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a step."""

    name: str
    state: State
    seconds: float = 0.0
    message: str = ""
    hint: str = ""
    cases: tuple[Case, ...] = ()
    findings: tuple[Finding, ...] = ()


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release as it ended: the digest of its plan, of its image where there is one by then, and its steps in order.

    `reference` is how whoever pulls names the image. `command` goes on where the release did not come to its end.
    """

    format: str = "1"
    name: str
    plan: Digest
    image: Digest | None
    reference: str
    steps: tuple[Outcome, ...]
    command: str = ""

    @property
    def ended_well(self) -> bool:
        """Whether every step that was planned was done."""
        return not any(step.state in {State.FAILED, State.WAITING, State.NOT_REACHED} for step in self.steps)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that was found."""
        return tuple(finding for step in self.steps for finding in step.findings)
