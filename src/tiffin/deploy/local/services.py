"""What a supervisor is asked: to keep a service, to change how it is wanted, to say how it is. Called one at a time."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tiffin.deploy.local import clock
from tiffin.deploy.local.backoff import LOOP, recent
from tiffin.deploy.local.booth import GRPC
from tiffin.deploy.local.decide import serves, wanted
from tiffin.deploy.local.edge.config import Ports
from tiffin.deploy.local.edge.hosts import addresses_of, check_host
from tiffin.deploy.local.moving import moved_to, staying
from tiffin.deploy.local.names import NAMED
from tiffin.deploy.local.others import check_kind
from tiffin.deploy.local.ports import HTTP, keep_grpc, listen_first
from tiffin.deploy.local.seen import Desired, Observed
from tiffin.deploy.local.state import Kept, Known, State
from tiffin.deploy.local.table import WHOLE
from tiffin.deploy.local.tended import Tended, View
from tiffin.deploy.local.workshop import Workshop
from tiffin.deploy.service import Replicas, Service, Template, revision_of
from tiffin.deploy.target import Action, Change, Finding, Phase, Revision, Status
from tiffin.errors import ConfigError, ConflictError, NotFoundError

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

    def __init__(
        self,
        state: State,
        workshop: Workshop,
        folder: Path,
        begin: Callable[[str], None],
        edge: Ports | None = None,
    ) -> None:
        self._state, self._workshop, self._folder, self._begin = state, workshop, folder, begin
        self._edge = edge
        self.tended: dict[str, Tended] = {}

    def plan(self, service: Service) -> list[Change]:
        """Say what `apply` would do."""
        service = self._checked(service)
        kept = self._state.services().get(service.name)
        if kept is None:
            template = service.template
            made = (template.reference, f"{_range(service.replicas)} replicas")
            return [Change(action=Action.CREATE, what=f"service {service.name}", details=made)]
        details = _differences(kept.service, service)
        action = Action.CHANGE if details else Action.KEEP
        return [Change(action=action, what=f"service {service.name}", details=tuple(details))]

    def apply(self, service: Service) -> Applied:
        """Want a service from now on; raises what is wrong with it, and then nothing has changed."""
        service = self._checked(service)
        kept = self._fresh(service)
        known = self._state.revision(service.name, service.template, service.template.image)
        words, event = f"revision {known.number} is wanted", self._last_event()
        if kept is None:
            self._state.keep(self._first(service, known))
        else:
            keep_grpc(self._state, self._folder / service.name, service, kept)
            self._state.change(service.name, lambda kept: _wanting(kept, service, _next(kept, known.number, service)))
        return self._wanted(service.name, "apply", words, event)

    def canary(self, service: Service, percent: float) -> Applied:
        """Give a revision a part of the requests, beside the one that is there, which keeps its replicas."""
        service = self._checked(service)
        kept = self._fresh(service)
        if not 0 < percent < WHOLE:
            raise ConfigError(
                f"not a share of the requests: {percent:g} %", "a canary has more than 0 and less than 100"
            )
        if kept is None or not kept.desired.stable:
            raise ConflictError(
                f"{service.name} has no revision that serves yet, which a canary could be beside",
                "deploy it without `--canary` first",
            )
        service = msgspec.structs.replace(service, replicas=kept.service.replicas)
        known = self._state.revision(service.name, service.template, service.template.image)
        if known.number == kept.desired.stable:
            raise ConflictError(
                f"this is the revision of {service.name} that is there", "change it, or leave `--canary` out"
            )
        keep_grpc(self._state, self._folder / service.name, service, kept)
        event = self._last_event()

        def work(kept: Kept) -> Kept:
            desired = msgspec.structs.replace(_next(kept, known.number, service), canary=percent, settled=False)
            return _wanting(kept, service, desired)

        self._state.change(service.name, work)
        words = f"revision {known.number} is wanted for {percent:g} % of the requests"
        return self._wanted(service.name, "apply", words, event)

    def promote(self, name: str) -> Applied:
        """Give a canary all requests; raises NotFoundError where there is none."""
        kept = self._there(name)
        if not kept.desired.canary or not kept.desired.rolls:
            raise NotFoundError(f"{name} has no canary", f"`tiffin deploy WHAT --canary PERCENT` starts one for {name}")
        event = self._last_event()
        self._state.change(name, _promoted)
        return self._wanted(name, "apply", f"revision {kept.desired.revision} is wanted for all requests", event)

    def status(self, name: str) -> Status:
        """Say how a service is; raises NotFoundError."""
        kept = self._state.find(name)
        tended = self.tended.get(name)
        view = tended.view if tended else None
        if view is None or view.desired.revision != kept.desired.revision:
            view = View(desired=kept.desired, observed=view.observed if view else Observed(now=clock.now()))
        return Status(
            name=name,
            phase=_phase(kept.desired, view),
            wanted=wanted(kept.desired, view.observed),
            ready=view.ready,
            addresses=addresses_of(kept, self._edge),
            revisions=tuple(self._revisions(name, view)),
            findings=tuple(self._findings(kept, tended)),
        )

    def wanted(self, name: str) -> Service:
        """A service as it is wanted, without the mark of its last restart."""
        service = self._there(name).service
        env = {key: value for key, value in service.template.env.items() if key != RESTARTED}
        return msgspec.structs.replace(service, template=msgspec.structs.replace(service.template, env=env))

    def all(self) -> list[Status]:
        """Say how every service is."""
        return [self.status(name) for name in self._state.services()]

    def scale(self, name: str, least: int, most: int) -> Applied:
        """Keep it between so many replicas."""
        before, event = self._there(name), self._last_event()
        replicas = msgspec.structs.replace(before.service.replicas, least=least, most=most)

        def work(kept: Kept) -> Kept:
            desired = msgspec.structs.replace(
                kept.desired, replicas=_count(replicas, kept.desired), warm=_warms(replicas)
            )
            service = msgspec.structs.replace(kept.service, replicas=replicas)
            return msgspec.structs.replace(kept, service=service, desired=desired)

        after = self._state.change(name, work) or before
        numbers = {"from": before.desired.replicas, "to": after.desired.replicas}
        return self._wanted(name, "scale", f"replicas wanted: {_range(replicas)}", event, numbers)

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

    def move(self, name: str, engine: str) -> Applied:
        """Have another engine run it, by a rolling replacement; raises what keeps that one from it."""
        kept = self._there(name)
        moved = moved_to(kept.service, engine, self._workshop.usual)
        self._workshop.check(moved)
        known = self._state.revision(name, moved, f"moved to {engine}")
        return self._turn_to(kept, known, f"revision {known.number} is wanted: {known.why}")

    def pause(self, name: str, *, on: bool) -> Applied:
        """Hold a rollout, or go on with it; its patience begins anew."""
        self._there(name)
        event = self._last_event()
        self._state.change(name, lambda kept: _desiring(kept, paused=on, began=clock.now()))
        words = "the rollout is paused" if on else "the rollout goes on"
        return self._wanted(name, "pause" if on else "resume", words, event)

    def delete(self, name: str) -> None:
        """Let go of a service and of all that belongs to it."""
        self._state.change(name, lambda kept: _desiring(kept, gone=True))
        self._wanted(name, "delete", "the service is deleted", 0)

    # --- changing

    def _checked(self, service: Service) -> Service:
        """The service with the engine that runs it now, where none is said; raises what keeps it from being kept."""
        if len(service.name) > 63 - _MARGIN:
            raise ConfigError(f"the name {service.name!r} is too long", f"use at most {63 - _MARGIN} characters")
        if service.host:
            check_host(service, self._state.services().values(), has_edge=self._edge is not None)
        kept = self._state.services().get(service.name)
        check_kind(service, kept)
        service = staying(service, kept.service) if kept else service
        self._workshop.check(service.template)
        return service

    def _fresh(self, service: Service) -> Kept | None:
        """How it is kept, None where it is not; raises ConflictError while it is being deleted."""
        kept = self._state.services().get(service.name)
        if kept is not None and kept.desired.gone:
            raise ConflictError(f"{service.name} is being deleted", "deploy it again when it is gone")
        return kept

    def _first(self, service: Service, known: Known) -> Kept:
        desired = Desired(
            revision=known.number,
            replicas=_count(service.replicas),
            rollout=service.rollout,
            warm=_warms(service.replicas),
            began=clock.now(),
        )
        taken = [kept.address for kept in self._state.services().values()]
        places = listen_first(self._folder / service.name, service, taken)
        address, named_port = places.get(NAMED, ("", 0))
        return Kept(
            service=service,
            desired=desired,
            port=places[HTTP][1],
            token=secrets.token_hex(16),
            address=address,
            named_port=named_port,
            grpc_port=places[GRPC][1] if GRPC in places else 0,
        )

    def _turn_to(self, kept: Kept, known: Known, why: str) -> Applied:
        """Want another revision of what is kept."""
        name, event = kept.service.name, self._last_event()

        def work(kept: Kept) -> Kept:
            service = msgspec.structs.replace(kept.service, template=known.template)
            return _wanting(kept, service, _next(kept, known.number, service))

        self._state.change(name, work)
        return self._wanted(name, "apply", why, event)

    def _wanted(
        self, name: str, kind: str, why: str, event: int, numbers: Mapping[str, object] | None = None
    ) -> Applied:
        """Note how a service is wanted from now on, and have it looked after."""
        desired = self._state.find(name).desired
        told = numbers or {"revision": desired.revision, "replicas": desired.replicas}
        try:
            self._state.note(name, kind, why, told)
        finally:
            self._begin(name)
        return Applied(revision=desired.revision, event=event)

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
        return [
            Revision(
                number=known.number,
                digest=known.digest,
                image=known.template.reference,
                weight=view.observed.weights.get(known.number, 0.0),
                replicas=there[known.number],
                ready=ready[known.number],
                created=_text(known.created),
                why=known.why,
                engine=known.template.engine,
            )
            for known in self._state.history(name)
        ]

    def _findings(self, kept: Kept, tended: Tended | None) -> list[Finding]:
        name, found = kept.service.name, list[Finding]()
        losses = [loss for loss in self._state.losses(name) if loss.soon and loss.revision == kept.desired.revision]
        lately = recent(kept.desired.revision, [loss.crash for loss in losses], clock.now())
        if losses and (len(lately) >= LOOP or (lately and not kept.desired.settled)):
            last, times = losses[-1], "once" if len(lately) == 1 else f"{len(lately)} times"
            message = f"replicas of revision {last.revision} were lost {times}, the last one: {last.why}"
            found.append(Finding(message=message, hint=f"`tiffin logs {name}`", log=last.log))
        if kept.service.replicas.scales and not kept.desired.replicas:
            how = "with its model loaded" if kept.desired.warm else "without a replica"
            found.append(Finding(message=f"it sleeps, {how}: the next request wakes it"))
        return found + [Finding(message=trouble) for trouble in (tended.troubles if tended else ())]


def _next(kept: Kept, number: int, service: Service) -> Desired:
    """How it is wanted from now on; what is there already as wanted stays settled."""
    desired, replicas = kept.desired, service.replicas
    settled = desired.settled and desired.revision == number
    return msgspec.structs.replace(
        desired,
        revision=number,
        replicas=_count(replicas, desired) if settled else max(_count(replicas, desired), min(replicas.most, 1)),
        rollout=service.rollout,
        canary=0.0,
        proven=False,
        settled=settled,
        failed=False,
        warm=_warms(replicas),
        began=clock.now(),
    )


def _wanting(kept: Kept, service: Service, desired: Desired) -> Kept:
    return msgspec.structs.replace(kept, service=service, desired=desired)


def _desiring(kept: Kept, **changes: object) -> Kept:
    return msgspec.structs.replace(kept, desired=msgspec.structs.replace(kept.desired, **changes))


def _promoted(kept: Kept) -> Kept | None:
    return _desiring(kept, canary=0.0, proven=False, began=clock.now()) if kept.desired.canary else None


def _count(replicas: Replicas, desired: Desired | None = None) -> int:
    """So many are wanted now: of a range as many as there are, one for a service that begins."""
    return min(max(desired.replicas if desired else 1, replicas.least), replicas.most)


def _warms(replicas: Replicas) -> bool:
    return replicas.warm and replicas.scales and not replicas.least


def _range(replicas: Replicas) -> str:
    return f"{replicas.least}-{replicas.most}" if replicas.scales else str(replicas.least)


def _phase(desired: Desired, view: View) -> Phase:
    if desired.paused and not desired.settled:
        return Phase.PAUSED
    if desired.failed:
        return Phase.FAILED
    if not desired.settled and not desired.proven:
        return Phase.PROGRESSING
    return Phase.AVAILABLE if view.ready >= desired.replicas else Phase.DEGRADED


def _differences(old: Service, new: Service) -> list[str]:
    """Say in what a service differs from how it is kept, a line a thing."""
    found = []
    if revision_of(old.template) != revision_of(new.template):
        before, after = (msgspec.to_builtins(one, enc_hook=str) for one in (_plain(old.template), new.template))
        found = [f"{key}: {before[key]} -> {after[key]}" for key in after if before[key] != after[key]]
    if old.replicas != new.replicas:
        found.append(f"replicas: {_range(old.replicas)} -> {_range(new.replicas)}")
    if old.host != new.host:
        found.append(f"host: {old.host or 'none'} -> {new.host or 'none'}")
    if old.rollout != new.rollout:
        found.append("rollout: other pace")
    return found


def _plain(template: Template) -> Template:
    env: Mapping[str, str] = {name: value for name, value in template.env.items() if name != RESTARTED}
    return msgspec.structs.replace(template, env=env)


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
