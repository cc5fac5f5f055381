"""Being told of changes, whatever happens to connections and to the server's memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from apiserver.server import ApiServer, Fault
from kubernetes_fixtures import client, config_map, eventually
from tiffin.deploy.kubernetes.client.cluster import Api, Event
from tiffin.deploy.kubernetes.client.kinds import CONFIG_MAP
from tiffin.errors import DeniedError
from tiffin.network import BusyError, Patience

WATCH = "watch=true"
LABELS = {"app": "iris"}


def labelled(name: str, **data: str) -> dict[str, object]:
    wanted = config_map(name, **data)
    wanted["metadata"]["labels"] = LABELS
    return wanted


def told(event: Event) -> tuple[str, str, str]:
    return event.action, event.object["metadata"]["name"], event.object.get("data", {}).get("n", "")


class Listener:
    """A watch in a thread of its own; told of an object `end`, it ends."""

    def __init__(self, events: Iterator[Event]) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.error: Exception | None = None
        self._events = events
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        try:
            for event in self._events:
                self.told.append(told(event))
                if event.object["metadata"]["name"] == "end":
                    return
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def heard(self, *expected: tuple[str, str, str]) -> None:
        eventually(lambda: self.told[-len(expected) :] == list(expected))

    def ended(self) -> list[tuple[str, str, str]]:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.told


@pytest.mark.cluster
def test_what_is_there_is_told_first_and_then_each_change(api: Api, namespace: str) -> None:
    api.apply(labelled("a", n="1"))
    listener = Listener(api.watch(CONFIG_MAP, namespace, LABELS, timeout=60))
    listener.heard(("ADDED", "a", "1"))
    api.apply(labelled("a", n="2"))
    listener.heard(("MODIFIED", "a", "2"))
    api.apply(config_map("unlabelled"))
    api.apply(labelled("b", n="1"))
    api.delete(CONFIG_MAP, namespace, "a")
    api.apply(labelled("end"))
    assert listener.ended() == [
        ("ADDED", "a", "1"),
        ("MODIFIED", "a", "2"),
        ("ADDED", "b", "1"),
        ("DELETED", "a", "2"),
        ("ADDED", "end", ""),
    ]


@pytest.mark.cluster
def test_a_watch_ends_quietly_when_its_time_is_up(api: Api, namespace: str) -> None:
    api.apply(labelled("a"))
    assert [told(event) for event in api.watch(CONFIG_MAP, namespace, LABELS, timeout=0.5)] == [("ADDED", "a", "")]


@pytest.mark.parametrize("as_status", [True, False], ids=["status", "event"])
def test_a_server_that_has_forgotten_is_asked_anew_and_nothing_is_lost_or_repeated(
    server: ApiServer, api: Api, *, as_status: bool
) -> None:
    server.gone_as_status = as_status
    for name in ("stays", "changes", "goes", "is-another"):
        api.apply(labelled(name, n="1"))
    listener = Listener(api.watch(CONFIG_MAP, "default", timeout=60))
    eventually(lambda: any(WATCH in asked.path for asked in server.asked))
    server.stop()
    with ApiServer(store=server.store).running() as beside:
        _change_much(client(beside))
    server.store.forget()
    server.start()
    eventually(lambda: len(listener.told) == 9)
    api.apply(labelled("end"))
    listener.ended()
    assert sorted(listener.told[4:-1]) == [
        ("ADDED", "comes", "1"),
        ("ADDED", "is-another", "2"),
        ("DELETED", "goes", "1"),
        ("DELETED", "is-another", "1"),
        ("MODIFIED", "changes", "2"),
    ]


def _change_much(api: Api) -> None:
    api.apply(labelled("changes", n="2"))
    api.apply(labelled("comes", n="1"))
    api.delete(CONFIG_MAP, "default", "goes")
    api.delete(CONFIG_MAP, "default", "is-another")
    api.apply(labelled("is-another", n="2"))


def test_bookmarks_keep_a_quiet_watch_from_being_forgotten(server: ApiServer, api: Api) -> None:
    server.bookmark_seconds = 0.05
    listener = Listener(api.watch(CONFIG_MAP, "default", {"app": "none", "n": "n"}, timeout=60))
    eventually(lambda: any(WATCH in asked.path for asked in server.asked))
    for n in range(3):
        api.apply(config_map("busy", n=str(n)))
    version = server.store.version
    eventually(lambda: server.bookmarked >= version)
    server.stop()
    server.start()
    eventually(lambda: any(int(asked.query.get("resourceVersion", 0)) >= version for asked in server.asked))
    lists = [asked for asked in server.asked if asked.method == "GET" and WATCH not in asked.path]
    assert len(lists) == 1
    assert listener.error is None


def test_lines_may_be_split_anywhere(server: ApiServer, api: Api) -> None:
    server.piece = 7
    api.apply(labelled("a", n="ünïcödé"))
    listener = Listener(api.watch(CONFIG_MAP, "default", timeout=60))
    listener.heard(("ADDED", "a", "ünïcödé"))
    api.apply(labelled("b", n="\u2028"))
    api.apply(labelled("end"))
    assert listener.ended()[1:] == [("ADDED", "b", "\u2028"), ("ADDED", "end", "")]


@pytest.mark.parametrize("bytes_told", [0, 1, 60, 200])
def test_a_connection_that_ends_anywhere_is_taken_up_again(server: ApiServer, api: Api, bytes_told: int) -> None:
    server.faults[WATCH] = [Fault(cut=bytes_told)] * 4
    listener = Listener(api.watch(CONFIG_MAP, "default", timeout=60))
    for n in range(3):
        api.apply(labelled("a", n=str(n)))
    api.apply(labelled("end"))
    assert listener.ended()[-2:] == [
        ("MODIFIED" if len(listener.told) > 2 else "ADDED", "a", "2"),
        ("ADDED", "end", ""),
    ]
    assert len(set(listener.told)) == len(listener.told)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, headers=(("Retry-After", "1"),)),
        Fault(status=503),
        Fault(status=500, body=b'{"kind":"Status","message":"etcdserver: leader changed","code":500}'),
        Fault(body=b'{"type": "ADDED", "obj'),
        Fault(body=b"<html>a proxy</html>\n"),
        Fault(hang_up=True),
    ],
    ids=["429", "503", "no leader", "half a line", "no events", "hang up"],
)
def test_a_server_that_cannot_now_is_asked_again(server: ApiServer, api: Api, fault: Fault) -> None:
    server.faults[WATCH] = [fault] * 2
    listener = Listener(api.watch(CONFIG_MAP, "default", timeout=60))
    eventually(lambda: not server.faults[WATCH])
    api.apply(labelled("end"))
    assert listener.ended() == [("ADDED", "end", "")]


def test_an_error_that_passes_is_waited_for(server: ApiServer, api: Api) -> None:
    status = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "watch chan closed"}
    line = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    server.faults[WATCH] = [Fault(body=line)] * 3
    listener = Listener(api.watch(CONFIG_MAP, "default", timeout=60))
    eventually(lambda: not server.faults[WATCH])
    api.apply(labelled("end"))
    assert listener.ended() == [("ADDED", "end", "")]


def test_who_may_not_watch_is_told_so_at_once(server: ApiServer, api: Api) -> None:
    server.denied.add(("GET", "configmaps"))
    with pytest.raises(DeniedError, match='cannot get resource "configmaps"'):
        next(api.watch(CONFIG_MAP, "default", timeout=60))


def test_a_server_that_is_silent_until_the_end_is_told(server: ApiServer, api: Api) -> None:
    server.faults[WATCH] = [Fault(silent=True)]
    events = api.watch(CONFIG_MAP, "default", timeout=0.5)
    api.apply(labelled("a"))
    assert told(next(events)) == ("ADDED", "a", "")
    with pytest.raises(BusyError, match="did not answer in time"):
        list(events)


def test_a_watch_whose_server_is_gone_until_the_end_says_so(server: ApiServer, api: Api) -> None:
    events = api.watch(CONFIG_MAP, "default", timeout=1)
    api.apply(labelled("a"))
    assert told(next(events)) == ("ADDED", "a", "")
    server.stop()
    with pytest.raises(BusyError):
        list(events)


def test_a_watch_without_end_gives_a_server_up_that_never_answers(server: ApiServer, api: Api) -> None:
    events = api.watch(CONFIG_MAP, "default")
    api.apply(labelled("a"))
    next(events)
    server.stop()
    with pytest.raises(BusyError):
        list(events)


def test_the_wish_to_be_left_alone_is_obeyed(server: ApiServer) -> None:
    pauses: list[float] = []
    api = client(server, patience=Patience(attempts=7, pause=pauses.append))
    server.faults[WATCH] = [Fault(status=429, headers=(("Retry-After", "17"),))]
    listener = Listener(api.watch(CONFIG_MAP, "default", timeout=60))
    eventually(lambda: 17.0 in pauses)
    api.apply(labelled("end"))
    assert listener.ended() == [("ADDED", "end", "")]
