"""What who watches services is told: metrics that promtool finds clean, where to find them, and nothing to change."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from tiffin.deploy.local import exposition, metrics, reasons
from tiffin.deploy.local.exporter import Address
from tiffin.deploy.local.exposition import Family, prefers_openmetrics
from tiffin.deploy.local.fronts import Local
from tiffin.deploy.local.places import FOLDER, SOCKET
from tiffin.deploy.local.state import State
from tiffin.deploy.local.tally import tallied
from tiffin.deploy.local.target import LocalTarget
from tiffin.engine.spec import State as ContainerState
from tiffin.errors import ConfigError, ConflictError
from unit.deploy.local.stage import DEADLINE, Play, service, supervised
from unit.deploy.local.watched import SERVICES
from unit.tiffin_serve.test_prometheus import free_port


def written(*, openmetrics: bool = False) -> str:
    return exposition.text([*metrics.families(SERVICES), *metrics.process()], openmetrics=openmetrics)


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = plain_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in found for one in family.samples}


def test_services_are_told_as_they_are_wanted_and_seen() -> None:
    told = values(written())
    iris = ("service", "iris")
    assert told["tiffin_service_wanted_replicas", (iris,)] == 3
    assert told["tiffin_service_ready_replicas", (iris,)] == 2
    assert told["tiffin_service_starting_replicas", (iris,)] == 1
    assert told["tiffin_service_waiting_requests", (iris,)] == 4
    assert told["tiffin_service_last_look_timestamp_seconds", (iris,)] == 1000.5
    assert told["tiffin_service_phase", (("phase", "progressing"), iris)] == 1
    assert told["tiffin_service_phase", (("phase", "available"), iris)] == 0
    assert told["tiffin_revision_weight_ratio", (("revision", "4"), iris)] == 0.1
    assert told["tiffin_service_restarts_total", (("reason", "memory"), iris)] == 2
    assert told["tiffin_service_restarts_total", (("reason", "exit"), iris)] == 0, "a rate needs where it began"
    assert told["tiffin_service_rollouts_total", (("outcome", "given-up"), iris)] == 1
    assert told["tiffin_autoscaler_concurrency", (iris, ("window", "panic"))] == 7
    assert told["tiffin_autoscaler_panic", (iris,)] == 1
    assert told["tiffin_service_wanted_replicas", (("service", 'odd "one"\\\n'),)] == 0
    assert told["process_resident_memory_bytes", ()] > 1 << 20


def test_openmetrics_says_the_same() -> None:
    families = list(open_families(written(openmetrics=True)))
    told = {(one.name, tuple(sorted(one.labels.items()))): one.value for each in families for one in each.samples}
    same = {key: value for key, value in values(written()).items() if key[0].startswith("tiffin_")}
    assert same == {key: value for key, value in told.items() if key[0].startswith("tiffin_")}
    assert {family.type for family in families} == {"gauge", "counter"}


@pytest.mark.program("promtool")
def test_what_a_supervisor_writes_is_clean_in_promtools_eyes() -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=written().encode(), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("accept", "openly"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text; version=1.0.0, text/plain;q=0.5", True),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.5,*/*;q=0.1", False),
        ("application/openmetrics-text;q=x", False),
    ],
)
def test_a_scraper_has_the_format_it_prefers(accept: str, *, openly: bool) -> None:
    assert prefers_openmetrics(accept) is openly


def test_numbers_are_written_as_the_formats_want_them() -> None:
    text = exposition.text(
        [Family("a", "gauge", "A.", [({}, 1.0), ({}, 0.25), ({}, 3)]), Family("b", "gauge", "B.", [])]
    )
    assert text == "# HELP a A.\n# TYPE a gauge\na 1\na 0.25\na 3\n"


@pytest.mark.parametrize(
    ("kind", "numbers", "counts"),
    [
        ("start", {"revision": 1}, []),
        ("lost", {"reason": "memory", "soon": True}, [("restarts", "memory"), ("crashes", "memory")]),
        ("lost", {"soon": False}, [("restarts", "exit")]),
        ("available", {"revision": 2, "stable": 1}, [("rollouts", "available")]),
        ("available", {"revision": 1, "stable": 1}, []),
        ("given-up", {"revision": 2, "to": 1}, [("rollouts", "given-up")]),
        ("apply", {}, []),
    ],
)
def test_the_journal_is_counted(kind: str, numbers: dict[str, object], counts: list[tuple[str, str]]) -> None:
    assert tallied(kind, numbers) == [("events", kind, 1), *((*each, 1) for each in counts)]


def test_workers_are_counted_as_many_as_there_were() -> None:
    assert tallied("worker", {"reason": "deadline", "count": 3}) == [
        ("events", "worker", 1),
        ("workers", "deadline", 3),
    ]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("127.0.0.1:9464", "127.0.0.1:9464"),
        ("9464", "127.0.0.1:9464"),
        ("localhost:9464", "127.0.0.1:9464"),
        ("[::1]:80", "[::1]:80"),
        ("0.0.0.0:1", "0.0.0.0:1"),
    ],
)
def test_an_address_is_loopback_unless_another_is_said(typed: str, read: str) -> None:
    assert str(Address.parse(typed)) == read


@pytest.mark.parametrize(
    "typed",
    ["", ":", ":9464", "box:9464", "127.0.0.1:", "1.2.3.999:80", "127.0.0.1:70000", "0", "[::g]:1", "a b"],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(ConfigError, match="not an address to listen on") as told:
        Address.parse(typed)
    assert "127.0.0.1:9464" in str(told.value.hint)


def test_a_port_for_metrics_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConflictError, match=f"cannot listen on 127.0.0.1:{port} for metrics"):
            Address(port=port).listen()


class Told:
    """What a supervisor answers to who watches: by TCP, or where it answers everybody."""

    def __init__(self, data: Path, port: int) -> None:
        self._data, self._port = data, port

    def get(self, path: str, method: str = "GET", *, unix: bool = False, **headers: str) -> tuple[int, str, bytes]:
        where = (
            Local(self._data / FOLDER / SOCKET, DEADLINE)
            if unix
            else http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        )
        where.request(method, path, headers=headers)
        answer = where.getresponse()
        body = answer.read()
        where.close()
        return answer.status, answer.getheader("content-type", ""), body


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A supervisor with one service, which listens for a scraper."""
    data, play, port = tmp_path_factory.mktemp("home") / "data", Play(), free_port()
    with supervised(data, play, Address(port=port)):
        target = LocalTarget(data, play.engine)
        target.apply(service(replicas=2))
        yield Told(data, port)
        target.delete("iris")


@pytest.mark.parametrize("unix", [True, False])
def test_metrics_are_told_on_the_socket_and_where_a_prometheus_asks(told: Told, *, unix: bool) -> None:
    status, kind, body = told.get("/metrics", unix=unix)
    assert (status, kind) == (200, exposition.PLAIN)
    found = values(body.decode())
    assert found["tiffin_service_ready_replicas", (("service", "iris"),)] == 2
    assert found["tiffin_revision_weight_ratio", (("revision", "1"), ("service", "iris"))] == 1
    assert found["tiffin_service_rollouts_total", (("outcome", "available"), ("service", "iris"))] == 1
    assert found["tiffin_service_events_total", (("kind", "start"), ("service", "iris"))] == 2
    looked = found["tiffin_service_last_look_timestamp_seconds", (("service", "iris"),)]
    assert time.time() - DEADLINE < looked <= time.time() + 1
    _, kind, body = told.get("/metrics", unix=unix, accept="application/openmetrics-text")
    assert kind == exposition.OPEN
    assert body.endswith(b"# EOF\n")


def test_every_service_is_found_where_the_supervisor_was_asked(told: Told) -> None:
    found = json.loads(told.get("/discovery")[2])
    (where,) = {target for one in found for target in one["targets"]}
    assert where.startswith("127.0.0.1:")
    assert [one["labels"] for one in found] == [
        {"__metrics_path__": "/metrics"},
        {"__metrics_path__": "/services/iris/metrics", "service": "iris"},
    ]
    on_socket = json.loads(told.get("/discovery", unix=True)[2])
    assert on_socket == found, "the socket has no address, but who listens by TCP has one"
    assert json.loads(told.get("/discovery", host="box:1")[2])[0]["targets"] == ["box:1"]


def test_a_front_says_itself_what_it_counts(told: Told) -> None:
    status, _, body = told.get("/services/iris/metrics")
    assert status == 200
    assert b"iris" in body
    status, _, body = told.get("/services/nothing/metrics")
    assert (status, json.loads(body)["error"]["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/metrics"),
        ("DELETE", "/services/iris"),
        ("GET", "/services"),
        ("GET", "/services/iris"),
        ("POST", "/services/iris/scale"),
    ],
)
def test_nothing_is_changed_or_told_by_tcp_but_what_is_watched(told: Told, method: str, path: str) -> None:
    status, _, body = told.get(path, method)
    assert status == 404
    assert json.loads(body)["error"]["hint"]


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\r\n\r\n", b"GET /metrics\r\n\r\n", b"GET " + b"x" * 200_000, b""])
def test_garbage_is_answered_or_dropped_and_the_next_is_served(told: Told, garbage: bytes) -> None:
    with socket.create_connection(("127.0.0.1", told._port), timeout=DEADLINE) as client, contextlib.suppress(OSError):
        client.sendall(garbage)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert told.get("/metrics")[0] == 200


def test_what_is_watched_costs_the_journal_nothing(told: Told) -> None:
    before = told.get("/events", unix=True)[2]
    for _ in range(3):
        told.get("/watch", unix=True)
    assert told.get("/events", unix=True)[2] == before


def test_counts_outlive_the_supervisor_and_go_with_their_service(tmp_path: Path) -> None:
    for _ in range(2):
        with contextlib.closing(State(tmp_path / "state")) as state:
            state.note("iris", "lost", "it ended", {"reason": "memory", "soon": True})
            state.note("iris", "worker", "it hung", {"reason": "deadline", "count": 3})
    with contextlib.closing(State(tmp_path / "state")) as state:
        assert state.counts("iris") == {
            "crashes": {"memory": 2},
            "events": {"lost": 2, "worker": 2},
            "restarts": {"memory": 2},
            "workers": {"deadline": 6},
        }
        state.forget("iris")
        assert state.counts("iris") == {}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (ContainerState(exit_code=137, reason="memory"), "memory"),
        (ContainerState(exit_code=139), "signal"),
        (ContainerState(exit_code=1), "exit"),
        (ContainerState(), "exit"),
    ],
)
def test_the_reason_of_a_loss_is_one_of_a_few(state: ContainerState, reason: str) -> None:
    assert reasons.of_end(state) == reason
    assert reasons.of_failure(f"{reasons.NOT_READY} 3 seconds") == "slow"
    assert reasons.of_failure("it failed its self-test") == "failed"
