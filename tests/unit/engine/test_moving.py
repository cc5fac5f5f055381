"""What it takes to move a container, decided from what is seen: every state that a killed move can leave included."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.engine.moving import Act, Move, Sight, plan_move, why_interrupted
from tiffin.engine.spec import ContainerSpec, Mount, Network, Port, Status, named_volumes
from tiffin.errors import ConflictError, NotFoundError, UnsupportedError
from tiffin.oci.digest import Digest

CACHE = Mount(source="cache", target="/cache", volume=True, read_only=False)
FREE, FIXED = Port(container_port=8080), Port(container_port=8080, host_port=8080)
RUNS = Sight(here=Status.RUNNING, there=None)


def spec(**more: Any) -> ContainerSpec:
    return ContainerSpec(name="iris", image="iris", digest=Digest.of(b""), layers=(), argv=("a",), **more)


def acts(move: Move) -> list[str]:
    return [" ".join(filter(None, (step.act.name, step.volume))) for step in (*move.steps, *move.finish)]


def test_the_new_one_is_ready_before_the_old_one_is_stopped() -> None:
    move = plan_move(spec(ports=(FREE,)), RUNS)
    assert acts(move) == ["LOAD", "CREATE", "START", "READY", "STOP", "REMOVE"]
    assert not move.interrupts


def test_where_both_need_one_port_all_else_is_done_before_the_old_one_is_stopped() -> None:
    move = plan_move(spec(ports=(FIXED,)), RUNS)
    assert acts(move) == ["LOAD", "CREATE", "STOP", "START", "READY", "REMOVE"]
    assert move.interrupts == "both would listen on 127.0.0.1:8080"


def test_a_volume_that_is_written_is_copied_once_more_when_nobody_writes_it() -> None:
    move = plan_move(spec(mounts=(CACHE,)), RUNS)
    assert acts(move) == [
        *("LOAD", "REHEARSE cache", "CREATE", "STOP", "DISCARD", "COPY cache", "CREATE", "START", "READY"),
        *("REMOVE", "FORGET cache"),
    ]


def test_a_volume_that_is_only_read_interrupts_nobody() -> None:
    move = plan_move(spec(mounts=(Mount(source="cache", target="/cache", volume=True),)), RUNS)
    assert acts(move) == ["LOAD", "COPY cache", "CREATE", "START", "READY", "STOP", "REMOVE", "FORGET cache"]


def test_a_volume_that_another_container_has_stays_with_it() -> None:
    sight = Sight(here=Status.RUNNING, there=None, shared=("cache",))
    assert "FORGET cache" not in acts(plan_move(spec(mounts=(CACHE,)), sight))


def test_what_a_killed_move_left_is_removed_while_the_old_one_serves() -> None:
    sight = Sight(here=Status.RUNNING, there=Status.RUNNING, begun=True, taken=("cache",))
    assert acts(plan_move(spec(), sight)) == ["DISCARD", "LOAD", "CREATE", "START", "READY", "STOP", "REMOVE"]


def test_a_killed_move_goes_on_where_the_old_one_had_stopped() -> None:
    sight = Sight(here=Status.EXITED, there=Status.CREATED, begun=True)
    assert acts(plan_move(spec(mounts=(CACHE,)), sight)) == [
        *("LOAD", "DISCARD", "COPY cache", "CREATE", "START", "READY", "STOP", "REMOVE", "FORGET cache")
    ]
    serving = Sight(here=Status.EXITED, there=Status.RUNNING, begun=True)
    assert acts(plan_move(spec(), serving)) == ["READY", "STOP", "REMOVE"]
    moved = Sight(here=None, there=Status.RUNNING, begun=True)
    assert acts(plan_move(spec(mounts=(CACHE,)), moved)) == ["READY", "FORGET cache"]
    ended = Sight(here=None, there=Status.EXITED, begun=True)
    assert acts(plan_move(spec(mounts=(CACHE,)), ended)) == ["START", "READY", "FORGET cache"]


def test_the_only_one_there_is_and_one_that_may_have_served_are_never_undone() -> None:
    for here, there in ((None, Status.RUNNING), (None, Status.EXITED), (Status.EXITED, Status.RUNNING)):
        assert not plan_move(spec(), Sight(here=here, there=there, begun=True)).undone
    assert plan_move(spec(), RUNS).undone


@pytest.mark.parametrize(
    ("sight", "error", "words"),
    [
        (Sight(here=Status.EXITED, there=None), ConflictError, "iris does not run"),
        (Sight(here=Status.RUNNING, there=Status.EXITED), ConflictError, "another container is called 'iris'"),
        (Sight(here=Status.RUNNING, there=None, taken=("cache",)), ConflictError, "volume 'cache' is there already"),
        (Sight(here=None, there=None), NotFoundError, "neither engine has a container called 'iris'"),
    ],
)
def test_what_would_destroy_or_move_nothing_is_refused(sight: Sight, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        plan_move(spec(), sight)


def test_what_was_written_to_the_root_is_lost_only_if_one_says_so() -> None:
    with pytest.raises(UnsupportedError, match="what it wrote there is not moved"):
        plan_move(spec(read_only=False), RUNS)
    assert acts(plan_move(spec(read_only=False), RUNS, drop_writes=True))[-1] == "REMOVE"


STATUSES = st.sampled_from([None, *Status])
SPECS = st.builds(
    spec,
    ports=st.sampled_from([(), (FREE,), (FIXED,)]),
    mounts=st.sampled_from([(), (CACHE,), (Mount(source="cache", target="/cache", volume=True),)]),
    network=st.sampled_from([Network.NONE, Network.HOST]),
)


@given(SPECS, STATUSES, STATUSES)
def test_whatever_is_there_the_old_one_goes_only_after_the_new_one_is_ready(
    wanted: ContainerSpec, here: Status | None, there: Status | None
) -> None:
    if not here and not there:
        return
    move = plan_move(wanted, Sight(here=here, there=there, begun=True))
    done = [step.act for step in move.steps]
    assert done[-1] is Act.READY
    assert not {Act.REMOVE, Act.FORGET} & set(done)
    if here is Status.RUNNING:
        assert (Act.STOP in done) == bool(why_interrupted(wanted))
        assert [step.volume for step in move.steps if step.act is Act.COPY] == named_volumes(wanted)
    if here is None:
        assert not {Act.DISCARD, Act.COPY, Act.CREATE} & set(done)
    for at, act in enumerate(done):
        if act is Act.START and here:
            assert Act.CREATE in done[:at]
        if act is Act.COPY:  # nobody has the volume then
            before = [one for one in done[:at] if one in {Act.CREATE, Act.DISCARD}]
            assert not before or before[-1] is Act.DISCARD
