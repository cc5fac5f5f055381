"""Whatever is rendered is what Kubernetes takes, in every version, field by field, and as safe as it is meant to be."""

from __future__ import annotations

from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings

from tiffin.deploy.kubernetes.manifests.render import Canary, Cluster, render, render_kserve, to_yaml, weakest_profile
from tiffin.deploy.kubernetes.security import Profile
from tiffin.deploy.service import Service
from tiffin.errors import UnsupportedError
from unit.deploy.kubernetes.manifests.schemas import assert_valid
from unit.deploy.kubernetes.manifests.services import CLUSTER, SERVICE, canaries, clusters, services

many = settings(
    max_examples=150,
    phases=set(Phase) - {Phase.shrink, Phase.explain},
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def rendered(service: Service, cluster: Cluster, canary: Canary | None) -> list[dict[str, Any]]:
    """Render both ways, as far as the cluster can."""
    made = []
    for way in (render, render_kserve):
        try:
            made += way(service, cluster, canary)
        except UnsupportedError as refused:
            assert refused.hint
    return made


@many
@given(services, clusters, canaries)
def test_everything_rendered_is_valid_restricted_and_the_same_after_reading(
    service: Service, cluster: Cluster, canary: Canary | None
) -> None:
    made = rendered(service, cluster, canary)
    for thing in made:
        assert_valid(thing, cluster.version)
        if thing["kind"] != "Namespace":
            assert thing["metadata"]["labels"]["app.kubernetes.io/name"] == service.name
            assert thing["metadata"]["namespace"] == cluster.namespace
        assert thing["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "tiffin"
    assert weakest_profile(made, cluster.version) is Profile.RESTRICTED
    assert list(yaml.safe_load_all(to_yaml(made))) == made
