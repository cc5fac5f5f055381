"""What every target promises: a service is kept as wanted, looked at, scaled, gone back from, and let go of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from apiserver.controller import Controller
from apiserver.server import ApiServer
from kubernetes_fixtures import client
from tiffin.deploy.kubernetes.target import KubernetesTarget
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Replicas, Service, Template, revision_of
from tiffin.deploy.target import (
    Action,
    CanCanary,
    CanGoBack,
    CanReach,
    CanRestart,
    CanScale,
    Phase,
    Status,
    Target,
)
from tiffin.engine.spec import CanExec
from tiffin.errors import NotFoundError, TiffinError
from tiffin.oci.digest import Digest
from unit.deploy.local.stage import Play, supervised

OLD, NEW = (Digest.of(text) for text in (b"old", b"new"))


def service(digest: Digest = OLD, replicas: int = 1) -> Service:
    template = Template(image="registry.example/team/iris", digest=digest, ports={"http": 8080})
    return Service(name="iris", template=template, replicas=Replicas(least=replicas, most=replicas))


@pytest.fixture(params=["kubernetes", "local"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    if request.param == "local":
        play = Play()
        with supervised(tmp_path, play):
            local = LocalTarget(tmp_path, play.engine)
            yield local
            for status in local.list():
                local.delete(status.name)
        return
    with ApiServer().running() as server, Controller(server).running():
        yield KubernetesTarget(client(server), "default")


def serving(status: Status) -> Digest | None:
    """What revision has the replicas; where a cluster counts it anew, it is the newest."""
    return max(status.revisions, key=lambda one: (one.ready, one.number)).digest


def test_a_service_that_is_not_there_is_not_found(target: Target) -> None:
    assert target.list() == []
    for ask in (target.status, target.delete):
        with pytest.raises(NotFoundError) as caught:
            ask("iris")
        assert caught.value.hint


def test_a_plan_does_nothing_and_says_what_an_apply_does(target: Target) -> None:
    assert all(change.action is Action.CREATE for change in target.plan(service()))
    assert target.list() == []
    target.apply(service())
    assert all(change.action is Action.KEEP for change in target.plan(service()))


def test_what_is_applied_is_available_and_the_same_again_is_no_new_revision(target: Target) -> None:
    status = target.apply(service(replicas=2))
    assert (status.name, status.phase, status.ready, status.wanted) == ("iris", Phase.AVAILABLE, 2, 2)
    assert status.addresses
    again = target.apply(service(replicas=2))
    assert [one.number for one in again.revisions] == [1]
    assert again.revisions[0].digest == revision_of(service().template)
    assert [one.name for one in target.list()] == ["iris"]


def test_going_back_brings_what_was_there(target: Target) -> None:
    assert isinstance(target, CanGoBack)
    target.apply(service())
    target.apply(service(NEW))
    assert [one.digest for one in target.history("iris")] == [
        revision_of(service(digest).template) for digest in (NEW, OLD)
    ]
    assert serving(target.rollback("iris")) == revision_of(service().template)
    with pytest.raises(NotFoundError):
        target.rollback("iris", 99)


def test_scaling_makes_no_new_revision_and_restarting_replaces_what_is_there(target: Target) -> None:
    assert isinstance(target, CanScale)
    assert isinstance(target, CanRestart)
    target.apply(service())
    target.scale("iris", 2, 2)
    assert target.status("iris").wanted == 2
    assert {one.digest for one in target.status("iris").revisions} == {revision_of(service().template)}
    assert target.restart("iris").phase is Phase.AVAILABLE


def test_a_canary_has_its_share_until_it_is_promoted(target: Target) -> None:
    assert isinstance(target, CanCanary)
    target.apply(service(replicas=3))
    canary = target.canary(service(NEW, replicas=3), 25)
    assert sorted(one.weight for one in canary.revisions if one.weight) == [25, 75]
    with pytest.raises(TiffinError, match="this is the revision of iris that is there"):
        target.canary(service(replicas=3), 25)
    assert serving(target.promote("iris")) == revision_of(service(NEW).template)
    with pytest.raises(NotFoundError, match="no canary"):
        target.promote("iris")


def test_a_replica_is_reached_by_its_service_or_by_its_name(target: Target) -> None:
    assert isinstance(target, CanReach)
    target.apply(service())
    replica = target.replica("iris")
    assert isinstance(replica, CanExec)
    with pytest.raises(NotFoundError):
        target.replica("iris", "none")


def test_what_is_let_go_of_is_gone(target: Target) -> None:
    target.apply(service())
    target.delete("iris")
    assert target.list() == []
