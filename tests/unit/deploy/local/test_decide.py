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
    Sleep,
    Stage,
    Start,
    Stop,
    Wake,
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
    return msgspec.structs.replace(Observed(now=NOW, replicas=replicas, fronts=fronts, weights={1: 100.0}), **more)


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
        (Health(requests=1000, errors=0, p99=0.2), "200 ms"),
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


def test_a_canary_that_fails_is_taken_back_and_one_that_came_up_is_not_given_up_for_its_age() -> None:
    canary = rolling(replicas=1, canary=10.0, began=NOW - 1000)
    both = seen(replica("a", 1), replica("b", 2, since=NOW - 999), weights={1: 90.0, 2: 10.0})
    assert what(decide(canary, both), GiveUp) == []
    worse = msgspec.structs.replace(
        both, health={1: Health(requests=999, errors=0, p99=0.1), 2: Health(requests=100, errors=10, p99=0.1)}
    )
    assert [(change.revision, change.to) for change in what(decide(canary, worse), GiveUp)] == [(2, 1)]
    lost = seen(replica("a", 1), replica("b", 2, Stage.STARTING), weights={1: 90.0, 2: 10.0})
    assert what(decide(msgspec.structs.replace(canary, proven=True), lost), GiveUp) == []
    assert what(decide(msgspec.structs.replace(canary, proven=True), lost), Shift) == [Shift(weights={1: 100.0})]
    assert len(what(decide(canary, lost), GiveUp)) == 1


def test_a_canary_is_scaled_with_its_service() -> None:
    canary = rolling(replicas=20, canary=10.0)
    twenty = [replica(f"r{number}", 1) for number in range(20)]
    changes = decide(canary, seen(*twenty, replica("c", 2), weights={1: 90.0, 2: 10.0}))
    assert what(changes, Start, Stop) == [Start(revision=2)]
    fewer = decide(msgspec.structs.replace(canary, replicas=10), seen(*twenty, replica("c", 2)))
    assert len(what(fewer, Stop)) == 10


def test_a_third_revision_takes_the_place_of_a_canary_and_of_what_was_there() -> None:
    third = Desired(revision=3, stable=1, replicas=2, began=NOW - 1)
    there = seen(replica("a", 1), replica("b", 1), replica("c", 2), weights={1: 90.0, 2: 10.0})
    changes = decide(third, there)
    assert what(changes, Open) == [Open(revision=3)]
    assert what(changes, Close) == [Close(revision=2)]
    assert what(changes, Shift) == [Shift(weights={1: 100.0})]


def test_while_nobody_knows_who_is_ready_nothing_is_let_go_and_what_lacks_is_started() -> None:
    unknown = seen(replica("a", 1, Stage.STARTING), replica("b", 2, Stage.STARTING), blind=True)
    assert decide(rolling(), unknown) == []
    assert decide(rolling(), seen(replica("a", 1, Stage.STARTING), blind=True)) == [
        Open(revision=2),
        Start(revision=2),
    ]
    late = rolling(began=NOW - 601)
    assert len(what(decide(late, unknown), GiveUp)) == 1, "a front that never comes up holds no rollout for ever"


def test_a_service_without_replicas_keeps_its_front_for_whoever_comes() -> None:
    asleep = Desired(revision=1, stable=1, replicas=0, settled=True)
    assert [change.replica for change in what(decide(asleep, seen(replica("a", 1))), Stop)] == ["a"]
    assert decide(asleep, Observed(now=NOW, fronts={1: True}, weights={1: 100.0})) == []
    woken = msgspec.structs.replace(asleep, replicas=1)
    going = seen(replica("a", 1, Stage.STOPPING))
    assert decide(woken, going) == [Start(revision=1)], "it waits for nobody who is on the way out"
    assert decide(woken, Observed(now=NOW, fronts={1: True}, weights={1: 100.0})) == [Start(revision=1)]


def test_the_last_one_of_a_warm_service_sleeps_and_is_woken() -> None:
    warm = Desired(revision=1, stable=1, replicas=0, settled=True, warm=True)
    both = seen(replica("a", 1, since=1), replica("b", 1, since=2))
    assert [change.replica for change in what(decide(warm, both), Stop)] == ["b"]
    assert what(decide(warm, both), Sleep) == []
    assert decide(warm, seen(replica("a", 1))) == [Sleep(revision=1)]
    asleep = seen(replica("a", 1, Stage.ASLEEP), asleep=frozenset({1}))
    assert decide(warm, asleep) == []
    assert decide(msgspec.structs.replace(warm, replicas=1), asleep) == [Wake(revision=1)]
    assert decide(warm, seen(replica("a", 1, Stage.ENDED), asleep=frozenset({1}), fronts={1: True})) == [
        Remove(replica="a"),
        Start(revision=1),
    ]
    gone = msgspec.structs.replace(warm, gone=True)
    assert Close(revision=1) in decide(gone, asleep)


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
        self.weights: dict[int, float] = {}
        self.asleep: set[int] = set()
        self.blind = False
        self.desired = Desired(revision=1, replicas=2, began=self.now)

    @property
    def observed(self) -> Observed:
        return Observed(
            now=self.now,
            replicas=tuple(self.replicas.values()),
            fronts=dict(self.fronts),
            crashes=tuple(self.crashes),
            asleep=frozenset(self.asleep),
            weights={revision: self.weights.get(revision, 0.0) for revision, open_ in self.fronts.items() if open_},
            blind=self.blind,
        )

    def serving(self) -> int:
        return sum(serves(one, self.observed) for one in self.replicas.values())

    def total(self) -> int:
        return sum(one.stage is not Stage.ENDED for one in self.replicas.values())

    def put(self, name: str, stage: Stage) -> None:
        if stage is Stage.READY and self.replicas[name].revision in self.asleep:
            stage = Stage.ASLEEP
        self.replicas[name] = msgspec.structs.replace(self.replicas[name], stage=stage, since=self.now)

    # --- the supervisor

    @rule(done=st.one_of(st.none(), st.integers(0, 4)))
    def decides(self, done: int | None = None) -> None:
        """Do what is decided; it may be killed after any change, and the next one knows no more than it did."""
        before, total = self.serving(), self.total()
        before = 0 if self.blind else before
        floor = self.desired.replicas - self.desired.rollout.unavailable
        if self.desired.gone:
            floor = 0
        changes = decide(self.desired, self.observed)
        assert changes == decide(self.desired, self.observed)
        for change in changes[:done]:
            self.act(change)
        assert self.serving() >= min(before, floor)
        if done is None or done >= len(changes):
            self.shares_are_whole(changes)
        canary = max(self.desired.replicas, 1) if self.desired.canary else 0
        wanted = self.desired.replicas + self.desired.sleeps
        assert self.total() <= max(total, wanted + self.desired.surge + canary)

    def shares_are_whole(self, changes: list[Change]) -> None:
        """Requests are shared out among those that stay and serve, and a canary that is ready has its part."""
        seen = self.observed
        if self.blind or self.desired.gone or any(isinstance(change, GiveUp) for change in changes):
            return
        able = {one.revision for one in self.replicas.values() if serves(one, seen)}
        given = {revision for revision, weight in seen.weights.items() if weight}
        if seen.weights and any(isinstance(change, Shift) for change in changes):
            assert abs(sum(seen.weights.values()) - 100) < 0.01
        if able and not any(isinstance(change, Stop) for change in changes):
            assert given
            assert given <= able
        desired = self.desired
        if desired.canary and desired.rolls and {desired.revision, desired.stable} <= able:
            assert abs(seen.weights[desired.revision] - desired.canary) < 0.01

    def act(self, change: Change) -> None:
        if isinstance(change, Open | Close):
            assert change.revision not in self.asleep
            self.fronts[change.revision] = isinstance(change, Open)
        elif isinstance(change, Shift):
            assert all(self.fronts[revision] for revision in change.weights)
            assert abs(sum(change.weights.values()) - 100) < 0.01
            self.weights = dict(change.weights)
        elif isinstance(change, Sleep):
            self.asleep.add(change.revision)
            for one in [one for one in self.replicas.values() if one.stage is Stage.READY]:
                self.put(one.name, Stage.ASLEEP)
        elif isinstance(change, Wake):
            self.asleep.discard(change.revision)
            for one in [one for one in self.replicas.values() if one.stage is Stage.ASLEEP]:
                self.put(one.name, Stage.STARTING)
        elif isinstance(change, Settle | GiveUp):
            self.turn(change)
        else:
            self.act_on_replica(change)

    def act_on_replica(self, change: Change) -> None:
        if isinstance(change, Start):
            name = f"r{next(self.names)}"
            self.replicas[name] = replica(name, change.revision, Stage.STARTING, self.now)
        elif isinstance(change, Stop):
            if self.replicas[change.replica].failure:
                self.crashes.append(Crash(revision=self.replicas[change.replica].revision, time=self.now))
            self.put(change.replica, Stage.STOPPING)
        elif isinstance(change, Remove):
            del self.replicas[change.replica]

    def turn(self, change: Settle | GiveUp) -> None:
        if isinstance(change, Settle):
            assert all(one.revision == change.revision for one in self.replicas.values())
            self.desired = msgspec.structs.replace(self.desired, settled=True, stable=change.revision, failed=False)
        else:
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
            proven=False,
            replicas=max(self.desired.replicas, 1),
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

    @rule(warm=st.booleans())
    def warms(self, warm: bool) -> None:  # noqa: FBT001 - drawn
        self.desired = msgspec.structs.replace(self.desired, warm=warm)

    @rule(blind=st.booleans())
    def front_is_there(self, blind: bool) -> None:  # noqa: FBT001 - drawn
        self.blind = blind

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
        self.finish()

    def finish(self) -> None:
        """Revisions that were closed have no requests left, and are taken out of the table."""
        for revision in [revision for revision, open_ in self.fronts.items() if not open_]:
            del self.fronts[revision]
            self.asleep.discard(revision)

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
        self.blind = False
        for _ in range(400):
            self.decides(None)
            for one in list(self.replicas.values()):
                if one.stage in {Stage.STARTING, Stage.STOPPING}:
                    self.move(one)
            self.finish()
            self.now += 5
            there = self.desired.replicas + self.desired.sleeps
            if self.desired.settled and self.serving() == self.desired.replicas and there == len(self.replicas):
                break
        else:
            assert self.desired.failed or self.desired.revision in self.broken, self.desired
            return
        assert self.desired.revision not in self.broken or not self.desired.replicas
        assert {one.revision for one in self.replicas.values()} <= {self.desired.revision}


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
