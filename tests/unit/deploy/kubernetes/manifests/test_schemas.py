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
from unit.deploy.kubernetes.manifests.golden_files import golden
from unit.deploy.kubernetes.manifests.schemas import assert_valid
from unit.deploy.kubernetes.manifests.services import CLUSTER, SERVICE, VERSIONS, canaries, clusters, services

many = settings(
    max_examples=150,
    phases=set(Phase) - {Phase.shrink, Phase.explain},  # what fails is told as it is: a smaller one takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)


def rendered(service: Service, cluster: Cluster, canary: Canary | None) -> list[dict[str, Any]]:
    """Render both ways, as far as the cluster can."""
    made = []
    for way in (render, render_kserve):
        try:
            made += way(service, cluster, canary)
        except UnsupportedError:
            continue
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


@pytest.mark.parametrize("version", [(1, 30), (1, 31), (1, 32), *VERSIONS], ids=lambda version: f"1.{version[1]}")
def test_an_ordinary_service_is_valid_in_every_version(version: tuple[int, int]) -> None:
    for thing in render(SERVICE, Cluster(version=version)):
        kubernetes_validate.validate(thing, f"{version[0]}.{version[1]}", strict=True)


@pytest.mark.parametrize("name", golden())
def test_golden_files_are_valid(name: str) -> None:
    for thing in yaml.safe_load_all(golden()[name]):
        assert_valid(thing, (1, 37))


def test_a_misspelt_field_a_wrong_type_and_a_field_of_a_later_version_are_not_valid() -> None:
    *_, deployment = render(SERVICE, CLUSTER)
    assert_valid(deployment, (1, 37))
    spec = deployment["spec"]
    for wrong in ({"strategyy": {}}, {"replicas": "1"}):
        with pytest.raises(jsonschema.ValidationError):
            assert_valid({**deployment, "spec": spec | wrong}, (1, 37))
    scaling = {"minReplicas": 1, "maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "iris"}}
    scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": scaling}
    tolerant = {**scaler, "spec": {**scaling, "behavior": {"scaleDown": {"tolerance": "0.1"}}}}
    assert_valid(tolerant, (1, 37))
    with pytest.raises(jsonschema.ValidationError):
        assert_valid(tolerant, (1, 31))


def test_custom_resources_are_held_against_their_own_schemas() -> None:
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {}, "spec": {"rulez": []}}
    with pytest.raises(jsonschema.ValidationError, match="rulez"):
        assert_valid(route, (1, 37))
