"""What Caddy is told, as one JSON document made of all services; pure (caddyserver.com/docs/json)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

HTTP, HTTPS = 80, 443
UNPRIVILEGED = (8080, 8443)
"""The ports of an edge that may not have the low ones."""
ADMIN, CERTIFICATES = "unix/admin.sock|0600", "certificates"
GRACE = "30s"
"""How long what is under way may take when Caddy gets another configuration, or ends."""
_OWN = ("localhost", "local", "internal", "home.arpa", "test", "example", "invalid", "lan", "onion")
"""Names that end so are nobody's in public (RFC 2606, 6761, 6762, 8375), and no authority there vouches for them."""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Where the edge listens."""

    http: int = HTTP
    https: int = HTTPS


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A name of a host, and where the service that answers for it listens."""

    host: str
    address: str
    port: int


def is_public(host: str) -> bool:
    """Say whether a public authority may vouch for a name; one of a single word, or an address, is this network's."""
    labels = host.lower().split(".")
    if len(labels) == 1 or labels[-1].isdecimal():
        return False
    return not any(host.lower() == own or host.lower().endswith(f".{own}") for own in _OWN)


def document(routes: list[Route], ports: Ports) -> dict[str, Any]:
    """Say all of it: an admin socket and certificates in the folder that Caddy runs in, and a route for each host.

    Names that are not public are vouched for by an authority of this edge's own. HTTP leads to HTTPS.
    """
    apps: dict[str, Any] = {}
    if routes:
        apps = {"http": _http(routes, ports), "tls": _tls(routes), "pki": _authority()}
    return {
        "admin": {"listen": ADMIN, "config": {"persist": False}},
        "storage": {"module": "file_system", "root": CERTIFICATES},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": apps,
    }


def _http(routes: list[Route], ports: Ports) -> dict[str, Any]:
    return {
        "http_port": ports.http,
        "https_port": ports.https,
        "grace_period": GRACE,
        "servers": {
            "edge": {
                "listen": [f":{ports.https}"],
                "protocols": ["h1", "h2"],
                "automatic_https": {"disable_redirects": True},
                "routes": [_route(one) for one in sorted(routes, key=lambda route: route.host)],
            },
            "plain": {"listen": [f":{ports.http}"], "protocols": ["h1"], "routes": [_secured(ports)]},
        },
    }


def _secured(ports: Ports) -> dict[str, Any]:
    """Lead to the same page by HTTPS, at a port that is said where it is not the one that browsers ask."""
    port = "" if ports.https == HTTPS else f":{ports.https}"
    location = f"https://{{http.request.host}}{port}{{http.request.uri}}"
    return {"handle": [{"handler": "static_response", "status_code": "308", "headers": {"Location": [location]}}]}


def _route(route: Route) -> dict[str, Any]:
    """Lead a host to its service, and let streams through as they come."""
    forward = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"{route.address}:{route.port}"}],
        "flush_interval": -1,
        "stream_close_delay": GRACE,
    }
    return {"match": [{"host": [route.host]}], "handle": [forward], "terminal": True}


def _tls(routes: list[Route]) -> dict[str, Any]:
    own = sorted(route.host for route in routes if not is_public(route.host))
    return {"automation": {"policies": [{"subjects": own, "issuers": [{"module": "internal"}]}] if own else []}}


def _authority() -> Mapping[str, Any]:
    """The edge's own authority is nobody's else: the machine is not made to trust it."""
    return {"certificate_authorities": {"local": {"name": "Tiffin's edge", "install_trust": False}}}
