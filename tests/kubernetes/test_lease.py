"""One pod runs a pipeline at a time, whoever began it, and whatever becomes of the one that did."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from apiserver.server import ApiServer, Fault
from kubernetes_fixtures import DEADLINE, client, eventually
from tiffin.api.pipelines.turn import turn
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import LEASE
from tiffin.deploy.kubernetes.scheduled.lease import BRIEFLY, Lease
from tiffin.errors import ConfigError, ConflictError, NotFoundError, UnavailableError
from tiffin.progress import Event as Happened
from tiffin.progress import Noted, listening

NAME = "iris-pipeline"


@pytest.fixture
def lease(api: Api, namespace: str) -> Callable[..., Lease]:
    """A Lease that nobody has, as a pod sees it."""
    api.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}})

    def seen_by(pod: str, seconds: int = 60) -> Lease:
        return Lease(api, namespace, NAME, me=f"{pod}_0", seconds=seconds)

    return seen_by


def holder(api: Api, namespace: str) -> str:
    return str(api.get(LEASE, namespace, NAME).get("spec", {}).get("holderIdentity", ""))


def dies(lease: Lease) -> None:
    """Take the turn, and neither renew nor give it back."""
    lease._take(Event(), wait=False)


@contextmanager
def waiting(lease: Lease, stopped: Event) -> Iterator[Future[str]]:
    """One that waits for its turn, and says what it had to wait for; it is not left before it does."""
    heard, told = list[str](), Event()

    def hear(event: Happened) -> None:
        if isinstance(event, Noted):
            heard.append(event.message)
            told.set()

    def run() -> str:
        with listening(hear), lease.held(stopped, wait=True):
            return heard[0]

    with ThreadPoolExecutor(1) as pool:
        try:
            running = pool.submit(run)
            assert told.wait(DEADLINE)
            yield running
        finally:
            stopped.set()


def test_the_turn_is_had_and_given_back(lease: Callable[..., Lease], api: Api, namespace: str) -> None:
    for pod, times in (("first", 1), ("second", 2)):
        with lease(pod).held(Event(), wait=False):
            assert holder(api, namespace) == f"{pod}_0"
            spec = api.get(LEASE, namespace, NAME)["spec"]
            assert (spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (60, times)
        assert holder(api, namespace) == ""


def test_a_second_pod_is_refused_with_the_name_of_the_first(lease: Callable[..., Lease]) -> None:
    with lease("first").held(Event(), wait=False), pytest.raises(ConflictError) as caught:
        run(lease("second"))
    assert "is being run by first" in caught.value.message
    assert caught.value.exit_status == 6
    assert "--wait" in str(caught.value.hint)


def test_a_pod_that_is_stopped_while_it_waits_never_began(lease: Callable[..., Lease]) -> None:
    with lease("first", 4).held(Event(), wait=False), waiting(lease("second"), Event()) as second:
        pass
    with pytest.raises(ConflictError, match="stopped while first ran the pipeline"):
        second.result(DEADLINE)


def test_a_pod_that_waits_goes_on_when_the_other_ends(lease: Callable[..., Lease], api: Api, namespace: str) -> None:
    stopped, ends = Event(), Event()

    def first() -> None:
        with lease("first", 4).held(Event(), wait=False):
            ends.wait(DEADLINE)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first)
        eventually(lambda: holder(api, namespace))
        with waiting(lease("second"), stopped) as second:
            ends.set()
            assert second.result(DEADLINE) == "waits for first, which runs the pipeline"
        running.result(DEADLINE)


@pytest.mark.parametrize("wait", [True, False])
def test_the_turn_of_a_pod_that_died_is_taken_when_its_time_is_over(
    lease: Callable[..., Lease], api: Api, namespace: str, *, wait: bool
) -> None:
    dies(lease("dead", 1))
    if not wait:  # by then its own word is past, too
        eventually(lambda: _had(lease("second")))
        return
    with lease("second").held(Event(), wait=wait):
        assert holder(api, namespace) == "second_0"


def _had(lease: Lease) -> bool:
    try:
        run(lease)
    except ConflictError:
        return False
    return True


def test_a_holder_that_renews_is_never_taken_for_dead(lease: Callable[..., Lease], api: Api, namespace: str) -> None:
    """However far the clocks of the two are apart."""
    stopped = Event()
    first = Lease(api, namespace, NAME, me="first_0", seconds=1, wall=lambda: time.time() - 10**6)
    seen = [api.get(LEASE, namespace, NAME)]
    with first.held(Event(), wait=False), waiting(lease("second"), stopped) as second:

        def renewed() -> bool:
            seen.append(api.get(LEASE, namespace, NAME))
            return len({one["metadata"]["resourceVersion"] for one in seen}) > 8

        eventually(renewed)
        assert not second.done()
        assert {one["spec"].get("holderIdentity") for one in seen[1:]} == {"first_0"}


def test_of_many_that_begin_at_once_one_has_the_turn_at_any_time(lease: Callable[..., Lease]) -> None:
    begin, inside, most = threading.Barrier(4), list[str](), list[int]()

    def run(pod: str) -> None:
        begin.wait()
        with lease(pod, 2).held(Event(), wait=True):
            inside.append(pod)
            most.append(len(inside))
            inside.remove(pod)

    with ThreadPoolExecutor(4) as pool:
        for running in [pool.submit(run, f"pod-{number}") for number in range(4)]:
            running.result(DEADLINE)
    assert most == [1] * 4


def run_until_stopped(lease: Lease, happens: Callable[[], object]) -> None:
    stopped = Event()
    with lease.held(stopped, wait=False):
        happens()
        assert stopped.wait(DEADLINE)


def run(lease: Lease, *, wait: bool = False) -> None:
    with lease.held(Event(), wait=wait):
        pass


def test_a_run_whose_turn_is_taken_is_stopped_and_says_by_whom(
    lease: Callable[..., Lease], api: Api, namespace: str
) -> None:
    def take() -> None:
        api.patch(LEASE, namespace, NAME, {"spec": {"holderIdentity": "thief_1"}})

    with pytest.raises(ConflictError, match="the run was stopped: thief has its turn"):
        run_until_stopped(lease("first", 1), take)
    assert holder(api, namespace) == "thief_1"


def test_a_run_ends_before_its_turn_does_where_the_cluster_says_nothing(server: ApiServer) -> None:
    api = client(server, patience=BRIEFLY)
    api.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}})

    def fail() -> None:
        server.faults["/leases/"] = [Fault(status=503)] * 100

    with pytest.raises(ConflictError, match="did not say for too long"):
        run_until_stopped(Lease(api, "default", NAME, me="first", seconds=1), fail)


def test_a_hiccup_of_the_cluster_ends_no_run(server: ApiServer) -> None:
    api = client(server)
    api.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}})
    stopped = Event()
    with Lease(api, "default", NAME, me="first", seconds=4).held(stopped, wait=False):
        server.faults["PATCH /apis/coordination.k8s.io"] = [Fault(hang_up_after=True), Fault(status=500)]
        before = len(server.asked)
        eventually(lambda: len(server.asked) > before + 6)
        assert not stopped.is_set()


def test_a_lease_that_is_missing_is_told_before_work_starts(server: ApiServer) -> None:
    with pytest.raises(NotFoundError, match=NAME):
        run(Lease(client(server), "default", NAME))


def in_turn(**environment: str) -> bool:
    with turn(Event(), wait=False, environment=environment):
        return True


def test_without_a_lease_to_take_a_run_is_anybodys() -> None:
    assert in_turn()
    with pytest.raises(ConfigError, match="names no Lease"):
        in_turn(TIFFIN_LEASE="iris")
    with pytest.raises((NotFoundError, ConfigError, UnavailableError)):
        in_turn(TIFFIN_LEASE="models/iris", KUBECONFIG="/nowhere", HOME="/nowhere")
