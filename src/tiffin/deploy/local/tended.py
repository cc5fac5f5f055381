"""One service of this machine: looked at, decided for, and acted for. Everything here blocks; one thread at a time."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tiffin.deploy.autoscale import Decision
from tiffin.deploy.local import clock, reasons
from tiffin.deploy.local.booth import Booth
from tiffin.deploy.local.casualties import WHY, Casualties
from tiffin.deploy.local.decide import decide, serves
from tiffin.deploy.local.journal import Journal
from tiffin.deploy.local.others import reached
from tiffin.deploy.local.replicas import Found, Place, last_words, life_of, options_of, seconds_of
from tiffin.deploy.local.scaler import Scaler
from tiffin.deploy.local.scaling import Course
from tiffin.deploy.local.seen import (
    Change,
    Close,
    Desired,
    GiveUp,
    Observed,
    Open,
    Remove,
    Settle,
    Shift,
    Sleep,
    Stage,
    Start,
    Stop,
    Wait,
    Wake,
)
from tiffin.deploy.local.sight import Picture, Sight
from tiffin.deploy.local.state import Kept, Known, Loss, State
from tiffin.deploy.local.table import Told
from tiffin.deploy.local.workshop import Workshop
from tiffin.deploy.service import Template
from tiffin.errors import NotFoundError, TiffinError

SOON = 10.0
"""A replica that ends sooner than so many seconds after it was ready has crashed; others have lived."""
TROUBLE_SECONDS = 1.0
"""How soon is tried again what could not be done."""
UNREADY_SECONDS = 1.0
"""How long a replica that is not ready has to go: it has nothing to finish, and may not hear yet that it is to."""
AGAIN_SECONDS = 0.02
"""How soon is looked at what was just changed."""
MOVING_SECONDS = 0.25
"""How soon is looked again while something is on its way; the front and the end of processes are heard of sooner."""
IDLE_SECONDS = 10.0
"""After so long a service is looked at again of which nothing was heard."""
_ACTING = "acting"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What was last seen of a service, for whoever asks; `pids` are the processes whose end matters.

    `told` is what its front says of its revisions, `scaled` the last decision about how many replicas it has, `course`
    what its load has been. `processes` are the first ones of replicas, by their names.
    """

    desired: Desired
    observed: Observed
    told: Told = Told()
    scaled: Decision | None = None
    course: Course = Course(began=0.0)
    pids: frozenset[int] = frozenset()
    processes: dict[str, int] = {}

    @property
    def ready(self) -> int:
        """How many replicas serve."""
        return sum(serves(one, self.observed) for one in self.observed.replicas)


class Tended:
    """A service and what there is of it; nothing is remembered here that is not seen again after a restart."""

    def __init__(self, name: str, folder: Path, state: State, workshop: Workshop, home: str) -> None:
        self._name, self._state, self._workshop, self._home = name, state, workshop, home
        self._booth = Booth(name, folder, workshop)
        self._journal = Journal(name, state)
        self._sight = Sight()
        self._casualties = Casualties()
        self._scaler = Scaler(name, state, self._journal)
        self._stop: Callable[[Callable[[], None]], object] = lambda work: work()
        self.view: View | None = None

    @property
    def troubles(self) -> tuple[str, ...]:
        """What goes wrong again and again."""
        return self._journal.troubles

    def step(self, containers: Iterable[Found], stop: Callable[[Callable[[], None]], object]) -> float | None:
        """Look, decide and act once; returns when to look again by `clock`, None when it is gone.

        `stop` does what takes long, some time; until it has been done the replica counts as stopping.
        """
        self._stop = stop
        self._journal.flush()
        kept = self._state.find(self._name)
        found = self._sorted_out(containers, life_of(kept.token))
        if not kept.service.template.inherits:
            replicas = [(one.revision, one.container, one.state) for one in found.values()]
            self._booth.reach(reached(self._state.history(self._name), replicas, self._sight.stopping))
        picture = self._picture(kept)
        observed = self._observe(found, picture)
        if picture.told:
            self._tell_casualties(picture.told, found, observed)
        desired, scaled = self._scaler.follow(kept, observed, picture.told, self._sight.start_seconds)
        pids = {one.state.pid for one in found.values()}
        pids |= {picture.seen.pid, picture.seen.holder} if picture.seen else set()
        self.view = View(
            desired=desired,
            observed=observed,
            told=picture.told or Told(),
            scaled=scaled or (self.view.scaled if self.view else None),
            course=self._scaler.course,
            pids=frozenset(pids - {0}),
            processes={one.name: one.state.pid for one in found.values()},
        )
        if desired.gone and not observed.replicas and not observed.fronts:
            self._forget()
            return None
        changes = decide(desired, observed)
        for change in changes:
            if not self._act(change, kept, desired, found):
                return clock.now() + TROUBLE_SECONDS
        self._journal.over(_ACTING)
        due = self._scaler.next_look(kept.service.replicas, desired.replicas, observed.now)
        soon = _next_look(changes, observed)
        return min(soon, due) if due else soon

    def leave(self) -> None:
        """Look after it no longer; it goes on."""
        self._booth.leave()

    # --- looking

    def _sorted_out(self, containers: Iterable[Found], life: str) -> dict[str, Found]:
        """The replicas by name; those of an earlier life of the service are let go."""
        own = {one.name: one for one in containers if one.service == self._name}
        for one in [one for one in own.values() if one.life != life]:
            del own[one.name]
            if one.name not in self._sight.stopping:
                self._sight.stopping.add(one.name)
                self._note("stop", f"{one.name} is of an earlier life of the service, and removed")
                self._stop(functools.partial(_remove, one))
        return own

    def _picture(self, kept: Kept) -> Picture:
        """Have a front, and look at it; what keeps it from being is told once, and tried again."""
        try:
            picture = self._booth.look(kept)
        except (TiffinError, OSError) as error:
            self._journal.tell("front", str(error))
            return Picture(table=self._booth.table)
        self._journal.over("front")
        return picture

    def _observe(self, found: Mapping[str, Found], picture: Picture) -> Observed:
        limits = {known.number: known.template.load_seconds for known in self._state.history(self._name)}
        return self._sight.observe(found.values(), picture, self._journal.crashes(), limits)

    def _tell_casualties(self, told: Told, found: Mapping[str, Found], observed: Observed) -> None:
        leaving = {one.revision for one in observed.replicas if one.stage in {Stage.STOPPING, Stage.ENDED}}
        for revision, why, count in self._casualties.since(told, found.values(), leaving):
            times = "" if count == 1 else f", {count} times"
            words = f"a worker of revision {revision} was lost and is replaced: {WHY.get(why, why)}{times}"
            self._note("worker", words, {"revision": revision, "reason": why, "count": count})

    # --- acting

    def _act(self, change: Change, kept: Kept, desired: Desired, found: dict[str, Found]) -> bool:
        """Do what was decided; what cannot be done is told, and what comes after it is decided anew."""
        try:
            if isinstance(change, Open | Close | Sleep | Wake | Shift):
                self._tell_front(change, kept, desired)
            elif isinstance(change, Start):
                self._start(change.revision, kept)
            elif isinstance(change, Stop):
                self._let_go(found[change.replica], change.why, desired)
            elif isinstance(change, Remove):
                self._remove(found[change.replica])
            elif isinstance(change, GiveUp | Settle):
                self._turn(change, desired)
        except (TiffinError, OSError) as error:
            self._journal.tell(_ACTING, f"{type(change).__name__.lower()}: {error}")
            return False
        return True

    def _tell_front(self, change: Open | Close | Sleep | Wake | Shift, kept: Kept, desired: Desired) -> None:
        """Change the table, and note why."""
        if isinstance(change, Shift):
            self._shift(change, desired)
            return
        revision = change.revision
        if isinstance(change, Open):
            self._booth.open(kept, self._known(revision))
            self._note("open", f"the front knows revision {revision}")
        elif isinstance(change, Close):
            self._booth.close(revision)
            self._note("close", f"revision {revision} gets no more requests")
        else:
            asleep = isinstance(change, Sleep)
            self._booth.sleep(revision, on=asleep)
            message = (
                f"revision {revision} sleeps, with its model loaded" if asleep else f"revision {revision} is awake"
            )
            self._note("sleep" if asleep else "wake", message)

    def _shift(self, change: Shift, desired: Desired) -> None:
        self._booth.shift(change.weights)
        if self.view:
            observed = msgspec.structs.replace(self.view.observed, weights=change.weights)
            self.view = msgspec.structs.replace(self.view, observed=observed)
        shares = ", ".join(f"{weight:.3g} % to revision {key}" for key, weight in sorted(change.weights.items()))
        self._note("shift", f"requests go {shares}", {"weights": {str(key): w for key, w in change.weights.items()}})
        if desired.canary and not desired.proven and change.weights.get(desired.revision) == desired.canary:
            self._want(desired, msgspec.structs.replace(desired, proven=True))

    def _start(self, revision: int, kept: Kept) -> None:
        template = self._known(revision).template
        place = Place(
            home=self._home,
            service=self._name,
            revision=revision,
            token=kept.token,
            folder=self._booth.place(revision),
        )
        options = options_of(template, place)
        try:
            engine = self._workshop.engine_called(template.engine)
            container = engine.create(self._workshop.spec(template, options))
            self._sight.started(options.name)
            container.start()
        except (TiffinError, OSError) as error:
            loss = Loss(
                container=options.name,
                replica=options.name,
                revision=revision,
                time=clock.now(),
                why=str(error),
                reason=reasons.START,
            )
            self._journal.lose(loss)
            return
        self._note("start", f"{options.name} is started", {"revision": revision})

    def _let_go(self, one: Found, why: str, desired: Desired) -> None:
        seen = next((r for r in self.view.observed.replicas if r.name == one.name), None) if self.view else None
        if (failure := seen.failure if seen else "") and not desired.gone:
            self._journal.lose(_loss(one, clock.now(), failure, reasons.of_failure(failure)))
        self._sight.stopping.add(one.name)
        self._note("stop", f"{one.name} is stopped: {why}", {"revision": one.revision})

        binds = one.name in self._booth.upstreams(one.revision)
        if binds:
            self._booth.drain(one.revision, one.name)

        def work() -> None:
            try:
                if binds:
                    self._booth.await_drained(one.name)
                one.container.stop(UNREADY_SECONDS if seen and seen.stage is Stage.STARTING else None)
            except (TiffinError, OSError) as error:
                self._journal.tell("stop", f"{one.name} cannot be stopped: {error}")
                self._sight.stopping.discard(one.name)

        self._stop(work)

    def _remove(self, one: Found) -> None:
        state = one.state
        if one.name not in self._sight.stopping and state.started:
            at = clock.since(seconds_of(state.finished)) if state.finished else clock.now()
            why = f"it ended with {state.exit_code}" + (f" ({state.reason})" if state.reason else "")
            loss = _loss(one, at, why, reasons.of_end(state))
            self._journal.lose(msgspec.structs.replace(loss, soon=self._sight.lived(one.name, at) < SOON))
        with contextlib.suppress(NotFoundError):
            one.container.remove()
        self._sight.removed(one.name)

    def _want(self, before: Desired, after: Desired, template: Template | None = None) -> Kept | None:
        """Want it otherwise from now on, unless somebody has changed meanwhile how it is wanted: who does so wins."""

        def work(kept: Kept) -> Kept | None:
            if msgspec.structs.replace(kept.desired, replicas=before.replicas) != before:
                return None
            desired = msgspec.structs.replace(after, replicas=kept.desired.replicas)
            service = msgspec.structs.replace(kept.service, template=template or kept.service.template)
            return msgspec.structs.replace(kept, service=service, desired=desired)

        return self._state.change(self._name, work)

    def _turn(self, change: GiveUp | Settle, desired: Desired) -> None:
        """Go on with another revision, or stay with this one."""
        if isinstance(change, GiveUp):
            self._go_back(change, desired)
            return
        settled = msgspec.structs.replace(desired, settled=True, stable=change.revision, failed=False, proven=False)
        kept = self._want(desired, settled)
        if kept is None:
            return
        self._state.trim(self._name, kept.service.rollout.history, [change.revision])
        numbers = {"replicas": desired.replicas, "revision": change.revision, "stable": desired.stable}
        self._note("available", f"revision {change.revision} is available", numbers)
        self._booth.sweep(change.revision)

    def _go_back(self, change: GiveUp, desired: Desired) -> None:
        why = change.why
        lost = [loss for loss in self._state.losses(self._name) if loss.revision == change.revision]
        if lost and lost[-1].time >= desired.began:
            why += f"; the last one: {lost[-1].why}"
        after, template = msgspec.structs.replace(desired, failed=True), None
        if change.to:
            after = msgspec.structs.replace(desired, revision=change.to, began=clock.now(), canary=0.0, proven=False)
            template = self._known(change.to).template
            why += f"; back to revision {change.to}"
        if self._want(desired, after, template) is None:
            return
        self._note("given-up", why, {"revision": change.revision, "to": change.to})

    def _forget(self) -> None:
        self._booth.end()
        self._note("deleted", "the service is gone")
        self._state.forget(self._name)  # last: from now on it may come again

    # --- words

    def _known(self, revision: int) -> Known:
        for known in self._state.history(self._name):
            if known.number == revision:
                return known
        raise NotFoundError(f"{self._name} has no revision {revision}", f"`tiffin history {self._name}` lists them")

    def _note(self, kind: str, message: str, numbers: Mapping[str, Any] | None = None) -> None:
        self._journal.note(kind, message, numbers)


def _remove(one: Found) -> None:
    with contextlib.suppress(TiffinError):
        one.container.remove(force=True)


def _next_look(changes: Sequence[Change], observed: Observed) -> float:
    """Look again soon while anything is on its way, else when a decision says so, else some time."""
    moving = any(one.stage in {Stage.STARTING, Stage.STOPPING} for one in observed.replicas)
    moving |= observed.blind or any(not open_ for open_ in observed.fronts.values())
    waits = [change.until for change in changes if isinstance(change, Wait)]
    if any(not isinstance(change, Wait) for change in changes):
        return observed.now + AGAIN_SECONDS
    if moving:
        return min([*waits, observed.now + MOVING_SECONDS])
    idle = (observed.now // IDLE_SECONDS + 1) * IDLE_SECONDS  # all at once, so that one survey is enough for all
    return min([*waits, idle])


def _loss(one: Found, at: float, why: str, reason: str) -> Loss:
    """What is remembered of a replica whose container is there, with the last that it wrote."""
    return Loss(
        container=one.container.id,
        replica=one.name,
        revision=one.revision,
        time=at,
        why=why,
        reason=reason,
        log=last_words(one.container),
    )
