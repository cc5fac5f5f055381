"""How objects are named and labelled, and how they find each other."""

from __future__ import annotations

from typing import Any

import msgspec

from tiffin.deploy.service import Template, revision_of

MANAGER = "tiffin"
NAME, INSTANCE = "app.kubernetes.io/name", "app.kubernetes.io/instance"
MANAGED_BY, VERSION = "app.kubernetes.io/managed-by", "app.kubernetes.io/version"
COMPONENT = "app.kubernetes.io/component"
REVISION = "tiffin.dev/revision"
"""The annotation with the digest of a revision: labels have no room for one."""
CLIENT = "tiffin.dev/client"
"""The label of pods, or of whole namespaces, that may ask a service."""
CONTAINER = "server"
_SHORT = 12

Object = dict[str, Any]


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a service's replicas: the revision that is there, or the canary beside it."""

    service: str
    template: Template
    canary: bool = False

    @property
    def name(self) -> str:
        """What its objects are called."""
        return f"{self.service}-canary" if self.canary else self.service

    @property
    def selector(self) -> dict[str, str]:
        """The labels of its pods alone; they never change, since a Deployment's selector cannot."""
        return {NAME: self.service, INSTANCE: self.name}

    @property
    def labels(self) -> dict[str, str]:
        """What its pods and its Deployment are labelled with."""
        version = revision_of(self.template).partition(":")[2][:_SHORT]
        return {**labels(self.service), INSTANCE: self.name, VERSION: version, COMPONENT: "predictor"}


def labels(service: str) -> dict[str, str]:
    """The labels of everything that belongs to a service, by which it is found again, and pruned."""
    return {NAME: service, MANAGED_BY: MANAGER}


def make(version: str, kind: str, metadata: Object, **rest: Any) -> Object:
    """Make an object with its keys in the order in which people read them."""
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def reference(track: Track) -> Object:
    """Name a track's Deployment to whoever scales it."""
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": track.name}
