"""What every target promises: a service is kept as wanted, looked at, scaled, gone back from, and let go of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apiserver.controller import Controller
from apiserver.server import ApiServer
from kubernetes_fixtures import client
from tiffin.deploy.kubernetes.target import KubernetesTarget
from tiffin.deploy.service import Replicas, Service, Template, revision_of
from tiffin.deploy.target import Action, CanGoBack, CanRestart, CanScale, Phase, Target
from tiffin.errors import NotFoundError
from tiffin.oci.digest import Digest

OLD, NEW = (Digest.of(text) for text in (b"old", b"new"))


def service(digest: Digest = OLD, replicas: int = 1) -> Service:
    template = Template(image="registry.example/team/iris", digest=digest, ports={"http": 8080})
    return Service(name="iris", template=template, replicas=Replicas(least=replicas, most=replicas))


@pytest.fixture(params=["kubernetes"])
def target() -> Iterator[Target]:
    with ApiServer().running() as server, Controller(server).running():
        yield KubernetesTarget(client(server), "default")


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
    assert target.rollback("iris").revisions[0].digest == revision_of(service().template)
    with pytest.raises(NotFoundError):
        target.rollback("iris", 99)


def test_scaling_and_restarting_make_no_new_revision(target: Target) -> None:
    assert isinstance(target, CanScale)
    assert isinstance(target, CanRestart)
    target.apply(service())
    target.scale("iris", 2, 2)
    assert target.status("iris").wanted == 2
    assert target.restart("iris").phase is Phase.AVAILABLE
    assert {one.digest for one in target.status("iris").revisions} == {revision_of(service().template)}


def test_what_is_let_go_of_is_gone(target: Target) -> None:
    target.apply(service())
    target.delete("iris")
    assert target.list() == []
