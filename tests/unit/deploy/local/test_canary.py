"""A canary on this machine: its share, its end by hand, by itself, and by a third revision."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from programs.waiting import until
from tiffin.deploy.local.places import FOLDER
from tiffin.deploy.local.table import read_table
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.target import Phase, Status
from tiffin.errors import CommandError, ConfigError, ConflictError, NotFoundError
from unit.deploy.local.stage import Play, names, other, served_by, service


def shares(status: Status) -> dict[int, float]:
    return {one.number: one.weight for one in status.revisions if one.weight}


def test_a_canary_has_its_share_as_soon_as_it_is_ready_and_is_promoted(target: LocalTarget, data: Path) -> None:
    target.apply(service(replicas=2))
    status = target.canary(other("b"), 10.0)
    assert status.phase is Phase.AVAILABLE
    assert shares(status) == {1: 90.0, 2: 10.0}
    assert [one.ready for one in status.revisions] == [1, 2]
    assert (status.ready, status.wanted) == (3, 3)
    table = read_table(data / FOLDER / "iris")
    assert table is not None
    assert {key: one.weight for key, one in table.revisions.items()} == {"1": 90.0, "2": 10.0}
    assert Counter(served_by(status) for _ in range(100)) == {"1": 90, "2": 10}
    promoted = target.promote("iris")
    assert shares(promoted) == {2: 100.0}
    assert served_by(promoted) == "2"
    assert "requests go 90 % to revision 1, 10 % to revision 2" in [event.message for event in target.events("iris")]


def test_another_share_of_the_same_revision_is_a_shift(target: LocalTarget, play: Play) -> None:
    target.apply(service())
    target.canary(other("b"), 10.0)
    before = names(play)
    target.canary(other("b"), 40.0)
    until(lambda: shares(target.status("iris")) == {1: 60.0, 2: 40.0})
    assert names(play) == before


def test_a_canary_is_given_up_by_rollback(target: LocalTarget) -> None:
    target.apply(service())
    target.canary(other("b"), 10.0)
    status = target.rollback("iris")
    assert shares(status) == {1: 100.0}
    assert served_by(status) == "1"
    assert [one.ready for one in target.history("iris")] == [0, 1]


def test_a_canary_of_no_use_is_taken_back_by_itself(target: LocalTarget) -> None:
    target.apply(service())
    with pytest.raises(CommandError, match="back to revision 1") as told:
        target.canary(service("fails"), 10.0)
    assert "it failed its self-test" in told.value.message
    until(lambda: target.status("iris").phase is Phase.AVAILABLE)
    assert shares(target.status("iris")) == {1: 100.0}
    with pytest.raises(NotFoundError, match="no canary"):
        target.promote("iris")


def test_a_third_revision_takes_the_place_of_both(target: LocalTarget, play: Play) -> None:
    target.apply(service(replicas=2))
    target.canary(other("b"), 10.0)
    assert len(names(play)) == 3
    status = target.apply(other("c"))
    assert shares(status) == {3: 100.0}
    assert len(names(play)) == 1
    assert served_by(status) == "3"


def test_a_canary_is_scaled_with_its_service(target: LocalTarget) -> None:
    target.apply(service(replicas=2))
    target.canary(other("b"), 50.0)
    target.scale("iris", 4, 4)
    until(lambda: [one.ready for one in target.history("iris")] == [2, 4])
    assert shares(target.status("iris")) == {1: 50.0, 2: 50.0}


def test_what_cannot_be_a_canary_is_refused(target: LocalTarget) -> None:
    with pytest.raises(ConflictError, match="no revision that serves yet"):
        target.canary(service(), 10.0)
    target.apply(service())
    with pytest.raises(ConflictError, match="this is the revision of iris that is there"):
        target.canary(service(), 10.0)
    with pytest.raises(ConfigError, match="not a share"):
        target.canary(other("b"), 100.0)
    with pytest.raises(NotFoundError, match="iris has no canary"):
        target.promote("iris")
    assert [one.number for one in target.history("iris")] == [1]
