"""Whether gateways lead a host's requests to a service, read from what they say of its route. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tiffin.deploy.target import Finding

Object = dict[str, Any]
_HINT = "see with `kubectl describe httproute,gateway` whether that Gateway is there, and who controls it"


def leads(routes: Sequence[Object]) -> bool:
    """Say whether some gateway has accepted a route."""
    return any(_condition(parent, "Accepted").get("status") == "True" for one in routes for parent in _parents(one))


def unrouted(host: str, routes: Sequence[Object]) -> Iterator[Finding]:
    """Say what keeps requests for a host from a service: a gateway that refuses its route, or none at all."""
    if not routes:
        yield Finding(message=f"nothing leads {host} to it: it has no HTTPRoute", hint="`tiffin deploy` makes it anew")
    for route in routes:
        refusals = [*_refusals(host, route)]
        yield from refusals
        if not refusals and not leads([route]):
            named = [_named(one) for one in route.get("spec", {}).get("parentRefs", [])]
            message = f"nothing leads {host} to it: no gateway has accepted its route to {' and '.join(named)} yet"
            yield Finding(message=message, hint=_HINT)


def _refusals(host: str, route: Object) -> Iterator[Finding]:
    """What gateways say against a route."""
    for parent in _parents(route):
        for kind, what in (
            ("Accepted", "does not accept its route"),
            ("ResolvedRefs", "does not find all it leads to"),
        ):
            said = _condition(parent, kind)
            if said.get("status") == "False":
                who = _named(parent.get("parentRef", {}))
                words = said.get("message") or said.get("reason", "")
                yield Finding(message=f"{who}, the gateway for {host}, {what}: {words}", hint=_HINT)


def _parents(route: Object) -> Sequence[Object]:
    found: Sequence[Object] = route.get("status", {}).get("parents", [])
    return found


def _named(parent: Object) -> str:
    return f"{parent['namespace']}/{parent['name']}" if parent.get("namespace") else str(parent.get("name", ""))


def _condition(parent: Object, kind: str) -> Object:
    return next((one for one in parent.get("conditions", []) if one.get("type") == kind), {})
