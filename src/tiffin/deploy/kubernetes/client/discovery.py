"""Which kinds a cluster says it serves.

It comes in two forms: one document of each group and version (`APIResourceList`), and one of all of them
(`APIGroupDiscoveryList`, Kubernetes 1.27 and later).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tiffin.deploy.kubernetes.client.asking import Asking, Question
from tiffin.deploy.kubernetes.client.kinds import Kind, root_of
from tiffin.errors import NotFoundError, UnavailableError

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList, application/json"
"""What to accept for all of it at once, where that is offered."""


def discover(asking: Asking) -> Iterator[Kind]:
    """All kinds, by one question for each half, where the server can so; else by one for each group and version."""
    for root in ("/api", "/apis"):
        said = asking.ask(Question(path=root, accept=AGGREGATED))
        if said.get("kind") == "APIGroupDiscoveryList":
            yield from read_groups(said)
        else:
            for version in read_versions(said):
                yield from _kinds_that_answer(asking, version)


def kinds_of(asking: Asking, api_version: str) -> list[Kind]:
    """The kinds of one group and version; raises NotFoundError where the cluster has none such."""
    return list(read_resources(asking.ask(Question(path=root_of(api_version)))))


def _kinds_that_answer(asking: Asking, api_version: str) -> list[Kind]:
    """The kinds of a group; one that another server keeps, which is down, has none for now."""
    try:
        return list(read_resources(asking.ask(Question(path=root_of(api_version), once=True))))
    except (NotFoundError, UnavailableError):
        return []


def read_versions(document: Any) -> Iterator[str]:
    """The versions that an `APIVersions` or `APIGroupList` names, as objects name them."""
    yield from document.get("versions") or ()
    for group in document.get("groups") or ():
        yield from (version["groupVersion"] for version in group["versions"])


def read_resources(document: Any) -> Iterator[Kind]:
    """The kinds of an `APIResourceList`; parts of objects, such as `deployments/scale`, are none."""
    group, _, version = document["groupVersion"].rpartition("/")
    for resource in document["resources"]:
        if "/" not in resource["name"]:
            yield Kind(
                group=group,
                version=version,
                name=resource["kind"],
                plural=resource["name"],
                namespaced=resource["namespaced"],
            )


def read_groups(document: Any) -> Iterator[Kind]:
    """The kinds of an `APIGroupDiscoveryList`; of each group the version that the server likes best comes first."""
    for group in document.get("items", []):
        for version in group.get("versions", []):
            for resource in version.get("resources", []):
                yield Kind(
                    group=group["metadata"].get("name", ""),
                    version=version["version"],
                    name=resource["responseKind"]["kind"],
                    plural=resource["resource"],
                    namespaced=resource["scope"] == "Namespaced",
                )
