"""How many replicas one service has: its load is followed, and what is decided is noted with its numbers."""

from __future__ import annotations

from typing import Any

import msgspec

from tiffin.deploy.autoscale import Decision, Policy
from tiffin.deploy.local import clock
from tiffin.deploy.local.decide import serves
from tiffin.deploy.local.journal import Journal
from tiffin.deploy.local.scaling import Course, follow, next_look, policy_of, reading_of, stirred
from tiffin.deploy.local.seen import Desired, Observed
from tiffin.deploy.local.state import Kept, State
from tiffin.deploy.local.table import Told
from tiffin.deploy.service import Replicas
from tiffin.errors import TiffinError

_TROUBLE = "scale"


class Scaler:
    """Follows the load of one service; what it remembers of it goes with the supervisor."""

    def __init__(self, name: str, state: State, journal: Journal) -> None:
        self._name, self._state, self._journal = name, state, journal
        self.course = Course(began=clock.now())
        """What its load has been."""
        self._unwritten: int | None = None

    def follow(
        self, kept: Kept, observed: Observed, told: Told | None, start_seconds: float
    ) -> tuple[Desired, Decision | None]:
        """Say how the service is wanted from now on, and what says so where that is new."""
        desired, replicas = kept.desired, kept.service.replicas
        if self._unwritten is not None:
            desired = msgspec.structs.replace(desired, replicas=self._unwritten)
        if not replicas.scales or desired.gone or told is None or observed.blind:
            return desired, None
        policy = policy_of(replicas, start_seconds)
        if not desired.settled:  # somebody has to show that the revision is of use
            policy = msgspec.structs.replace(policy, least=max(policy.least, 1))
            self.course = stirred(self.course, observed.now)
        ready = sum(serves(one, observed) for one in observed.replicas)
        reading = reading_of(told, observed.now)
        decision, self.course = follow(policy, self.course, reading, ready, desired.replicas)
        if decision is None:
            return desired, None
        numbers = _numbers(decision, policy, desired.replicas, ready, reading.waiting)
        return self._change(kept, desired, decision, numbers), decision

    def next_look(self, replicas: Replicas, wanted: int, now: float) -> float:
        """When the number may change although nothing is heard; 0 where it cannot."""
        return next_look(policy_of(replicas, 0.0), self.course, wanted, now) if replicas.scales else 0.0

    def _change(self, kept: Kept, desired: Desired, decision: Decision, numbers: dict[str, Any]) -> Desired:
        """Write down that another number is wanted; where that cannot be written, it is wanted all the same."""

        def work(now: Kept) -> Kept | None:
            if now.service.replicas != kept.service.replicas or now.desired.gone:
                return None
            return msgspec.structs.replace(now, desired=msgspec.structs.replace(now.desired, replicas=decision.wanted))

        try:
            changed = self._state.change(self._name, work)
            self._unwritten = None
        except TiffinError as error:
            self._unwritten = decision.wanted
            self._journal.tell(_TROUBLE, f"the number of replicas is not written down: {error.message}")
        else:
            self._journal.over(_TROUBLE)
            if changed is None:  # somebody wants it otherwise meanwhile
                return desired
        message = f"replicas {desired.replicas} -> {decision.wanted}: {decision.why}"
        self._journal.note("scaled", message, numbers)
        return msgspec.structs.replace(desired, replicas=decision.wanted)


def _numbers(decision: Decision, policy: Policy, before: int, ready: int, waiting: int) -> dict[str, Any]:
    """What made a decision, for the journal."""
    return {
        "from": before,
        "to": decision.wanted,
        "ready": ready,
        "waiting": waiting,
        "stable": round(decision.stable, 3),
        "panic": round(decision.panic, 3),
        "backlog": round(decision.backlog, 3),
        "panics": decision.panics,
        "start_seconds": round(policy.start_seconds, 3),
    }
