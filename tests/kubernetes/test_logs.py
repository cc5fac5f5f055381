"""What containers wrote, over connections that break."""

from __future__ import annotations

import threading

import pytest

from apiserver.server import ApiServer, Fault
from kubernetes_fixtures import eventually
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.errors import ConfigError, NotFoundError, TiffinError
from tiffin.network import BusyError

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
APP = ("default", "a", "app")


@pytest.fixture(autouse=True)
def _a_pod(server: ApiServer, api: Api) -> None:
    containers = [{"name": "app", "image": "app:1"}, {"name": "side", "image": "side:1"}]
    api.apply({**POD, "spec": {"containers": containers}})
    server.logs.write(*APP, "one", "two", at="2026-11-21T12:00:00.000000001Z")
    server.logs.write(*APP, "three", at="2026-11-21T12:00:01.5Z")


def texts(api: Api, **wanted: object) -> list[str]:
    return [line.text for line in api.logs("default", "a", **wanted)]  # type: ignore[arg-type]


def test_lines_come_with_their_times(api: Api) -> None:
    lines = list(api.logs("default", "a"))
    assert [(line.time, line.text) for line in lines][1:] == [
        ("2026-11-21T12:00:00.000000001Z", "two"),
        ("2026-11-21T12:00:01.5Z", "three"),
    ]


def test_the_last_lines_can_be_asked_for(api: Api) -> None:
    assert texts(api, tail=2) == ["two", "three"]
    assert texts(api, tail=0) == []


def test_a_container_is_chosen_by_name(server: ApiServer, api: Api) -> None:
    server.logs.write("default", "a", "side", "beside")
    assert texts(api, container="side") == ["beside"]
    with pytest.raises(ConfigError, match="container none is not valid for pod a"):
        texts(api, container="none")


def test_the_one_before_is_asked_for(server: ApiServer, api: Api) -> None:
    with pytest.raises(ConfigError, match="previous terminated container"):
        texts(api, previous=True)
    server.logs.write("default", "a", "app/previous", "last words")
    assert texts(api, previous=True) == ["last words"]


def test_a_pod_that_there_is_not_is_named(api: Api) -> None:
    with pytest.raises(NotFoundError, match='pods "none" not found'):
        list(api.logs("default", "none"))


def test_a_log_is_followed_until_the_container_ends(server: ApiServer, api: Api) -> None:
    heard: list[str] = []

    def listen() -> None:
        heard.extend(line.text for line in api.logs("default", "a", follow=True))

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    server.logs.write(*APP, "four")
    server.logs.write(*APP, "fünf")
    server.logs.end(*APP)
    thread.join(30)
    assert heard == ["one", "two", "three", "four", "fünf"]


@pytest.mark.parametrize("cut", [0, 1, 40, 80, 95, 98])
def test_a_log_is_taken_up_where_the_connection_broke(server: ApiServer, api: Api, cut: int) -> None:
    server.piece = 9
    server.faults["/log"] = [Fault(cut=cut)] * 3
    assert texts(api) == ["one", "two", "three"]
    assert not server.faults["/log"]


def test_a_log_is_followed_through_a_restart_of_the_server(server: ApiServer, api: Api) -> None:
    lines = api.logs("default", "a", follow=True)
    assert [next(lines).text for _ in range(3)] == ["one", "two", "three"]
    server.stop()
    server.logs.write(*APP, "four", at="2026-11-21T12:00:01.7Z")
    server.start()
    assert next(lines).text == "four"
    server.logs.end(*APP)
    assert list(lines) == []


def test_a_server_that_is_gone_for_good_is_told(server: ApiServer, api: Api) -> None:
    lines = api.logs("default", "a", follow=True)
    next(lines)
    server.stop()
    with pytest.raises(BusyError):
        list(lines)


def test_a_line_that_never_ends_is_refused(server: ApiServer, api: Api) -> None:
    server.logs.write("default", "a", "side", "x" * (17 << 20))
    with pytest.raises(TiffinError, match="a line of more than"):
        texts(api, container="side")


def test_a_follower_may_leave(server: ApiServer, api: Api) -> None:
    lines = api.logs("default", "a", follow=True)
    next(lines)
    lines.close()  # type: ignore[attr-defined]
    eventually(lambda: server.asked)
