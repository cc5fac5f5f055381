"""What Caddy is told of the services of a machine."""

from __future__ import annotations

import pytest

from tiffin.deploy.local.edge.config import Ports, Route, document, is_public

IRIS = Route(host="iris.example.com", address="127.0.0.1", port=8081)
WEB = Route(host="web.localhost", address="127.0.0.1", port=8082)


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("iris.example.com", True),
        ("a.b.org", True),
        ("iris", False),
        ("localhost", False),
        ("iris.localhost", False),
        ("iris.internal", False),
        ("IRIS.HOME.ARPA", False),
        ("iris.example", False),
        ("10.0.0.1", False),
        ("mylocalhost.org", True),
    ],
)
def test_a_name_is_public_unless_nobody_there_could_vouch_for_it(host: str, public: bool) -> None:  # noqa: FBT001 - a table
    assert is_public(host) is public


def test_each_host_leads_to_its_service() -> None:
    told = document([WEB, IRIS], Ports(http=8080, https=8443))
    server = told["apps"]["http"]["servers"]["edge"]
    assert server["listen"] == [":8443"]
    led = {route["match"][0]["host"][0]: route["handle"][0]["upstreams"][0]["dial"] for route in server["routes"]}
    assert led == {"iris.example.com": "127.0.0.1:8081", "web.localhost": "127.0.0.1:8082"}


def test_only_names_that_are_not_public_are_vouched_for_by_its_own_authority() -> None:
    (policy,) = document([WEB, IRIS], Ports())["apps"]["tls"]["automation"]["policies"]
    assert policy == {"subjects": ["web.localhost"], "issuers": [{"module": "internal"}]}
    assert document([IRIS], Ports())["apps"]["tls"]["automation"]["policies"] == []


def test_without_a_host_it_listens_nowhere() -> None:
    assert document([], Ports())["apps"] == {}


def test_the_order_of_services_is_no_other_configuration() -> None:
    assert document([WEB, IRIS], Ports()) == document([IRIS, WEB], Ports())
