"""An API server that goes, comes, hesitates and talks nonsense."""

from __future__ import annotations

import threading

import msgspec
import pytest

from apiserver.server import ApiServer, Fault
from apiserver.store import system
from kubernetes_fixtures import client, config_map, deployment, eventually
from tiffin.deploy.kubernetes.client.asking import PATIENCE
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import CONFIG_MAP, DEPLOYMENT
from tiffin.errors import (
    ConfigError,
    ConflictError,
    DeniedError,
    FullError,
    NotFoundError,
    TiffinError,
    UnavailableError,
    UnsupportedError,
)
from tiffin.network import BusyError, Patience, SilentError
from tiffin.progress import Event, Noted, listening

APPLY = "PATCH"


def test_an_apply_whose_answer_is_lost_is_done_once(server: ApiServer, api: Api) -> None:
    server.faults[APPLY] = [Fault(hang_up_after=True)] * 2
    made = api.apply(deployment("a", 2))
    assert made["metadata"]["generation"] == 1
    assert len([asked for asked in server.asked if asked.method == "PATCH"]) == 3


def test_a_delete_whose_answer_is_lost_is_done(server: ApiServer, api: Api) -> None:
    api.apply(config_map("a"))
    server.faults["DELETE"] = [Fault(hang_up_after=True)]
    api.delete(CONFIG_MAP, "default", "a")
    with pytest.raises(NotFoundError):
        api.delete(CONFIG_MAP, "default", "a")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(hang_up=True),
        Fault(cut=10),
        Fault(status=429, headers=(("Retry-After", "0"),)),
        Fault(status=503, body=b"<html>no endpoints</html>"),
        Fault(status=504),
        Fault(body=b'{"kind": "Deploy'),
        Fault(body=b"\xff\xfe"),
        Fault(body=b""),
    ],
    ids=["hang up", "cut", "429", "503", "504", "half", "garbage", "nothing"],
)
def test_what_passes_is_tried_again(server: ApiServer, api: Api, fault: Fault) -> None:
    server.faults[APPLY] = [fault] * 3
    assert api.apply(deployment("a", 2))["spec"]["replicas"] == 2
    server.faults["GET"] = [fault] * 3
    assert api.get(DEPLOYMENT, "default", "a")["spec"]["replicas"] == 2


def test_a_server_that_is_gone_in_the_middle_is_waited_for(server: ApiServer, api: Api) -> None:
    api.version()
    server.stop()
    threading.Timer(0.05, server.start).start()
    assert api.apply(deployment("a", 2))["spec"]["replicas"] == 2


def test_a_server_that_stays_away_is_told(server: ApiServer, api: Api) -> None:
    api.version()
    server.stop()
    with pytest.raises(BusyError, match=r"could not be read: connection refused$") as refused:
        api.apply(deployment("a", 2))
    assert "API server runs" in (refused.value.hint or "")


def test_a_server_that_says_nothing_is_given_up(server: ApiServer) -> None:
    server.faults["version"] = [Fault(silent=True)] * 2
    api = client(server, patience=Patience(attempts=2, silence=0.2, pause=lambda _: None))
    with pytest.raises(BusyError, match="did not answer in time"):
        api.version()


def test_a_server_that_keeps_saying_nothing_is_given_up_before_one_that_is_busy(server: ApiServer) -> None:
    server.faults["version"] = [Fault(silent=True)] * 7
    pauses: list[float] = []
    patience = msgspec.structs.replace(PATIENCE, silence=0.1, pause=pauses.append)
    with pytest.raises(SilentError, match="accepted the connection and did not answer"):
        client(server, patience=patience).version()
    assert len(pauses) == 1
    assert PATIENCE.silent * PATIENCE.silence < 90


def test_a_server_that_drips_is_given_up(server: ApiServer) -> None:
    server.faults["version"] = [Fault(drip=0.02)] * 2
    api = client(server, patience=Patience(attempts=2, silence=0.2, pause=lambda _: None))
    with pytest.raises(BusyError, match="sends next to nothing"):
        api.version()


def test_a_wrong_address_is_not_tried_for_long(server: ApiServer) -> None:
    server.stop()
    pauses: list[float] = []
    with pytest.raises(BusyError):
        client(server, patience=Patience(attempts=7, pause=pauses.append)).version()
    assert len(pauses) == 2


def test_the_wish_to_be_left_alone_is_obeyed(server: ApiServer) -> None:
    pauses: list[float] = []
    api = client(server, patience=Patience(attempts=7, pause=pauses.append))
    server.faults["version"] = [Fault(status=429, headers=(("Retry-After", "17"),)), Fault(status=503)]
    body = b'{"kind":"Status","code":500,"message":"later","details":{"retryAfterSeconds":5}}'
    server.faults["version"].append(Fault(status=500, body=body))
    api.version()
    assert pauses == [17.0, 1.0, 5.0]


def test_something_new_is_not_made_twice(server: ApiServer, api: Api) -> None:
    server.faults["POST"] = [Fault(hang_up_after=True)]
    with pytest.raises(BusyError):
        api.create(config_map("a"))
    assert len([asked for asked in server.asked if asked.method == "POST"]) == 1
    assert api.get(CONFIG_MAP, "default", "a")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ConfigError),
        (401, DeniedError),
        (403, DeniedError),
        (404, NotFoundError),
        (405, UnsupportedError),
        (409, ConflictError),
        (410, UnavailableError),
        (413, ConfigError),
        (415, UnsupportedError),
        (422, ConfigError),
        (429, BusyError),
        (500, UnavailableError),
        (503, BusyError),
        (302, UnavailableError),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"kind":"Status","message":"because","details":null}', b"[]", b"7"])
def test_every_refusal_has_a_name_and_a_hint(
    server: ApiServer, api: Api, status: int, kind: type[TiffinError], body: bytes
) -> None:
    server.faults["version"] = [Fault(status=status, body=body)] * 9
    with pytest.raises(TiffinError) as refused:
        api.version()
    assert isinstance(refused.value, kind)
    assert str(status) in refused.value.message
    assert refused.value.hint


def test_a_quota_is_told_as_one(server: ApiServer, api: Api) -> None:
    body = b'{"kind":"Status","reason":"Forbidden","message":"pods \\"a\\" is forbidden: exceeded quota: team"}'
    server.faults[APPLY] = [Fault(status=403, body=body)]
    with pytest.raises(FullError, match="exceeded quota: team"):
        api.apply(deployment("a"))


def test_who_may_not_do_it_is_told_what_to_ask_for(server: ApiServer, api: Api) -> None:
    server.denied.add(("PATCH", "deployments"))
    with pytest.raises(DeniedError, match='cannot patch resource "deployments" in API group "apps"') as refused:
        api.apply(deployment("a"))
    assert "kubectl auth can-i" in (refused.value.hint or "")


def test_what_the_cluster_warns_of_is_passed_on_once(server: ApiServer, api: Api) -> None:
    words = 'would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
    server.store.admission.append(lambda _verb, _kind, _item: [words, "v1 Elephant is deprecated"])
    events: list[Event] = []
    with listening(events.append):
        api.apply(config_map("a"))
        api.apply(config_map("b"))
    assert [event.message for event in events if isinstance(event, Noted)] == [
        f"the cluster warns: {words}",
        "the cluster warns: v1 Elephant is deprecated",
    ]


def test_a_redirect_is_not_followed(server: ApiServer, api: Api) -> None:
    with ApiServer().running() as elsewhere:
        there = (("Location", f"{elsewhere.url}/version"),)
        server.faults["version"] = [Fault(status=302, headers=there)]
        with pytest.raises(UnavailableError) as refused:
            api.version()
        assert elsewhere.asked == []
    assert "must not redirect" in (refused.value.hint or "")


def test_what_is_no_api_server_is_told(server: ApiServer, api: Api) -> None:
    server.faults["version"] = [Fault(body=b'{"hello": "world"}')]
    with pytest.raises(UnavailableError, match="does not say its version"):
        api.version()


def test_a_huge_list_comes_in_pages(server: ApiServer, api: Api) -> None:
    server.store.window = 10
    for n in range(1234):
        server.store.create(_kind(server, "configmaps"), _numbered(n), system("Update"))
    assert len(api.list(CONFIG_MAP, "default")) == 1234
    assert [asked.query.get("limit") for asked in server.asked] == ["500"] * 3


@pytest.mark.parametrize("times", [1, 2])
def test_a_list_that_the_server_forgets_half_way_is_read_from_the_beginning(
    server: ApiServer, api: Api, times: int
) -> None:
    for n in range(1001):
        server.store.create(_kind(server, "configmaps"), _numbered(n), system("Update"))
    gone = b'{"kind":"Status","reason":"Expired","message":"The provided continue parameter is too old","code":410}'
    server.faults["continue="] = [Fault(status=410, body=gone)] * times
    names = [item["metadata"]["name"] for item in api.list(CONFIG_MAP, "default")]
    assert len(names) == len(set(names)) == 1001


def test_a_list_that_goes_in_circles_is_left(server: ApiServer, api: Api) -> None:
    page = b'{"metadata": {"resourceVersion": "7", "continue": "again"}, "items": []}'
    server.faults["configmaps"] = [Fault(body=page)] * 9
    with pytest.raises(UnavailableError, match="the list does not go on"):
        api.list(CONFIG_MAP, "default")


@pytest.mark.parametrize("aggregates", [True, False], ids=["at once", "one by one"])
def test_kinds_are_found_in_both_forms_of_discovery(server: ApiServer, api: Api, *, aggregates: bool) -> None:
    server.aggregates = aggregates
    assert {"Pod", "apps/Deployment", "policy/PodDisruptionBudget"} <= api.kinds()
    assert "Deployment/scale" not in " ".join(api.kinds())


def test_a_group_whose_server_is_down_does_not_hide_the_others(server: ApiServer, api: Api) -> None:
    server.aggregates = False
    server.faults["/apis/policy/v1"] = [Fault(status=503)]
    assert "apps/Deployment" in api.kinds()
    assert "policy/PodDisruptionBudget" not in api.kinds()


def test_threads_share_a_client(server: ApiServer, api: Api) -> None:
    made: list[str] = []

    def make(n: int) -> None:
        made.append(api.apply(config_map(f"a{n}"))["metadata"]["name"])

    threads = [threading.Thread(target=make, args=(n,), daemon=True) for n in range(20)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(made) == 20)
    assert len(server.store.of(_kind(server, "configmaps"))) == 20


def _kind(server: ApiServer, plural: str) -> object:
    return next(kind for kind in server.store.kinds if kind.plural == plural)


def _numbered(n: int) -> dict[str, object]:
    return {"metadata": {"name": f"a{n:04}", "namespace": "default"}, "data": {"n": str(n)}}
