"""Carry a plan out: one step after the other, nothing twice, and no further than the first that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec

from tiffin import __version__
from tiffin.errors import CommandError, DeniedError, TiffinError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.progress import step as progress
from tiffin.release.plan import PlannedStep, ReleasePlan
from tiffin.release.result import Case, Finding, Outcome, Release, State
from tiffin.store.records import Records


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a step says of itself; `wrong` says why the release goes no further, and `hint` what to do about it.

    `image` is the digest that all later steps are about; `already` says that nothing had to be done, `waits` that
    somebody has to approve first.
    """

    message: str = ""
    image: Digest | None = None
    reference: str = ""
    already: bool = False
    waits: bool = False
    cases: tuple[Case, ...] = ()
    findings: tuple[Finding, ...] = ()
    wrong: str = ""
    hint: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What later steps know: the image, and how whoever pulls names it."""

    image: Digest | None = None
    reference: str = ""


Act = Callable[[PlannedStep, Standing], Report]
"""Carries a step out for an image; raises TiffinError, or reports what is wrong."""


def run(
    plan: ReleasePlan, acts: Mapping[str, Act], ledger: Records, again: str, standing: Standing | None = None
) -> tuple[Release, TiffinError | None]:
    """Carry a plan out, and return what came of it, with the error that ended it early.

    `acts` are by the name of their step, all that deploy by `deploy`; `again` is the command that goes on. What is
    promoted is known from the beginning (`standing`).
    """
    standing, outcomes, error = standing or Standing(), list[Outcome](), None
    for step in plan.steps:
        if error:
            outcomes.append(Outcome(name=step.name, state=State.NOT_REACHED))
            continue
        outcome, standing, error = _carry_out(step, acts["deploy" if step.environment else step.name], standing, ledger)
        outcomes.append(outcome)
    outcomes += [Outcome(name=left.name, state=State.LEFT_OUT, message=left.why) for left in plan.left]
    release = Release(
        name=plan.name,
        plan=plan.digest,
        image=standing.image,
        reference=standing.reference,
        steps=tuple(outcomes),
        command=again if error else "",
    )
    return release, _told(release, error, again) if error else None


def _carry_out(
    step: PlannedStep, act: Act, standing: Standing, ledger: Records
) -> tuple[Outcome, Standing, TiffinError | None]:
    """Do one step, unless it was done before; what it found before is told again."""
    key = key_of(step, standing.image)
    if step.remembered and (known := ledger.get(key, Outcome)):
        with progress(step.name, known.message) as running:
            running.cached = running.always = True
        return msgspec.structs.replace(known, state=State.ALREADY, seconds=0.0), standing, None
    began, report = time.perf_counter(), Report()
    error: TiffinError | None = None
    try:
        with progress(step.name, step.does) as running:
            running.always = True
            report = act(step, standing)
            running.detail, running.cached = report.message or step.does, report.already
            if report.wrong:
                raise CommandError(report.wrong, report.hint)
        if report.waits:
            error = DeniedError(f"{step.environment} waits for somebody to approve")
    except TiffinError as raised:
        error = raised
    outcome = _outcome(step, report, error, time.perf_counter() - began)
    if step.remembered and not error:
        ledger.put(key, outcome)
    return outcome, _next(standing, report), error


def key_of(step: PlannedStep, image: Digest | None) -> Digest:
    """Under which key it is remembered that a step was done for an image; another tiffin does it anew."""
    return Digest.of(encode([__version__, step.name, image, step.settings]))


def _outcome(step: PlannedStep, report: Report, error: TiffinError | None, seconds: float) -> Outcome:
    state = State.ALREADY if report.already else State.DONE
    if error:
        state = State.WAITING if report.waits else State.FAILED
    return Outcome(
        name=step.name,
        state=state,
        seconds=round(seconds, 3),
        message=error.message if error else report.message,
        hint=(error.hint or "") if error else "",
        cases=report.cases,
        findings=report.findings,
    )


def _next(standing: Standing, report: Report) -> Standing:
    return Standing(image=report.image or standing.image, reference=report.reference or standing.reference)


def _told(release: Release, error: TiffinError, again: str) -> TiffinError:
    """The same error, with the step that it ended, and the command that goes on."""
    ended = next(step for step in release.steps if step.state in {State.FAILED, State.WAITING})
    if ended.state is State.WAITING:
        environment = ended.name.removeprefix("deploy-")
        return DeniedError(
            f"the release of {release.name} stops before {ended.name}: {error.message}",
            f"`{again} --approve {environment}` goes on; nothing that was done is done again",
        )
    hint = f"{error.hint}; then " if error.hint else ""
    return type(error)(
        f"the release of {release.name} stopped at {ended.name}: {error.message}", f"{hint}`{again}` goes on from there"
    )
