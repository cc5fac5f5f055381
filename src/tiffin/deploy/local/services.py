"""What a supervisor is asked: to keep a service, to change how it is wanted, to say how it is. Called one at a time."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tiffin.deploy.local.backoff import LOOP, recent
from tiffin.deploy.local.decide import serves
from tiffin.deploy.local.fronts import Fronts
from tiffin.deploy.local.seen import Desired, Observed
from tiffin.deploy.local.state import Kept, Known, State
from tiffin.deploy.local.tended import HOST, Tended, View
from tiffin.deploy.local.workshop import Workshop
from tiffin.deploy.service import Replicas, Service, Template, revision_of
from tiffin.deploy.target import Action, Change, Finding, Phase, Revision, Status
from tiffin.errors import ConfigError, ConflictError, NotFoundError, UnsupportedError

RESTARTED = "TIFFIN_RESTARTED"
"""The variable that makes a revision of its own of replicas that are alike."""
_MARGIN = 16
"""The longest name of a container less the longest of a service."""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for has begun: the revision that is wanted now, and the last event before it."""

    revision: int
    event: int


class Services:
    """The services of one supervisor, in a folder; `tended` are looked after, and `begin` looks after one (more)."""

    def __init__(self, state: State, workshop: Workshop, folder: Path, begin: Callable[[str], None]) -> None:
        self._state, self._workshop, self._folder, self._begin = state, workshop, folder, begin
        self.tended: dict[str, Tended] = {}

    def plan(self, service: Service) -> list[Change]:
        """Say what `apply` would do."""
        self._check(service)
        kept = self._state.services().get(service.name)
        if kept is None:
            template = service.template
            made = (template.reference, f"{_count(service.replicas)} replicas")
            return [Change(action=Action.CREATE, what=f"service {service.name}", details=made)]
        details = _differences(kept.service, service)
        action = Action.CHANGE if details else Action.KEEP
        return [Change(action=action, what=f"service {service.name}", details=tuple(details))]

    def apply(self, service: Service) -> Applied:
        """Want a service from now on; raises what is wrong with it, and then nothing has changed."""
        self._check(service)
        kept = self._state.services().get(service.name)
        if kept is not None and kept.desired.gone:
            raise ConflictError(f"{service.name} is being deleted", "deploy it again when it is gone")
        known = self._state.revision(service.name, service.template, service.template.image)
        if kept is None:
            kept = self._first(service, known)
        else:
            kept = msgspec.structs.replace(kept, service=service, desired=_next(kept.desired, known.number, service))
        return self._want(kept, f"revision {known.number} is wanted", {"replicas": kept.desired.replicas})

    def status(self, name: str) -> Status:
        """Say how a service is; raises NotFoundError."""
        kept = self._state.find(name)
        tended = self.tended.get(name)
        view = tended.view if tended else None
        if view is None or view.desired.revision != kept.desired.revision:
            view = View(desired=kept.desired, observed=view.observed if view else Observed(now=time.time()))
        return Status(
            name=name,
            phase=_phase(kept.desired, view),
            wanted=kept.desired.replicas,
            ready=view.ready,
            addresses=(f"http://{HOST}:{kept.port}",),
            revisions=tuple(self._revisions(name, view)),
            findings=tuple(self._findings(kept, tended)),
        )

    def all(self) -> list[Status]:
        """Say how every service is."""
        return [self.status(name) for name in self._state.services()]

    def scale(self, name: str, least: int, most: int) -> Applied:
        """Keep it between so many replicas."""
        kept = self._there(name)
        replicas = Replicas(least=least, most=most, concurrency=kept.service.replicas.concurrency)
        service = msgspec.structs.replace(kept.service, replicas=replicas)
        desired = msgspec.structs.replace(kept.desired, replicas=_count(replicas))
        self._state.keep(msgspec.structs.replace(kept, service=service, desired=desired))
        numbers = {"from": kept.desired.replicas, "to": desired.replicas}
        self._state.note(name, "scale", f"{desired.replicas} replicas are wanted", numbers)
        self._begin(name)
        return Applied(revision=desired.revision, event=self._last_event())

    def rollback(self, name: str, number: int | None) -> Applied:
        """Go back to a revision: where none is named to the one that is left behind, or the one before."""
        kept = self._there(name)
        known = self._earlier(kept, number)
        self._workshop.check(known.template)
        return self._turn_to(kept, known, f"back to revision {known.number}")

    def restart(self, name: str) -> Applied:
        """Replace every replica by one alike."""
        kept = self._there(name)
        template = kept.service.template
        again = msgspec.structs.replace(template, env={**template.env, RESTARTED: _text(time.time())})
        return self._turn_to(kept, self._state.revision(name, again, "restarted"), "every replica is replaced")

    def pause(self, name: str, *, on: bool) -> Applied:
        """Hold a rollout, or go on with it; its patience begins anew."""
        kept = self._there(name)
        desired = msgspec.structs.replace(kept.desired, paused=on, began=time.time())
        self._state.want(name, desired)
        self._state.note(name, "pause" if on else "resume", "the rollout is paused" if on else "the rollout goes on")
        self._begin(name)
        return Applied(revision=desired.revision, event=self._last_event())

    def delete(self, name: str) -> None:
        """Let go of a service and of all that belongs to it."""
        kept = self._state.find(name)
        self._state.want(name, msgspec.structs.replace(kept.desired, gone=True))
        self._state.note(name, "delete", "the service is deleted")
        self._begin(name)

    # --- changing

    def _check(self, service: Service) -> None:
        if len(service.name) > 63 - _MARGIN:
            raise ConfigError(f"the name {service.name!r} is too long", f"use at most {63 - _MARGIN} characters")
        if not service.template.inherits or "http" not in service.template.ports:
            raise UnsupportedError(
                f"{service.template.image} is no image of tiffin's, and services of this machine are",
                "`tiffin run` runs it; other images as services are to come",
            )
        if service.host:
            raise UnsupportedError("a service of this machine has no `host` yet", "leave `[deploy] host` out")
        self._workshop.check(service.template)

    def _first(self, service: Service, known: Known) -> Kept:
        port = self._listen(service)
        desired = Desired(
            revision=known.number, replicas=_count(service.replicas), rollout=service.rollout, began=time.time()
        )
        return Kept(service=service, desired=desired, port=port, token=secrets.token_hex(16))

    def _listen(self, service: Service) -> int:
        """Have the public socket from now on, at the image's port where that is free, else at one that is."""
        fronts = Fronts(self._folder / service.name)
        fronts.end()  # of an earlier life, whose state is gone
        try:
            held = fronts.hold({"http": (HOST, service.template.ports["http"])})
        except ConflictError:
            held = fronts.hold({"http": (HOST, 0)})
        fronts.close()
        return held["http"][1]

    def _turn_to(self, kept: Kept, known: Known, why: str) -> Applied:
        """Want another revision of what is kept."""
        service = msgspec.structs.replace(kept.service, template=known.template)
        kept = msgspec.structs.replace(kept, service=service, desired=_next(kept.desired, known.number, service))
        return self._want(kept, why, {"revision": known.number})

    def _want(self, kept: Kept, why: str, numbers: dict[str, object]) -> Applied:
        """Write down how a service is wanted from now on, and have it looked after."""
        name, event = kept.service.name, self._last_event()
        self._state.keep(kept)
        self._state.note(name, "apply", why, numbers)
        self._begin(name)
        return Applied(revision=kept.desired.revision, event=event)

    def _earlier(self, kept: Kept, number: int | None) -> Known:
        desired, history = kept.desired, self._state.history(kept.service.name)
        if number is None and desired.rolls:
            number = desired.stable
        for known in history:
            if known.number == number or (number is None and known.number < desired.revision):
                return known
        lacks = "no earlier revision" if number is None else f"no revision {number}"
        raise NotFoundError(f"{kept.service.name} has {lacks}", f"`tiffin history {kept.service.name}` lists them")

    def _there(self, name: str) -> Kept:
        kept = self._state.find(name)
        if kept.desired.gone:
            raise NotFoundError(f"{name} is being deleted", "`tiffin status` lists those that are kept")
        return kept

    def _last_event(self) -> int:
        events = self._state.events(last=1)
        return events[-1].id if events else 0

    # --- telling

    def _revisions(self, name: str, view: View) -> list[Revision]:
        there = Counter(one.revision for one in view.observed.replicas)
        ready = Counter(one.revision for one in view.observed.replicas if serves(one, view.observed))
        total = sum(ready.values())
        return [
            Revision(
                number=known.number,
                digest=known.digest,
                image=known.template.reference,
                weight=100 * ready[known.number] / total if total else 0.0,
                replicas=there[known.number],
                ready=ready[known.number],
                created=_text(known.created),
                why=known.why,
            )
            for known in self._state.history(name)
        ]

    def _findings(self, kept: Kept, tended: Tended | None) -> list[Finding]:
        name, found = kept.service.name, list[Finding]()
        losses = [loss for loss in self._state.losses(name) if loss.soon and loss.revision == kept.desired.revision]
        lately = recent(kept.desired.revision, [loss.crash for loss in losses], time.time())
        if losses and (len(lately) >= LOOP or (lately and not kept.desired.settled)):
            last, times = losses[-1], "once" if len(lately) == 1 else f"{len(lately)} times"
            message = f"replicas of revision {last.revision} were lost {times}, the last one: {last.why}"
            found.append(Finding(message=message, hint=f"`tiffin logs {name}`", log=last.log))
        if kept.service.replicas.scales:
            message = f"their number does not follow the load on this machine yet: there are {kept.desired.replicas}"
            found.append(Finding(message=message, hint=f"`tiffin scale {name} N` changes it"))
        return found + [Finding(message=trouble) for trouble in (tended.troubles if tended else ())]


def _next(desired: Desired, number: int, service: Service) -> Desired:
    """How it is wanted from now on; what is there already as wanted stays settled."""
    return msgspec.structs.replace(
        desired,
        revision=number,
        replicas=_count(service.replicas),
        rollout=service.rollout,
        canary=0.0,
        settled=desired.settled and desired.revision == number,
        failed=False,
        began=time.time(),
    )


def _count(replicas: Replicas) -> int:
    return replicas.least if not replicas.scales else max(replicas.least, 1)


def _phase(desired: Desired, view: View) -> Phase:
    if desired.paused and not desired.settled:
        return Phase.PAUSED
    if desired.failed:
        return Phase.FAILED
    if not desired.settled:
        return Phase.PROGRESSING
    return Phase.AVAILABLE if view.ready >= desired.replicas else Phase.DEGRADED


def _differences(old: Service, new: Service) -> list[str]:
    """Say in what a service differs from how it is kept, a line a thing."""
    found = []
    if revision_of(old.template) != revision_of(new.template):
        before, after = (msgspec.to_builtins(one, enc_hook=str) for one in (_plain(old.template), new.template))
        found = [f"{key}: {before[key]} -> {after[key]}" for key in after if before[key] != after[key]]
    if old.replicas != new.replicas:
        found.append(f"replicas: {_count(old.replicas)} -> {_count(new.replicas)}")
    if old.rollout != new.rollout:
        found.append("rollout: other pace")
    return found


def _plain(template: Template) -> Template:
    env: Mapping[str, str] = {name: value for name, value in template.env.items() if name != RESTARTED}
    return msgspec.structs.replace(template, env=env)


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
