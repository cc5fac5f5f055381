"""What is sent, in which order, what is ours to remove, and what a dry run says would change."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tiffin.deploy.kubernetes.changes import changed, created, removed
from tiffin.deploy.kubernetes.order import in_order, is_ours, key_of, labels_of, surplus
from tiffin.deploy.target import Action

KINDS = [
    ("apps/v1", "Deployment"),
    ("v1", "Namespace"),
    ("v1", "Service"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("v1", "ServiceAccount"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
]


def thing(version: str, kind: str, name: str = "iris", manager: str = "tiffin", **more: Any) -> dict[str, Any]:
    managed = [{"manager": manager, "operation": "Apply"}]
    metadata = {"name": name, "labels": labels_of("iris"), "managedFields": managed, **more}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


@given(st.permutations(KINDS))
def test_the_namespace_comes_first_and_what_starts_pods_last(kinds: list[tuple[str, str]]) -> None:
    ordered = [one["kind"] for one in in_order(thing(*kind) for kind in kinds)]
    assert (ordered[0], ordered[1], ordered[-1]) == ("Namespace", "ServiceAccount", "Deployment")
    assert ordered.index("Service") < ordered.index("HTTPRoute")


def test_what_is_wanted_no_more_is_removed_from_the_other_end() -> None:
    there = [thing(*kind) for kind in KINDS]
    assert next(iter(surplus(there, [])))["kind"] == "Deployment"
    kept = [thing("apps/v1beta1", "Deployment")]
    assert "Deployment" not in {one["kind"] for one in surplus(there, kept)}, "another version is the same object"
    assert surplus(there, there) == []


def test_what_others_manage_is_not_ours() -> None:
    assert is_ours(thing("v1", "Service"))
    assert not is_ours(thing("v1", "Service", manager="kubectl"))
    assert not is_ours(thing("v1", "Service", ownerReferences=[{"uid": "1"}]))
    assert not is_ours(thing("v1", "Service", labels={"app.kubernetes.io/managed-by": "Helm"}))
    assert key_of(thing("apps/v1", "Deployment")) == ("apps", "Deployment", "iris")


def test_a_change_is_told_field_by_field() -> None:
    before = {**thing("apps/v1", "Deployment"), "spec": {"replicas": 1, "env": [{"name": "A", "value": "1"}]}}
    after = {**thing("apps/v1", "Deployment"), "spec": {"replicas": 2, "env": [{"name": "A", "value": "2"}]}}
    change = changed(before, after)
    assert change.action is Action.CHANGE
    assert change.details == ("spec.env[A].value: 1 -> 2", "spec.replicas: 1 -> 2")
    gone = {**after, "spec": {"replicas": 2, "env": [], "more": "x" * 100}}
    assert changed(after, gone).details == (
        "spec.env[A]: {'name': 'A', 'value': '2'} -> nothing",
        f"spec.more: nothing -> {'x' * 80}…",
    )


def test_what_the_server_writes_by_itself_is_no_change() -> None:
    before = {
        **thing("v1", "Service", resourceVersion="1", annotations={"tiffin.dev/service": "a"}),
        "status": {"a": 1},
    }
    after = thing("v1", "Service", resourceVersion="2", annotations={"tiffin.dev/service": "b"})
    assert changed(before, after).action is Action.KEEP


def test_what_is_new_and_what_goes_is_told() -> None:
    assert [change.action for change in created([thing("v1", "Service")])] == [Action.CREATE]
    assert changed(None, thing("v1", "Service")).what == "Service/iris"
    assert [change.action for change in removed([thing("v1", "Service")])] == [Action.REMOVE]
