"""What nodes say of themselves decides what is asked of them."""

from __future__ import annotations

from typing import Any

import pytest

from tiffin.deploy.kubernetes.manifests.cluster import can_keep_groups, can_map_users


def node(kernel: str = "6.12.0-generic", *, able: bool = True, name: str = "") -> dict[str, Any]:
    handler = {"name": name, "features": {"userNamespaces": able}}
    return {"status": {"nodeInfo": {"kernelVersion": kernel}, "runtimeHandlers": [handler]}}


@pytest.mark.parametrize(
    ("nodes", "able"),
    [
        ([node(), node("7.0.1")], True),
        ([node(), node("6.1.0-40-amd64")], False),
        ([node(), node(able=False)], False),
        ([node(name="gvisor")], False),
        ([{"status": {"nodeInfo": {"kernelVersion": "6.12"}}}], False),
        ([{"status": {"nodeInfo": {}, "runtimeHandlers": [{"features": None}]}}], False),
        ([node("unknown")], False),
        ([{}], False),
        ([], False),
    ],
)
def test_ids_are_mapped_where_every_node_can(nodes: list[dict[str, Any]], *, able: bool) -> None:
    assert can_map_users(nodes) is able


@pytest.mark.parametrize(
    ("nodes", "able"),
    [
        ([{"status": {"features": {"supplementalGroupsPolicy": True}}}], True),
        ([{"status": {"features": {"supplementalGroupsPolicy": True}}}, {"status": {}}], False),
        ([{"status": {"features": {"supplementalGroupsPolicy": False}}}], False),
        ([{"status": {"features": None}}], False),
        ([], True),
    ],
)
def test_groups_are_strict_unless_a_node_would_refuse_that(nodes: list[dict[str, Any]], *, able: bool) -> None:
    assert can_keep_groups(nodes) is able
