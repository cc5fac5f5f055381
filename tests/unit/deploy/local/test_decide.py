"""What is decided of a service of this machine, looked at and in whatever order things fail."""

from __future__ import annotations

import itertools

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tiffin.deploy.local.backoff import next_start
from tiffin.deploy.local.decide import decide, is_sure, serves
from tiffin.deploy.local.seen import (
    Change,
    Close,
    Crash,
    Desired,
    GiveUp,
    Health,
    Observed,
    Open,
    Remove,
    Replica,
    Settle,
    Shift,
    Stage,
    Start,
    Stop,
)
from tiffin.deploy.service import Rollout

NOW = 1000.0


def replica(name: str, revision: int, stage: Stage = Stage.READY, since: float = 0.0, failure: str = "") -> Replica:
    return Replica(name=name, revision=revision, stage=stage, since=since, failure=failure)


def rolling(replicas: int = 1, **more: object) -> Desired:
    desired = Desired(revision=2, stable=1, replicas=replicas, began=NOW - 1)
    return msgspec.structs.replace(desired, **more)


def seen(*replicas: Replica, **more: object) -> Observed:
    fronts = dict.fromkeys({one.revision for one in replicas}, True)
    return msgspec.structs.replace(Observed(now=NOW, replicas=replicas, fronts=fronts), **more)


def what(changes: list[Change], *kinds: type) -> list[Change]:
    return [change for change in changes if isinstance(change, kinds)]


def test_a_first_deployment_gets_a_front_and_its_replicas() -> None:
    changes = decide(Desired(revision=1, replicas=2, began=NOW), Observed(now=NOW))
    assert changes[:3] == [Open(revision=1), Start(revision=1), Start(revision=1)]


def test_an_update_of_one_replica_starts_a_second_and_stops_nothing() -> None:
    changes = decide(rolling(), seen(replica("a", 1)))
    assert what(changes, Open, Start, Stop, Close) == [Open(revision=2), Start(revision=2)]


def test_the_old_front_finishes_before_its_last_replica_goes() -> None:
    both = seen(replica("a", 1), replica("b", 2))
    assert what(decide(rolling(), both), Stop, Close) == [Close(revision=1)]
    finishing = msgspec.structs.replace(both, fronts={1: False, 2: True})
    assert what(decide(rolling(), finishing), Stop, Close) == []
    finished = msgspec.structs.replace(both, fronts={2: True})
    assert [change.replica for change in what(decide(rolling(), finished), Stop)] == ["a"]


def test_a_new_replica_counts_after_it_was_ready_for_a_while() -> None:
    slow = rolling(rollout=Rollout(ready_seconds=10))
    fresh = seen(replica("a", 1), replica("b", 2, since=NOW - 9))
    assert what(decide(slow, fresh), Close) == []
    assert what(decide(slow, msgspec.structs.replace(fresh, now=NOW + 1)), Close) == [Close(revision=1)]


def test_it_settles_when_nothing_of_the_old_revision_is_left() -> None:
    assert what(decide(rolling(), seen(replica("a", 1, Stage.STOPPING), replica("b", 2))), Settle) == []
    assert what(decide(rolling(), seen(replica("b", 2))), Settle) == [Settle(revision=2)]


def test_without_surge_one_goes_before_one_comes() -> None:
    desired = rolling(replicas=2, rollout=Rollout(surge=0, unavailable=1))
    changes = decide(desired, seen(replica("a", 1, since=1), replica("b", 1, since=2)))
    assert [change.replica for change in what(changes, Stop)] == ["b"]
    assert what(changes, Start) == []


def test_a_revision_that_does_not_come_up_is_given_up_after_three_crashes() -> None:
    crashes = tuple(Crash(revision=2, time=NOW - 0.1) for _ in range(3))
    (change,) = decide(rolling(), seen(replica("a", 1), crashes=crashes))
    assert isinstance(change, GiveUp)
    assert (change.revision, change.to) == (2, 1)
    assert "does not come up" in change.why


def test_a_rollout_that_comes_no_further_is_given_up() -> None:
    stuck = rolling(began=NOW - 601)
    (change,) = decide(stuck, seen(replica("a", 1), replica("b", 2, Stage.STARTING)))
    assert isinstance(change, GiveUp)
    assert change.why == "revision 2 has made no progress for 600 seconds"
    assert what(decide(msgspec.structs.replace(stuck, paused=True), seen(replica("a", 1))), GiveUp) == []


def test_a_revision_that_fails_more_or_answers_later_is_given_up() -> None:
    both = seen(replica("a", 1), replica("b", 2))
    old = Health(requests=1000, errors=1, p99=0.010)
    for new, word in [
        (Health(requests=200, errors=20, p99=0.01), "10.0% of the requests"),
        (Health(requests=200, errors=0, p99=0.2), "200 ms"),
    ]:
        worse = msgspec.structs.replace(both, health={1: old, 2: new})
        (change,) = what(decide(rolling(), worse), GiveUp)
        assert word in msgspec.to_builtins(change)["why"]
    few = msgspec.structs.replace(both, health={1: old, 2: Health(requests=9, errors=9, p99=9)})
    assert what(decide(rolling(), few), GiveUp) == []


def test_a_paused_rollout_goes_no_further_and_makes_up_for_what_is_lost() -> None:
    paused = rolling(replicas=2, paused=True)
    both = seen(replica("a", 1), replica("b", 2))
    assert what(decide(paused, both), Start, Stop, Close) == []
    lost = msgspec.structs.replace(seen(replica("a", 1)), fronts={1: True, 2: True})
    assert what(decide(paused, lost), Start, Stop) == [Start(revision=1)]


def test_a_canary_stands_beside_what_is_there_with_its_share() -> None:
    canary = rolling(replicas=4, canary=10.0)
    four = [replica(name, 1) for name in "abcd"]
    assert what(decide(canary, seen(*four)), Start, Stop) == [Start(revision=2)]
    there = seen(*four, replica("e", 2), weights={1: 100.0})
    assert what(decide(canary, there), Start, Stop, Close, Settle) == []
    assert what(decide(canary, there), Shift) == [Shift(weights={2: 10.0, 1: 90.0})]
    promoted = msgspec.structs.replace(canary, canary=0.0)
    assert what(decide(promoted, there), Start) == []
    assert len(what(decide(promoted, there), Stop)) == 1


def test_scaling_down_stops_the_youngest_and_up_starts_at_once() -> None:
    settled = Desired(revision=1, stable=1, replicas=1, settled=True)
    two = seen(replica("a", 1, since=1), replica("b", 1, since=2))
    assert [change.replica for change in what(decide(settled, two), Stop)] == ["b"]
    three = msgspec.structs.replace(settled, replicas=3)
    assert what(decide(three, two), Start, Stop) == [Start(revision=1)]


def test_a_replica_of_no_use_is_replaced() -> None:
    settled = Desired(revision=1, stable=1, replicas=1, settled=True)
    failing = seen(replica("a", 1, failure="it fails a check"))
    assert decide(settled, failing)[:1] == [Start(revision=1)] or what(decide(settled, failing), Stop)
    assert [change.why for change in what(decide(settled, failing), Stop)] == ["it fails a check"]


def test_what_has_ended_is_cleared_away_and_started_again_later_each_time() -> None:
    settled = Desired(revision=1, stable=1, replicas=1, settled=True)
    ended = seen(replica("a", 1, Stage.ENDED))
    assert what(decide(settled, ended), Remove, Start) == [Remove(replica="a"), Start(revision=1)]
    times = [NOW, NOW + 1, NOW + 3, NOW + 7]
    waits = [
        next_start(1, [Crash(revision=1, time=time) for time in times[:count]]) - times[count - 1]
        for count in range(2, 5)
    ]
    assert waits == [1.0, 2.0, 4.0]
    assert next_start(1, [Crash(revision=1, time=NOW)]) == 0.0
    assert next_start(1, [Crash(revision=1, time=NOW + n) for n in range(20)]) == NOW + 19 + 60


def test_a_service_that_is_deleted_is_let_go_front_first() -> None:
    gone = Desired(revision=1, stable=1, replicas=1, settled=True, gone=True)
    assert what(decide(gone, seen(replica("a", 1))), Stop, Close, Start, Open) == [Close(revision=1)]
    assert [one.replica for one in what(decide(gone, seen(replica("a", 1), fronts={})), Stop)] == ["a"]
    assert decide(gone, Observed(now=NOW)) == []


class World(RuleBasedStateMachine):
    """A machine on which anything fails at any time. The decider is asked, and some of what it says is done, or all."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.replicas: dict[str, Replica] = {}
        self.fronts: dict[int, bool] = {}
        self.crashes: list[Crash] = []
        self.broken: set[int] = set()
        self.names = itertools.count()
        self.revisions = 1
        self.desired = Desired(revision=1, replicas=2, began=self.now)

    @property
    def observed(self) -> Observed:
        return Observed(
            now=self.now,
            replicas=tuple(self.replicas.values()),
            fronts=dict(self.fronts),
            crashes=tuple(self.crashes),
        )

    def serving(self) -> int:
        return sum(serves(one, self.observed) for one in self.replicas.values())

    def total(self) -> int:
        return sum(one.stage is not Stage.ENDED for one in self.replicas.values())

    def put(self, name: str, stage: Stage) -> None:
        self.replicas[name] = msgspec.structs.replace(self.replicas[name], stage=stage, since=self.now)

    # --- the supervisor

    @rule(done=st.one_of(st.none(), st.integers(0, 4)))
    def decides(self, done: int | None = None) -> None:
        """Do what is decided; it may be killed after any change, and the next one knows no more than it did."""
        before, total = self.serving(), self.total()
        floor = self.desired.replicas - self.desired.rollout.unavailable
        if self.desired.gone:
            floor = 0
        changes = decide(self.desired, self.observed)
        assert changes == decide(self.desired, self.observed)
        for change in changes[:done]:
            self.act(change)
        assert self.serving() >= min(before, floor)
        canary = max(self.desired.replicas, 1) if self.desired.canary else 0
        assert self.total() <= max(total, self.desired.replicas + self.desired.surge + canary)

    def act(self, change: Change) -> None:  # noqa: C901 - one line for each kind
        if isinstance(change, Open):
            self.fronts[change.revision] = True
        elif isinstance(change, Close):
            self.fronts[change.revision] = False
        elif isinstance(change, Start):
            name = f"r{next(self.names)}"
            self.replicas[name] = replica(name, change.revision, Stage.STARTING, self.now)
        elif isinstance(change, Stop):
            if self.replicas[change.replica].failure:
                self.crashes.append(Crash(revision=self.replicas[change.replica].revision, time=self.now))
            self.put(change.replica, Stage.STOPPING)
        elif isinstance(change, Remove):
            del self.replicas[change.replica]
        elif isinstance(change, Settle):
            assert all(one.revision == change.revision for one in self.replicas.values())
            self.desired = msgspec.structs.replace(self.desired, settled=True, stable=change.revision, failed=False)
        elif isinstance(change, GiveUp):
            back = {"revision": change.to, "began": self.now, "canary": 0.0} if change.to else {"failed": True}
            self.desired = msgspec.structs.replace(self.desired, **back)

    # --- the user

    @rule(
        bad=st.booleans(),
        canary=st.sampled_from([0.0, 0.0, 10.0, 60.0]),
        surge=st.integers(0, 2),
        less=st.integers(0, 2),
    )
    def deploys(self, bad: bool, canary: float, surge: int, less: int) -> None:  # noqa: FBT001 - drawn
        self.revisions += 1
        if bad:
            self.broken.add(self.revisions)
        self.desired = msgspec.structs.replace(
            self.desired,
            revision=self.revisions,
            canary=canary if self.desired.stable else 0.0,
            settled=False,
            failed=False,
            began=self.now,
            rollout=Rollout(surge=surge, unavailable=less, progress_seconds=60),
        )

    @precondition(lambda self: self.desired.stable)
    @rule()
    def rolls_back(self) -> None:
        self.desired = msgspec.structs.replace(
            self.desired, revision=self.desired.stable, canary=0.0, settled=False, began=self.now
        )

    @rule(count=st.integers(0, 4))
    def scales(self, count: int) -> None:
        self.desired = msgspec.structs.replace(self.desired, replicas=count)

    @rule(paused=st.booleans())
    def pauses(self, paused: bool) -> None:  # noqa: FBT001 - drawn
        self.desired = msgspec.structs.replace(self.desired, paused=paused, began=self.now)

    @rule()
    def promotes(self) -> None:
        self.desired = msgspec.structs.replace(self.desired, canary=0.0, began=self.now)

    # --- the machine

    @rule(pick=st.randoms(use_true_random=False))
    def something_moves(self, pick: object) -> None:
        """One replica or front comes to the next stage of its life."""
        moving = [one for one in self.replicas.values() if one.stage in {Stage.STARTING, Stage.STOPPING}]
        if moving:
            self.move(pick.choice(sorted(moving, key=lambda one: one.name)))  # type: ignore[attr-defined]
        for revision in [revision for revision, open_ in self.fronts.items() if not open_]:
            del self.fronts[revision]

    def move(self, one: Replica) -> None:
        if one.stage is Stage.STOPPING:
            self.put(one.name, Stage.ENDED)
        elif one.revision in self.broken:
            self.crash(one)
        else:
            self.put(one.name, Stage.READY)

    def crash(self, one: Replica) -> None:
        self.crashes.append(Crash(revision=one.revision, time=self.now))
        self.put(one.name, Stage.ENDED)

    @rule(pick=st.randoms(use_true_random=False), failure=st.booleans())
    def something_breaks(self, pick: object, failure: bool) -> None:  # noqa: FBT001 - drawn
        living = sorted(
            (one for one in self.replicas.values() if one.stage is not Stage.ENDED), key=lambda one: one.name
        )
        if not living:
            return
        one: Replica = pick.choice(living)  # type: ignore[attr-defined]
        if failure and one.stage is not Stage.STOPPING:
            self.replicas[one.name] = msgspec.structs.replace(one, failure="it fails a check")
        else:
            self.crash(one)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # --- what holds

    @invariant()
    def nothing_sure_is_unready(self) -> None:
        for one in self.replicas.values():
            assert not is_sure(one, self.desired, self.observed) or one.stage is Stage.READY

    def teardown(self) -> None:
        """When nothing fails any more but what is broken, the service comes to what is wanted."""
        self.desired = msgspec.structs.replace(self.desired, paused=False, canary=0.0, began=self.now)
        for _ in range(400):
            self.decides(None)
            for one in list(self.replicas.values()):
                if one.stage in {Stage.STARTING, Stage.STOPPING}:
                    self.move(one)
            for revision in [revision for revision, open_ in self.fronts.items() if not open_]:
                del self.fronts[revision]
            self.now += 5
            if self.desired.settled and self.serving() == self.desired.replicas == len(self.replicas):
                break
        else:
            assert self.desired.failed or self.desired.revision in self.broken, self.desired
            return
        assert self.desired.revision not in self.broken or not self.desired.replicas
        assert {one.revision for one in self.replicas.values()} <= {self.desired.revision}


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
