"""A release as JUnit's XML, which every CI system shows: one test case a step, and one a check. Pure.

The form is that of Ant's JUnit task, as Jenkins' and GitLab's schemas have it: testsuites, testsuite, testcase with
failure or skipped.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import quoteattr

from tiffin.release.result import Case, Outcome, Release, State

_SKIPPED = {
    State.LEFT_OUT: "left out",
    State.NOT_REACHED: "not reached: an earlier step failed",
    State.WAITING: "waits for somebody to approve",
}
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to say (section 2.2)."""


def junit(release: Release) -> str:
    """Write a release as one suite."""
    cases = [line for step in release.steps for line in _step(release, step)]
    tests = sum(1 + len(step.cases) for step in release.steps)
    failures = sum((step.state is State.FAILED) + sum(1 for one in step.cases if one.wrong) for step in release.steps)
    skipped = sum(step.state in _SKIPPED for step in release.steps)
    seconds = _seconds(sum(step.seconds for step in release.steps))
    counts = f'tests="{tests}" failures="{failures}" errors="0" skipped="{skipped}" time="{seconds}"'
    name = _quoted(f"release of {release.name}")
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<testsuites tests="{tests}" failures="{failures}" errors="0" time="{seconds}">',
            f"  <testsuite name={name} {counts}>",
            *cases,
            "  </testsuite>",
            "</testsuites>",
            "",
        ]
    )


def _step(release: Release, step: Outcome) -> list[str]:
    """A step, and then what it tried."""
    place = f"release.{release.name}"
    lines = _case(place, step.name, step.seconds, _inside(step))
    for case in step.cases:
        lines += _case(f"{place}.{step.name}", case.name, case.seconds, _failure(case))
    return lines


def _inside(step: Outcome) -> str:
    if step.state is State.FAILED:
        hint = f"\nhint: {step.hint}" if step.hint else ""
        return f"<failure message={_quoted(step.message)}>{_text(step.message + hint)}</failure>"
    if step.state in _SKIPPED:
        return f"<skipped message={_quoted(step.message or _SKIPPED[step.state])}/>"
    return f"<system-out>{_text(step.message)}</system-out>" if step.message else ""


def _failure(case: Case) -> str:
    return f"<failure message={_quoted(case.wrong)}>{_text(case.wrong)}</failure>" if case.wrong else ""


def _case(place: str, name: str, seconds: float, inside: str) -> list[str]:
    head = f"    <testcase classname={_quoted(place)} name={_quoted(name)} time={_quoted(_seconds(seconds))}"
    return [f"{head}>", f"      {inside}", "    </testcase>"] if inside else [f"{head}/>"]


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"


def _quoted(text: str) -> str:
    return quoteattr(_UNSPEAKABLE.sub("\ufffd", text), {"\n": "&#10;"})


def _text(text: str) -> str:
    plain = _UNSPEAKABLE.sub("\ufffd", text)
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
