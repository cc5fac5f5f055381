"""One service of this machine: looked at, decided for, and acted for. Everything here blocks; one thread at a time."""

from __future__ import annotations

import contextlib
import functools
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from tiffin.deploy.local.decide import decide, serves
from tiffin.deploy.local.fronts import Fronts, Order, Seen, Workers
from tiffin.deploy.local.replicas import HALL, SOCKET, Found, Place, ended, last_words, life_of, options_of, seconds_of
from tiffin.deploy.local.seen import (
    Change,
    Close,
    Desired,
    GiveUp,
    Health,
    Observed,
    Open,
    Remove,
    Replica,
    Settle,
    Stage,
    Start,
    Stop,
    Wait,
)
from tiffin.deploy.local.state import Known, Loss, State
from tiffin.deploy.local.workshop import Workshop
from tiffin.errors import ConflictError, NotFoundError, TiffinError

SOON = 10.0
"""A replica that ends sooner than so many seconds after it was ready has crashed; others have lived."""
HOST = "127.0.0.1"
TROUBLE_SECONDS = 1.0
"""How soon is tried again what could not be done."""
IDLE_SECONDS = 10.0
"""After so long a service is looked at again of which nothing was heard."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What was last seen of a service, for whoever asks; `pids` are the processes whose end matters."""

    desired: Desired
    observed: Observed
    pids: frozenset[int] = frozenset()

    @property
    def ready(self) -> int:
        """How many replicas serve."""
        return sum(serves(one, self.observed) for one in self.observed.replicas)


class Tended:
    """A service and what there is of it; nothing is remembered here that is not seen again after a restart."""

    def __init__(self, name: str, folder: Path, state: State, workshop: Workshop, home: str) -> None:
        self._name, self._folder, self._state, self._workshop, self._home = name, folder, state, workshop, home
        self._fronts = Fronts(folder)
        self._stopping: set[str] = set()
        self._lived: dict[str, float] = {}
        self._told: dict[str, str] = {}
        self._stop: Callable[[Callable[[], None]], object] = lambda work: work()
        self.view: View | None = None

    @property
    def troubles(self) -> tuple[str, ...]:
        """What goes wrong again and again."""
        return tuple(self._told.values())

    def step(self, containers: Iterable[Found], stop: Callable[[Callable[[], None]], object]) -> float | None:
        """Look, decide and act once; returns when to look again, in seconds since 1970, None when it is gone.

        `stop` does what takes long, some time; until it has been done the replica counts as stopping.
        """
        self._stop = stop
        kept = self._state.find(self._name)
        found = self._sorted_out(containers, life_of(kept.token))
        if not kept.desired.gone:
            self._hold(kept.port)
        observed, pids = self._observe(found)
        self.view = View(desired=kept.desired, observed=observed, pids=pids)
        if kept.desired.gone and not observed.replicas and not observed.fronts:
            self._forget()
            return None
        changes = decide(kept.desired, observed)
        for change in changes:
            if not self._act(change, kept.desired, found):
                return time.time() + TROUBLE_SECONDS
        return _next_look(changes, observed)

    def _sorted_out(self, containers: Iterable[Found], life: str) -> dict[str, Found]:
        """The replicas by name; those of an earlier life of the service are let go."""
        own = {one.name: one for one in containers if one.service == self._name}
        for one in [one for one in own.values() if one.life != life]:
            del own[one.name]
            if one.name not in self._stopping:
                self._stopping.add(one.name)
                self._note("stop", f"{one.name} is of an earlier life of the service, and removed")
                self._stop(functools.partial(_remove, one))
        return own

    def leave(self) -> None:
        """Look after it no longer; it goes on."""
        self._fronts.close()

    # --- looking

    def _hold(self, port: int) -> None:
        """Have a holder; what keeps it from being is told once, and tried again."""
        try:
            self._fronts.hold({"http": (HOST, port)})
        except (ConflictError, OSError) as error:
            self._tell("port", str(error))
        else:
            self._told.pop("port", None)

    def _observe(self, found: dict[str, Found]) -> tuple[Observed, frozenset[int]]:
        fronts = self._fronts.look()
        said = {number: self._fronts.workers(self._place(number)) or Workers() for number in fronts}
        limits = {known.number: known.template.load_seconds for known in self._state.history(self._name)}
        now = time.time()
        replicas = tuple(
            self._replica(one, fronts, said.get(one.revision, Workers()), now, limits.get(one.revision, 600.0))
            for one in found.values()
        )
        observed = Observed(
            now=now,
            replicas=replicas,
            fronts={number: front.open for number, front in fronts.items()},
            crashes=tuple(loss.crash for loss in self._state.losses(self._name) if loss.soon),
            health={
                number: Health(requests=one.requests, errors=one.errors, p99=one.p99) for number, one in said.items()
            },
        )
        self._lived |= {one.name: one.since for one in replicas if one.stage is Stage.READY}
        pids = {one.state.pid for one in found.values()} | {front.pid for front in fronts.values()}
        return observed, frozenset(pids - {0})

    def _replica(self, one: Found, fronts: dict[int, Seen], said: Workers, now: float, limit: float) -> Replica:
        stage, since, failure = Stage.STARTING, seconds_of(one.state.started), ""
        if ended(one.state):
            stage = Stage.ENDED
        elif one.name in self._stopping:
            stage = Stage.STOPPING
        elif one.name in said.ready:
            stage, since = Stage.READY, said.ready[one.name]
        elif one.name in said.failures:
            failure = said.failures[one.name]
        elif one.revision in fronts and now - max(since, fronts[one.revision].began) > limit:
            failure = f"it has not been ready for {limit:g} seconds"
        return Replica(name=one.name, revision=one.revision, stage=stage, since=since, failure=failure)

    # --- acting

    def _act(self, change: Change, desired: Desired, found: dict[str, Found]) -> bool:
        """Do what was decided; what cannot be done is told, and what comes after it is decided anew."""
        try:
            if isinstance(change, Open):
                self._open(change.revision)
            elif isinstance(change, Close):
                self._fronts.stop(change.revision)
                self._note("close", f"revision {change.revision} gets no more requests")
            elif isinstance(change, Start):
                self._start(change.revision)
            elif isinstance(change, Stop):
                self._let_go(found[change.replica], change.why, desired)
            elif isinstance(change, Remove):
                self._remove(found[change.replica])
            elif isinstance(change, GiveUp | Settle):
                self._turn(change, desired)
        except (TiffinError, OSError) as error:
            self._tell(type(change).__name__, f"{type(change).__name__.lower()}: {error}")
            return False
        self._told.pop(type(change).__name__, None)
        return True

    def _open(self, revision: int) -> None:
        known = self._known(revision)
        place = self._place(revision)
        (place / HALL).mkdir(mode=0o755, parents=True, exist_ok=True)
        for name, data in self._workshop.documents(known.template).items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
        argv, environment = self._workshop.front()
        template = known.template
        own = {
            "TIFFIN_WORKER_SOCKET": f"{HALL}/{SOCKET}",
            "TIFFIN_WORKER_TOKEN": self._state.find(self._name).token,
            "TIFFIN_FRONT_WAITS": "1",
            "TIFFIN_DRAIN_SECONDS": f"{template.drain_seconds:g}",
            "TIFFIN_IMAGE": str(template.digest),
        }
        secrets = {one.name: one.source for one in template.secrets}
        if "bearer-token" in secrets:
            own["TIFFIN_BEARER_TOKEN_FILE"] = secrets["bearer-token"]
        told = {name: value for name, value in template.env.items() if name.startswith("TIFFIN_")}
        order = Order(
            argv=(*argv, "front", "--service", "service.json"), env={**environment, **told, **own}, cwd=str(place)
        )
        self._fronts.start(revision, order)
        self._note("open", f"revision {revision} has a front")

    def _start(self, revision: int) -> None:
        template = self._known(revision).template
        place = Place(
            home=self._home,
            service=self._name,
            revision=revision,
            token=self._state.find(self._name).token,
            folder=self._place(revision),
        )
        options = options_of(template, place)
        try:
            container = self._workshop.engine.create(self._workshop.spec(template, options))
            container.start()
        except (TiffinError, OSError) as error:
            self._lose(Loss(container=options.name, revision=revision, time=time.time(), why=str(error)))
            return
        self._note("start", f"{options.name} is started", {"revision": revision})

    def _let_go(self, one: Found, why: str, desired: Desired) -> None:
        failure = self.view and next((r.failure for r in self.view.observed.replicas if r.name == one.name), "")
        if failure and not desired.gone:
            words = last_words(one.container)
            self._lose(
                Loss(container=one.container.id, revision=one.revision, time=time.time(), why=failure, log=words)
            )
        self._stopping.add(one.name)
        self._note("stop", f"{one.name} is stopped: {why}", {"revision": one.revision})

        def work() -> None:
            try:
                one.container.stop()
            except (TiffinError, OSError) as error:
                self._tell("stop", f"{one.name} cannot be stopped: {error}")
                self._stopping.discard(one.name)

        self._stop(work)

    def _remove(self, one: Found) -> None:
        state = one.state
        if one.name not in self._stopping and state.started:
            at = seconds_of(state.finished) or time.time()
            soon = at - self._lived.get(one.name, at) < SOON
            why = f"it ended with {state.exit_code}" + (f" ({state.reason})" if state.reason else "")
            words = last_words(one.container)
            self._lose(Loss(container=one.container.id, revision=one.revision, time=at, why=why, soon=soon, log=words))
        with contextlib.suppress(NotFoundError):
            one.container.remove()
        self._stopping.discard(one.name)
        self._lived.pop(one.name, None)

    def _lose(self, loss: Loss) -> None:
        if self._state.lose(self._name, loss):
            numbers = {"revision": loss.revision, "soon": loss.soon, "log": list(loss.log[-5:])}
            self._note("lost", f"a replica of revision {loss.revision} was lost: {loss.why}", numbers)

    def _turn(self, change: GiveUp | Settle, desired: Desired) -> None:
        """Go on with another revision, or stay with this one; whoever has deployed another meanwhile wins."""
        if self._state.find(self._name).desired != desired:
            return
        if isinstance(change, Settle):
            kept = self._state.find(self._name).service.rollout.history
            self._state.want(
                self._name, msgspec.structs.replace(desired, settled=True, stable=change.revision, failed=False)
            )
            self._state.trim(self._name, kept, [change.revision])
            self._note("available", f"revision {change.revision} is available", {"replicas": desired.replicas})
            self._sweep(change.revision)
            return
        self._go_back(change, desired)

    def _go_back(self, change: GiveUp, desired: Desired) -> None:
        kept, why = self._state.find(self._name), change.why
        lost = [loss for loss in self._state.losses(self._name) if loss.revision == change.revision]
        if lost and lost[-1].time >= desired.began:
            why += f"; the last one: {lost[-1].why}"
        if change.to:
            template = self._known(change.to).template
            service = msgspec.structs.replace(kept.service, template=template)
            desired = msgspec.structs.replace(desired, revision=change.to, began=time.time(), canary=0.0)
            why += f"; back to revision {change.to}"
        else:
            service, desired = kept.service, msgspec.structs.replace(desired, failed=True)
        self._state.keep(msgspec.structs.replace(kept, service=service, desired=desired))
        self._note("given-up", why, {"revision": change.revision, "to": change.to})

    def _sweep(self, revision: int) -> None:
        """Delete the folders of fronts that are gone."""
        for place in self._folder.glob("*/"):
            if place.name.isdecimal() and int(place.name) != revision:
                shutil.rmtree(place, ignore_errors=True)

    def _forget(self) -> None:
        self._fronts.end()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._note("deleted", "the service is gone")
        self._state.forget(self._name)  # last: from now on it may come again

    # --- words

    def _place(self, revision: int) -> Path:
        return self._folder / str(revision)

    def _known(self, revision: int) -> Known:
        for known in self._state.history(self._name):
            if known.number == revision:
                return known
        raise NotFoundError(f"{self._name} has no revision {revision}", f"`tiffin history {self._name}` lists them")

    def _note(self, kind: str, message: str, numbers: dict[str, object] | None = None) -> None:
        self._state.note(self._name, kind, message, numbers)

    def _tell(self, what: str, message: str) -> None:
        """Write what went wrong into the journal, once until it is something else."""
        if self._told.get(what) != message:
            self._told[what] = message
            self._note("trouble", message)


def _remove(one: Found) -> None:
    with contextlib.suppress(TiffinError):
        one.container.remove(force=True)


def _next_look(changes: Sequence[Change], observed: Observed) -> float:
    """Look again soon while anything is on its way, else when a decision says so, else some time."""
    moving = any(one.stage in {Stage.STARTING, Stage.STOPPING} for one in observed.replicas)
    moving |= any(not open_ for open_ in observed.fronts.values())
    if moving or any(not isinstance(change, Wait) for change in changes):
        return observed.now + 0.1
    idle = (observed.now // IDLE_SECONDS + 1) * IDLE_SECONDS  # all at once, so that one survey is enough for all
    return min([change.until for change in changes if isinstance(change, Wait)] + [idle])
