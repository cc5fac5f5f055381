"""What no cluster can make true is refused before anything is rendered, with what to write instead."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from tiffin.deploy.kubernetes.manifests.render import Cluster, render
from tiffin.deploy.service import Data, Replicas, Resources, Rollout, SecretFile, Weights
from tiffin.errors import ConfigError, TiffinError, UnsupportedError
from tiffin.oci.digest import Digest
from unit.deploy.kubernetes.manifests.services import CANARY, CLUSTER, FULL, SERVICE, TEMPLATE

replace = msgspec.structs.replace
_TWICE = Data(name="a", path="/data", source="claim")

TEMPLATES: dict[str, dict[str, Any]] = {
    "no processors": {"resources": Resources(cpus=0)},
    "endless processors": {"resources": Resources(cpus=math.inf)},
    "processors that are no number": {"resources": Resources(cpus=math.nan)},
    "ten thousand processors": {"resources": Resources(cpus=10_000)},
    "no memory": {"resources": Resources(memory=0)},
    "memory for nothing": {"resources": Resources(memory=4096)},
    "memory of a planet": {"resources": Resources(memory=1 << 60)},
    "GPUs below zero": {"resources": Resources(gpus=-1)},
    "no port": {"ports": {}},
    "a port too high": {"ports": {"http": 65536}},
    "a port's name too long": {"ports": {"a-name-that-is-too-long": 80}},
    "a number twice": {"ports": {"http": 80, "metrics": 80}},
    "a variable with an equals sign": {"env": {"A=B": "c"}},
    "a variable without a name": {"env": {"": "c"}},
    "a value with NUL": {"env": {"A": "\0"}},
    "a secret from a file": {"secrets": (SecretFile(name="token", source="/home/dana/token"),)},
    "a secret from a key with a slash": {"secrets": (SecretFile(name="token", source="iris/a/b"),)},
    "a secret above the folder": {"secrets": (SecretFile(name="..", source="iris"),)},
    "a secret twice": {"secrets": (SecretFile(name="a", source="b"), SecretFile(name="a", source="c"))},
    "data from a folder": {"data": (Data(name="a", path="/data", source="./features"),)},
    "data over the root": {"data": (Data(name="a", path="/", source="claim"),)},
    "data at no absolute path": {"data": (Data(name="a", path="data", source="claim"),)},
    "data over secrets": {"data": (Data(name="a", path="/run/secrets", source="claim"),)},
    "data twice": {"data": (_TWICE, replace(_TWICE, name="b"))},
    "data whose names become one": {"data": (replace(_TWICE, name="a.b"), replace(_TWICE, name="a_b", path="/b"))},
    "data with a long name": {"data": (replace(_TWICE, name="a" * 80),)},
    "an image with a space": {"image": "registry.example/my image"},
    "a weights image without a name": {"weights": Weights(image="", digest=Digest.of(b""))},
    "a user below zero": {"user": (-1, 0)},
    "endless loading": {"load_seconds": math.inf},
    "draining before it began": {"drain_seconds": -1.0},
}
SERVICES: dict[str, dict[str, Any]] = {
    "a name with a capital": {"name": "Iris"},
    "a name with a dot": {"name": "iris.v2"},
    "a name with an underscore": {"name": "iris_v2"},
    "a name that begins with a digit": {"name": "2iris"},
    "a name that ends with a hyphen": {"name": "iris-"},
    "a name with a line": {"name": "iris\n"},
    "a name too long": {"name": "i" * 53},
    "no name": {"name": ""},
    "more at least than at most": {"replicas": Replicas(least=3, most=2)},
    "replicas below zero": {"replicas": Replicas(least=-1, most=2)},
    "a million replicas": {"replicas": Replicas(least=1, most=10**6)},
    "no concurrency": {"replicas": Replicas(least=1, most=2, concurrency=0)},
    "a rollout that cannot move": {"rollout": Rollout(surge=0, unavailable=0)},
    "a rollout given up too soon": {"rollout": Rollout(ready_seconds=59.2, progress_seconds=59.8)},
    "a rollout without end": {"rollout": Rollout(progress_seconds=math.inf)},
    "no history": {"rollout": Rollout(history=0)},
    "a host with a scheme": {"host": "https://iris.example"},
    "a host with a port": {"host": "iris.example:80"},
}


def refusal(error: type[TiffinError], *given: Any) -> TiffinError:
    with pytest.raises(error) as refused:
        render(*given)
    assert refused.value.hint
    assert "\n" not in refused.value.message
    return refused.value


@pytest.mark.parametrize("changes", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_that_no_cluster_can_run_is_refused(changes: dict[str, Any]) -> None:
    bad = replace(TEMPLATE, **changes)
    refusal(ConfigError, replace(SERVICE, template=bad), CLUSTER)
    refusal(ConfigError, replace(SERVICE, replicas=Replicas(least=1, most=1)), CLUSTER, replace(CANARY, template=bad))


@pytest.mark.parametrize("changes", SERVICES.values(), ids=SERVICES)
def test_a_service_that_no_cluster_can_keep_is_refused(changes: dict[str, Any]) -> None:
    refusal(ConfigError, replace(SERVICE, **changes), FULL)


@pytest.mark.parametrize(
    "cluster", [Cluster(namespace="My Models"), Cluster(namespace=""), Cluster(pull_secrets=("a/b",))]
)
def test_a_place_that_cannot_be_named_is_refused(cluster: Cluster) -> None:
    refusal(ConfigError, SERVICE, cluster)


@pytest.mark.parametrize("percent", [0, -1, 0.05, 101, math.nan])
def test_a_share_that_is_none_is_refused(percent: float) -> None:
    refusal(ConfigError, SERVICE, CLUSTER, replace(CANARY, percent=percent))


def test_what_another_cluster_could_do_is_refused_for_this_one() -> None:
    assert "1.29" in refusal(UnsupportedError, SERVICE, Cluster(version=(1, 29))).message
    assert "Gateway" in refusal(UnsupportedError, replace(SERVICE, host="iris.example"), CLUSTER).message
    sleepy = replace(SERVICE, replicas=Replicas(least=0, most=2))
    assert "canary" in refusal(UnsupportedError, sleepy, FULL, CANARY).message


@pytest.mark.parametrize("image", ["iris", "localhost:5000/my_team/iris", "[::1]:5000/iris", "registry.example/a/b:1"])
def test_whatever_a_cluster_can_pull_is_taken(image: str) -> None:
    assert render(replace(SERVICE, template=replace(TEMPLATE, image=image)), CLUSTER)
