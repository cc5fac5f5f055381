"""What is done with one request: what it means for the objects, and what is answered."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from apiserver import fields, refusal, served
from apiserver.ownership import Manager, Object, read_books
from apiserver.refusal import Refusal
from apiserver.served import Served
from apiserver.store import Store, now
from apiserver.wishes import unknown

APPLY = "application/apply-patch+yaml"
_REPLICAS = ("f:spec", "f:replicas")


@dataclass(frozen=True)
class Request:
    """What is asked of objects."""

    method: str
    kind: Served
    namespace: str = ""
    name: str = ""
    part: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    media_type: str = ""
    body: bytes = b""
    agent: str = ""

    @property
    def dry(self) -> bool:
        """Whether nothing shall be kept."""
        return self.query.get("dryRun") == "All"

    @property
    def who(self) -> Manager:
        """Who sets fields by it."""
        name = self.query.get("fieldManager") or self.agent.partition("/")[0]
        operation = "Apply" if self.media_type == APPLY else "Update"
        return Manager(name, operation, self.kind.api_version, self.part, now())

    def wanted(self) -> Object:
        """The object that is sent, with its name and place."""
        try:
            sent = yaml.safe_load(self.body) if self.media_type == APPLY else json.loads(self.body)
        except ValueError as error:
            raise Refusal(400, "BadRequest", f"couldn't get version/kind; json parse error: {error}") from error
        about = sent.setdefault("metadata", {})
        for key, value in (("name", self.name), ("namespace", self.namespace)):
            if value and about.setdefault(key, value) != value:
                words = f"the {key} of the object ({about[key]}) does not match the {key} on the URL ({value})"
                raise Refusal(400, "BadRequest", words)
        return dict(sent)


def resource(store: Store, path: str, accept: str, *, aggregates: bool) -> dict[str, Any] | None:
    """What discovery says; None where the path is none of its own."""
    parts = path.strip("/").split("/")
    together = aggregates and "APIGroupDiscoveryList" in accept
    if path == "/version":
        return {"major": "1", "minor": "36+", "gitVersion": "v1.36.1"}
    if path == "/api":
        return served.aggregated(store.kinds, oldest=True) if together else {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return served.aggregated(store.kinds, oldest=False) if together else served.groups(store.kinds)
    if (parts[0] == "api" and len(parts) == 2) or (parts[0] == "apis" and len(parts) == 3):
        return served.resources(store.kinds, "/".join(parts[1:]))
    return None


def answer(store: Store, request: Request) -> Object:
    """Do it; raises Refusal."""
    verbs: dict[tuple[str, bool], Callable[[Store, Request], Object]] = {
        ("GET", True): _get,
        ("GET", False): _list,
        ("POST", False): _create,
        ("PUT", True): _replace,
        ("PATCH", True): _patch,
        ("DELETE", True): _delete,
    }
    if request.part and request.part not in request.kind.parts:
        raise refusal.no_such_place()
    verb = verbs.get((request.method, bool(request.name)))
    if verb is None:
        raise Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    return verb(store, request)


def selected(item: Object, query: Mapping[str, str]) -> bool:
    """Whether an object has the labels and fields that are asked for."""
    labels = item["metadata"].get("labels", {})
    for selector, value_of in (("labelSelector", labels.get), ("fieldSelector", lambda path: _dotted(item, path))):
        for term in filter(None, query.get(selector, "").split(",")):
            name, _, value = term.partition("=")
            found = value_of(name.removesuffix("!"))
            if (found == value.removeprefix("=")) == name.endswith("!"):
                return False
    return True


def _get(store: Store, request: Request) -> Object:
    found = store.get(request.kind, request.namespace, request.name)
    return _scale(found) if request.part == "scale" else found


def _list(store: Store, request: Request) -> Object:
    with store.changed:
        token = request.query.get("continue", "")
        if token and token not in store.pages:
            words = "The provided continue parameter is too old to display a consistent list result."
            raise refusal.expired(words)
        version, items = store.pages.get(token) or (
            store.version,
            [item for item in store.of(request.kind, request.namespace) if selected(item, request.query)],
        )
        limit = int(request.query.get("limit", 0)) or len(items)
        about: Object = {"resourceVersion": str(version)}
        if items[limit:]:
            about |= {"continue": uuid.uuid4().hex, "remainingItemCount": len(items) - limit}
            store.pages[about["continue"]] = version, items[limit:]
    bare = [{key: value for key, value in item.items() if key not in {"apiVersion", "kind"}} for item in items[:limit]]
    return {
        "kind": f"{request.kind.kind}List",
        "apiVersion": request.kind.api_version,
        "metadata": about,
        "items": bare,
    }


def _create(store: Store, request: Request) -> Object:
    wanted = request.wanted()
    _be_strict(request, wanted)
    wanted.pop("status", None)
    return store.create(request.kind, wanted, request.who, dry=request.dry)


def _replace(store: Store, request: Request) -> Object:
    return _write(store, request, store.get(request.kind, request.namespace, request.name), request.wanted())


def _write(store: Store, request: Request, live: Object, new: Object) -> Object:
    """Write the part of an object that the request is about."""
    if request.part == "scale":
        scaled = {**live, "spec": {**live["spec"], "replicas": new.get("spec", {}).get("replicas", 0)}}
        if not any(_REPLICAS in theirs for theirs in read_books(live).values()):
            return _scale(store.keep(request.kind, live, scaled))  # what nobody owns, scaling gives to nobody
        return _scale(store.update(request.kind, scaled, request.who))
    _be_strict(request, new)
    whole = {**live, "status": new.get("status")} if request.part == "status" else {**new, "status": live.get("status")}
    if whole["status"] is None:
        del whole["status"]
    whole["metadata"] = {**whole["metadata"]}
    whole["metadata"] |= {key: value for key, value in new["metadata"].items() if key == "resourceVersion"}
    return store.update(request.kind, whole, request.who, dry=request.dry)


def _patch(store: Store, request: Request) -> Object:
    if request.media_type == APPLY:
        return _apply(store, request)
    with store.changed:
        live = store.get(request.kind, request.namespace, request.name)
        shown = _scale(live) if request.part == "scale" else live
        changes = json.loads(request.body)
        if request.media_type == "application/merge-patch+json":
            return _write(store, request, live, _merged(shown, changes))
        if request.media_type == "application/strategic-merge-patch+json":
            return _write(store, request, live, fields.merge(shown, changes))
    words = f"the body of the request was in an unknown format - accepted media types include: {APPLY}"
    raise Refusal(415, "UnsupportedMediaType", words)


def _apply(store: Store, request: Request) -> Object:
    wanted = request.wanted()
    if not request.query.get("fieldManager"):
        words = "is required for apply patch"
        message = f'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: {words}'
        raise Refusal(
            422, "Invalid", message, causes=[{"field": "fieldManager", "message": f"Required value: {words}"}]
        )
    if wanted["metadata"].get("managedFields"):
        raise Refusal(400, "BadRequest", "metadata.managedFields must be nil")
    _be_strict(request, wanted)
    if request.part == "status":
        wanted = {key: wanted[key] for key in ("apiVersion", "kind", "metadata", "status") if key in wanted}
    else:
        wanted.pop("status", None)
    force = request.query.get("force") == "true"
    return store.apply(request.kind, wanted, request.who, force=force, dry=request.dry)


def _delete(store: Store, request: Request) -> Object:
    wish = json.loads(request.body or b"{}")
    with store.changed:
        about = store.get(request.kind, request.namespace, request.name)["metadata"]
        for key, value in wish.get("preconditions", {}).items():
            if about[key] != value:
                what = {"uid": "UID", "resourceVersion": "ResourceVersion"}[key]
                raise refusal.other(request.kind, request.name, what, value, about[key])
        if not request.dry:
            policy = wish.get("propagationPolicy") or request.query.get("propagationPolicy") or "Background"
            store.delete(request.kind, request.namespace, request.name, policy)
    details = {"name": request.name, "group": request.kind.group, "kind": request.kind.plural, "uid": about["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _be_strict(request: Request, wanted: Object) -> None:
    places = unknown(request.kind, wanted) if request.query.get("fieldValidation") == "Strict" else []
    if not places:
        return
    kind = request.kind
    if request.media_type == APPLY:
        what = f"{request.namespace}/{request.name}; {kind.api_version}, Kind={kind.kind}"
        why = f"failed to create typed patch object ({what}): .{places[0]}: field not declared in schema"
        raise Refusal(500, "", why)
    listed = ", ".join(f'unknown field "{place}"' for place in places)
    how = f'in version "{kind.version}" cannot be handled as a {kind.kind}'
    raise Refusal(400, "BadRequest", f"{kind.kind} {how}: strict decoding error: {listed}")


def _scale(item: Object) -> Object:
    about = {key: item["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    status = {"replicas": item.get("status", {}).get("replicas", 0)}
    spec = {"replicas": item["spec"].get("replicas", 0)}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": about, "spec": spec, "status": status}


def _merged(live: Any, changes: Any) -> Any:
    """RFC 7396."""
    if not isinstance(changes, dict):
        return changes
    live = live if isinstance(live, dict) else {}
    merged = {key: value for key, value in live.items() if changes.get(key, value) is not None}
    return merged | {key: _merged(live.get(key), value) for key, value in changes.items() if value is not None}


def _dotted(item: Any, path: str) -> Any:
    for name in path.split("."):
        item = item.get(name) if isinstance(item, dict) else None
    return item
