"""What gateways say of a service's route."""

from __future__ import annotations

from typing import Any

from tiffin.deploy.kubernetes.routes import leads, unrouted

EDGE = {"name": "public", "namespace": "edge"}


def route(*conditions: tuple[str, str, str]) -> dict[str, Any]:
    said = [{"type": kind, "status": status, "message": message} for kind, status, message in conditions]
    parents = [{"parentRef": EDGE, "conditions": said}] if said else []
    return {"spec": {"parentRefs": [EDGE]}, "status": {"parents": parents}}


def test_a_route_that_a_gateway_accepted_leads_there() -> None:
    accepted = route(("Accepted", "True", ""), ("ResolvedRefs", "True", ""))
    assert leads([accepted])
    assert list(unrouted("iris.example", [accepted])) == []


def test_a_route_of_which_no_gateway_says_anything_is_a_finding() -> None:
    [found] = unrouted("iris.example", [route()])
    expected = "nothing leads iris.example to it: no gateway has accepted its route to edge/public yet"
    assert found.message == expected
    assert not leads([route()])


def test_a_gateway_that_refuses_a_route_is_quoted() -> None:
    refused = route(("Accepted", "False", "no listener has that host"))
    [found] = unrouted("iris.example", [refused])
    expected = "edge/public, the gateway for iris.example, does not accept its route: no listener has that host"
    assert found.message == expected


def test_a_backend_that_a_gateway_does_not_find_is_a_finding() -> None:
    lost = route(("Accepted", "True", ""), ("ResolvedRefs", "False", "not permitted"))
    [found] = unrouted("iris.example", [lost])
    assert found.message.endswith("does not find all it leads to: not permitted")


def test_a_route_that_is_gone_is_a_finding() -> None:
    [found] = unrouted("iris.example", [])
    assert "has no HTTPRoute" in found.message
