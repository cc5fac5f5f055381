"""What a cluster is asked for, decision by decision."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.deploy.kubernetes.manifests.render import (
    Canary,
    Cluster,
    canary_share,
    render,
    render_kserve,
    weakest_profile,
)
from tiffin.deploy.kubernetes.security import Profile
from tiffin.deploy.service import Data, Replicas, Resources, SecretFile, Service, Template, Weights
from tiffin.errors import UnsupportedError
from tiffin.oci.digest import Digest
from unit.deploy.kubernetes.manifests.services import (
    CANARY,
    CLUSTER,
    EVERYTHING,
    FULL,
    HTTP_ROUTE,
    NEXT,
    OTHER,
    SERVICE,
    TEMPLATE,
)

replace = msgspec.structs.replace
SCALED = replace(SERVICE, replicas=Replicas(least=2, most=10, concurrency=4))


def kinds(objects: list[dict[str, Any]]) -> list[str]:
    return [thing["kind"] for thing in objects]


def find(objects: list[dict[str, Any]], kind: str, name: str = "iris") -> dict[str, Any]:
    (found,) = [thing for thing in objects if thing["kind"] == kind and thing["metadata"]["name"] == name]
    return found


def pod(template: Template, cluster: Cluster = CLUSTER) -> dict[str, Any]:
    spec: dict[str, Any] = find(render(replace(SERVICE, template=template), cluster), "Deployment")["spec"]["template"]
    return spec["spec"]


def container(template: Template, cluster: Cluster = CLUSTER) -> dict[str, Any]:
    (found,) = pod(template, cluster)["containers"]
    return found


def env(template: Template) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container(template)["env"]}


def test_a_plain_service_is_what_every_cluster_can_keep() -> None:
    assert kinds(render(SERVICE, CLUSTER)) == ["ServiceAccount", "NetworkPolicy", "Service", "Deployment"]


def test_what_a_cluster_serves_beyond_its_core_is_used() -> None:
    made = render(replace(SCALED, host="iris.example"), FULL, CANARY)
    beyond = {"Namespace", "ScaledObject", "ServiceMonitor", "HTTPRoute", "PodDisruptionBudget"}
    assert beyond <= set(kinds(made))
    assert kinds(made)[0] == "Namespace"


def test_a_namespace_that_is_there_is_left_alone() -> None:
    assert "Namespace" not in kinds(render(SERVICE, CLUSTER))


def test_a_namespace_that_we_make_refuses_what_is_less_safe_than_its_service() -> None:
    ours = replace(CLUSTER, makes_namespace=True)
    labels = find(render(SERVICE, ours), "Namespace", "models")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["pod-security.kubernetes.io/enforce-version"] == "v1.36"
    theirs = render(replace(SERVICE, template=OTHER), ours)
    assert weakest_profile(theirs, ours.version) is Profile.BASELINE
    assert find(theirs, "Namespace", "models")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"


def test_a_replica_may_load_as_long_as_it_needs_before_anyone_gives_it_up() -> None:
    probe = container(replace(TEMPLATE, load_seconds=601.0))["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 601


def test_a_stop_leaves_time_for_the_news_the_drain_and_the_longest_request() -> None:
    slow = replace(TEMPLATE, drain_seconds=20.5, deadline_seconds=90.0)
    sleep = container(slow)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(slow)["terminationGracePeriodSeconds"] >= sleep + 20.5 + 90


def test_our_server_is_told_its_processors_and_another_image_its_threads() -> None:
    assert env(replace(TEMPLATE, resources=Resources(cpus=2.5)))["TIFFIN_CPUS"] == "2.5"
    assert env(replace(OTHER, resources=Resources(cpus=2.5)))["OMP_NUM_THREADS"] == "2"
    assert env(replace(TEMPLATE, env={"TIFFIN_CPUS": "1"}))["TIFFIN_CPUS"] == "1"


def test_memory_is_promised_and_processors_are_not_held_back() -> None:
    resources = container(replace(TEMPLATE, resources=Resources(cpus=0.5, memory=1536 << 20)))["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"] == "1536Mi"
    assert resources["requests"]["cpu"] == "500m"
    assert "cpu" not in resources["limits"]


def test_what_a_replica_writes_is_bounded() -> None:
    assert {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}} in pod(TEMPLATE)["volumes"]
    assert container(TEMPLATE)["securityContext"]["readOnlyRootFilesystem"] is True
    assert "ephemeral-storage" in container(OTHER)["resources"]["limits"]


def test_gpus_are_asked_for_with_the_memory_their_libraries_share() -> None:
    template = replace(TEMPLATE, resources=Resources(gpus=2))
    assert container(template)["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert pod(template)["tolerations"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in container(template)["volumeMounts"]


def test_secrets_are_files_and_no_variables() -> None:
    secrets = (SecretFile(name="tls.key", source="certificates/iris.key"), SecretFile(name="token", source="iris"))
    template = replace(TEMPLATE, secrets=secrets)
    (volume,) = [one for one in pod(template)["volumes"] if one["name"] == "secrets"]
    sources = [one["secret"] for one in volume["projected"]["sources"]]
    assert sources == [
        {"name": "certificates", "items": [{"key": "iris.key", "path": "tls.key"}]},
        {"name": "iris", "items": [{"key": "token", "path": "token"}]},
    ]
    assert {"name": "secrets", "mountPath": "/run/secrets", "readOnly": True} in container(template)["volumeMounts"]


def test_data_is_a_claim_and_read_only_unless_it_is_written() -> None:
    template = replace(TEMPLATE, data=(Data(name="my_data.v1", path="/data", source="claim"),))
    assert {"name": "data-my-data-v1", "persistentVolumeClaim": {"claimName": "claim"}} in pod(template)["volumes"]
    assert {"name": "data-my-data-v1", "mountPath": "/data", "readOnly": True} in container(template)["volumeMounts"]


@pytest.mark.parametrize(
    ("version", "size", "inside", "mounted"),
    [
        ((1, 32), 4 << 30, True, False),
        ((1, 34), 4 << 30, True, False),
        ((1, 35), 4 << 30, True, True),
        ((1, 37), 1 << 20, True, False),
        ((1, 33), 1 << 20, False, True),
        ((1, 37), 0, False, True),
    ],
)
def test_weights_are_mounted_where_that_pays_and_where_the_cluster_can(
    *, version: tuple[int, int], size: int, inside: bool, mounted: bool
) -> None:
    weights = Weights(image="registry.example/weights", digest=Digest.of(b"weights"), size=size, inside=inside)
    cluster = replace(CLUSTER, version=version)
    names = [one["name"] for one in pod(replace(TEMPLATE, weights=weights), cluster)["volumes"]]
    assert ("weights" in names) is mounted


def test_weights_that_are_nowhere_else_are_refused_where_no_image_can_be_mounted() -> None:
    weights = Weights(image="registry.example/weights", digest=Digest.of(b"weights"), inside=False)
    with pytest.raises(UnsupportedError, match=r"1\.32 cannot mount") as refused:
        pod(replace(TEMPLATE, weights=weights), replace(CLUSTER, version=(1, 32)))
    assert "1.33" in str(refused.value.hint)


def test_fields_that_a_version_lacks_or_nodes_cannot_do_are_left_out() -> None:
    able = replace(CLUSTER, user_namespaces=True)
    assert pod(TEMPLATE, able)["hostUsers"] is False
    assert "hostUsers" not in pod(TEMPLATE, CLUSTER)
    assert "hostUsers" not in pod(TEMPLATE, replace(able, version=(1, 35)))
    assert "hostUsers" not in pod(replace(TEMPLATE, data=(Data(name="a", path="/a", source="a"),)), able)
    assert pod(TEMPLATE, CLUSTER)["securityContext"]["supplementalGroupsPolicy"] == "Strict"
    for other in (replace(CLUSTER, version=(1, 35)), replace(CLUSTER, strict_groups=False)):
        assert "supplementalGroupsPolicy" not in pod(TEMPLATE, other)["securityContext"]


def test_nobody_but_an_autoscaler_sets_the_number_where_there_is_one() -> None:
    made = render(SCALED, CLUSTER)
    assert "replicas" not in find(made, "Deployment")["spec"]
    scaler = find(made, "HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 10)
    assert find(render(SERVICE, CLUSTER), "Deployment")["spec"]["replicas"] == 1


def test_an_autoscaler_looks_at_requests_where_it_can_read_them() -> None:
    blind = find(render(SCALED, CLUSTER), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [one["type"] for one in blind] == ["ContainerResource"]
    adapted = replace(CLUSTER, kinds=frozenset({"custom.metrics.k8s.io/MetricValueList"}))
    seeing, _ = find(render(SCALED, adapted), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert seeing["pods"]["metric"]["name"] == "tiffin_in_flight_requests"
    assert seeing["pods"]["target"]["averageValue"] == "4"


def test_keda_is_asked_where_it_knows_whom_to_ask_for_numbers() -> None:
    keda = replace(CLUSTER, kinds=frozenset({"keda.sh/ScaledObject"}), prometheus="http://prometheus:9090")
    by_requests, by_cpu = find(render(SCALED, keda), "ScaledObject")["spec"]["triggers"]
    assert by_requests["metadata"]["query"] == 'sum(tiffin_in_flight_requests{namespace="models",service="iris"})'
    assert by_cpu["type"] == "cpu"
    assert "HorizontalPodAutoscaler" in kinds(render(SCALED, replace(keda, prometheus="")))


def test_zero_needs_somebody_who_holds_the_requests() -> None:
    sleepy = replace(SERVICE, replicas=Replicas(least=0, most=3))
    for kinds_served in (frozenset[str](), frozenset({"keda.sh/ScaledObject"})):
        with pytest.raises(UnsupportedError, match="hold its requests"):
            render(sleepy, replace(CLUSTER, kinds=kinds_served))
    made = render(sleepy, replace(CLUSTER, kinds=EVERYTHING))
    assert find(made, "ScaledObject")["spec"]["minReplicaCount"] == 0
    assert find(made, "InterceptorRoute")["spec"]["rules"] == [
        {"hosts": ["iris.models", "iris.models.svc.cluster.local"]}
    ]
    (clients, _) = find(made, "NetworkPolicy")["spec"]["ingress"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}} in clients["from"]


def test_a_service_that_is_stopped_needs_nobody() -> None:
    stopped = render(replace(SERVICE, replicas=Replicas(least=0, most=0)), CLUSTER)
    assert find(stopped, "Deployment")["spec"]["replicas"] == 0


def test_the_way_outwards_is_open_for_a_service_that_is_given_a_network() -> None:
    open_ = replace(SERVICE, template=replace(SERVICE.template, network="user"))
    assert find(render(open_, CLUSTER), "NetworkPolicy")["spec"]["egress"] == [{}]


def test_nobody_may_ask_but_who_is_let_in() -> None:
    spec = find(render(SERVICE, CLUSTER), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"] == []
    assert all(rule["from"] for rule in spec["ingress"])
    gateway = replace(CLUSTER, kinds=frozenset({HTTP_ROUTE}), gateway="public")
    (clients, _) = find(render(SERVICE, gateway), "NetworkPolicy")["spec"]["ingress"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "models"}}} in clients["from"]


def test_a_host_leads_from_the_gateway_to_every_port_that_people_ask() -> None:
    route = find(render(replace(SERVICE, host="iris.example"), FULL), "HTTPRoute")["spec"]
    assert route["parentRefs"] == [{"name": "public", "namespace": "gateway"}]
    assert [rule["backendRefs"] for rule in route["rules"]] == [
        [{"name": "iris", "port": 80}],
        [{"name": "iris", "port": 8081}],
    ]


def test_a_canary_is_led_to_by_weight_and_by_header() -> None:
    made = render(replace(SERVICE, host="iris.example"), FULL, replace(CANARY, percent=12.5))
    asked, shared, *_ = find(made, "HTTPRoute")["spec"]["rules"]
    assert asked["matches"][0]["headers"] == [{"type": "Exact", "name": "X-Tiffin-Canary", "value": "true"}]
    assert [one["weight"] for one in shared["backendRefs"]] == [875, 125]
    for name in ("iris", "iris-canary"):
        selector = find(made, "Service", name)["spec"]["selector"]
        pods = find(made, "Deployment", name)["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= pods.items()
        assert selector["app.kubernetes.io/instance"] == name


def test_grpc_stays_with_the_revision_that_has_it() -> None:
    without = Canary(template=replace(NEXT, ports={"http": 8080}), percent=50)
    rules = find(render(replace(SERVICE, host="iris.example"), FULL, without), "HTTPRoute")["spec"]["rules"]
    assert rules[-1]["backendRefs"] == [{"name": "iris", "port": 8081}]


def test_without_a_gateway_a_canarys_share_is_that_of_its_pods() -> None:
    four = replace(SERVICE, replicas=Replicas(least=4, most=4))
    canary = replace(CANARY, percent=20)
    made = render(four, CLUSTER, canary)
    assert find(made, "Deployment", "iris-canary")["spec"]["replicas"] == 1
    assert canary_share(four, CLUSTER, canary) == 20
    assert find(made, "Service")["spec"]["selector"] == {"app.kubernetes.io/name": "iris"}
    assert canary_share(SERVICE, CLUSTER, canary) == 50


@given(st.integers(1, 50), st.floats(0.1, 100))
def test_a_canarys_share_is_told_as_it_is(replicas: int, percent: float) -> None:
    service = replace(SERVICE, replicas=Replicas(least=replicas, most=replicas))
    canary = replace(CANARY, percent=percent)
    made = render(service, CLUSTER, canary)
    beside = find(made, "Deployment", "iris-canary")["spec"]["replicas"]
    assert canary_share(service, CLUSTER, canary) == 100 * beside / (beside + replicas)
    assert 1 <= beside <= replicas


def test_the_order_in_which_ports_are_told_makes_no_other_pod() -> None:
    backwards = dict(reversed(TEMPLATE.ports.items()))
    assert render(replace(SERVICE, template=replace(TEMPLATE, ports=backwards)), CLUSTER) == render(SERVICE, CLUSTER)


def test_a_revision_is_named_on_deployment_and_pods() -> None:
    one, two = (
        find(render(replace(SERVICE, template=template), CLUSTER), "Deployment") for template in (TEMPLATE, NEXT)
    )
    assert one["spec"]["selector"] == two["spec"]["selector"]
    assert (
        one["metadata"]["annotations"]["tiffin.dev/revision"] != two["metadata"]["annotations"]["tiffin.dev/revision"]
    )


def test_an_image_of_others_may_write_to_its_root_and_is_probed_at_its_port() -> None:
    found = container(OTHER)
    assert found["securityContext"]["readOnlyRootFilesystem"] is False
    assert found["readinessProbe"]["tcpSocket"] == {"port": "sql"}
    assert "TIFFIN_CPUS" not in env(OTHER)


def test_kserve_keeps_the_same_pod() -> None:
    (predictor,) = [find(render_kserve(SCALED, FULL), "InferenceService")["spec"]["predictor"]]
    (found,) = predictor["containers"]
    assert found["name"] == "kserve-container"
    assert found["image"] == TEMPLATE.reference
    assert found["securityContext"] == container(TEMPLATE, FULL)["securityContext"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 10)


@pytest.mark.parametrize(
    "service", [replace(SERVICE, host="iris.example"), replace(SERVICE, replicas=Replicas(least=0, most=2))]
)
def test_kserve_is_not_asked_for_what_it_would_not_do(service: Service) -> None:
    with pytest.raises(UnsupportedError) as refused:
        render_kserve(service, FULL)
    assert refused.value.hint
