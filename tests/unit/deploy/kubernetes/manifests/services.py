"""Services and clusters that tests render: named ones, and any that Hypothesis thinks of."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from tiffin.deploy.kubernetes.manifests.render import Canary, Cluster
from tiffin.deploy.service import (
    Data,
    Probe,
    Replicas,
    Resources,
    Rollout,
    SecretFile,
    Service,
    Template,
    Weights,
)
from tiffin.oci.digest import Digest

VERSIONS = [(1, minor) for minor in range(33, 38)]
HTTP_ROUTE = "gateway.networking.k8s.io/HTTPRoute"
EVERYTHING = frozenset(
    {
        HTTP_ROUTE,
        "custom.metrics.k8s.io/MetricValueList",
        "http.keda.sh/InterceptorRoute",
        "keda.sh/ScaledObject",
        "monitoring.coreos.com/ServiceMonitor",
        "serving.kserve.io/InferenceService",
    }
)
PORTS = {"http": 8080, "grpc": 8081, "metrics": 8082}
TEMPLATE = Template(image="registry.example/team/iris", digest=Digest.of(b"iris"), ports=PORTS)
NEXT = msgspec.structs.replace(TEMPLATE, digest=Digest.of(b"iris, retrained"))
SERVICE = Service(name="iris", template=TEMPLATE)
CLUSTER = Cluster(namespace="models")
FULL = Cluster(
    version=(1, 37),
    namespace="models",
    kinds=EVERYTHING,
    makes_namespace=True,
    gateway="gateway/public",
    prometheus="http://prometheus.monitoring:9090",
    pull_secrets=("registry",),
    user_namespaces=True,
)
CANARY = Canary(template=NEXT, percent=10)
OTHER = Template(
    image="registry.example/database",
    digest=Digest.of(b"database"),
    ports={"sql": 5432},
    inherits=False,
    probe=Probe(),
    user=(0, 0),
    env={"MODE": "y", "ONE": "1e3"},
)

_names = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
_counts = st.integers(0, 3)
_data = st.builds(Data, name=_names, path=st.just("/data"), source=_names, write=st.booleans())
_secrets = st.builds(SecretFile, name=_names, source=st.one_of(_names, st.just("secret/key.pem")))
_weights = st.builds(
    Weights,
    image=st.just("registry.example/weights"),
    digest=st.just(Digest.of(b"weights")),
    size=st.sampled_from([0, 1 << 40]),
    inside=st.booleans(),
)
templates = st.builds(
    Template,
    image=st.just("registry.example/iris"),
    digest=st.binary(max_size=4).map(Digest.of),
    ports=st.sampled_from([PORTS, {"http": 8080}, {"sql": 5432}, {"http": 80, "metrics": 9090}, {"b": 1, "a": 2}]),
    inherits=st.booleans(),
    probe=st.sampled_from([Probe(), Probe(ready="/ready"), Probe(ready="/ready", live="/live")]),
    user=st.sampled_from([(65532, 65532), (1000, 0)]),
    env=st.dictionaries(st.from_regex(r"[A-Z_]{1,10}", fullmatch=True), st.text("ab1=y: {}'\"\n#é", max_size=6)),
    secrets=st.lists(_secrets, max_size=2, unique_by=lambda one: one.name).map(tuple),
    data=st.lists(_data, max_size=1).map(tuple),
    resources=st.builds(
        Resources, cpus=st.floats(0.001, 64), memory=st.integers(8 << 20, 1 << 40), gpus=st.integers(0, 8)
    ),
    weights=st.none() | _weights,
    load_seconds=st.floats(0, 86_400),
    deadline_seconds=st.floats(0, 86_400),
    drain_seconds=st.floats(0, 60),
)
_replicas = st.builds(
    lambda least, more, concurrency: Replicas(least=least, most=max(least + more, 1), concurrency=concurrency),
    st.integers(0, 5),
    st.integers(0, 20),
    st.floats(0.1, 1000),
)
_rollouts = st.builds(Rollout, surge=st.integers(1, 3), unavailable=_counts, ready_seconds=st.floats(0, 60))
services = st.builds(
    Service,
    name=_names,
    template=templates,
    replicas=_replicas,
    rollout=_rollouts,
    host=st.just("") | st.sampled_from(["iris.example", "*.example"]),
)
clusters = st.builds(
    Cluster,
    version=st.sampled_from(VERSIONS),
    namespace=_names,
    kinds=st.just(EVERYTHING) | st.sets(st.sampled_from(sorted(EVERYTHING))).map(frozenset),
    makes_namespace=st.booleans(),
    gateway=st.sampled_from(["public", "gateway/public", ""]),
    prometheus=st.sampled_from(["", "http://prometheus.monitoring:9090"]),
    pull_secrets=st.sampled_from([(), ("registry",)]),
    user_namespaces=st.booleans(),
)
canaries = st.none() | st.builds(Canary, template=templates, percent=st.floats(0.1, 100))
