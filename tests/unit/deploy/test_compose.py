"""A service is put together of an image, of tiffin.toml and of what was typed, without asking anyone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tiffin.config.deploy import DeploySection, ProbeSection, ReplicasSection, RolloutSection
from tiffin.deploy.compose import Asked, Made, Served, compose, parse_replicas
from tiffin.deploy.service import SERVER, Data, Probe, Replicas, SecretFile, Service, revision_of
from tiffin.errors import ConfigError
from tiffin.oci.digest import Digest

LABELS = {"dev.tiffin.sockets": "http=8080,grpc=8081,metrics=8082", "dev.tiffin.version": "1"}
FEATURES = {"dev.tiffin.data": '[{"name":"features","path":"/data","write":true}]'}


def made(labels: dict[str, str] | None = None, **more: Any) -> Made:
    return Made(
        image="registry.example/team/iris",
        digest=Digest.of(b"iris"),
        labels=LABELS | (labels or {}),
        user=(65532, 65532),
        **more,
    )


def put(image: Made, said: DeploySection | None = None, asked: Asked | None = None, folder: str = "") -> Service:
    where = Path(folder) if folder else None
    return compose("iris", image, said or DeploySection(), asked or Asked(), where)


def test_an_image_of_tiffin_says_its_ports_its_probe_and_its_times() -> None:
    served = Served(load_seconds=60, deadline_ms=5000, drain_seconds=2, grpc=True)
    template = put(made(served=served)).template
    assert template.ports == {"http": 8080, "grpc": 8081, "metrics": 8082}
    assert (template.probe, template.inherits, template.user) == (SERVER, True, (65532, 65532))
    assert (template.load_seconds, template.deadline_seconds, template.drain_seconds) == (60, 5, 2)
    assert template.reference == f"registry.example/team/iris@{Digest.of(b'iris')}"
    assert "grpc" not in put(made()).template.ports


def test_another_image_is_known_by_the_ports_that_it_exposes() -> None:
    foreign = Made(image="docker.io/library/nginx", digest=Digest.of(b"n"), exposed=("443/tcp", "80/tcp", "53/udp"))
    template = put(foreign).template
    assert template.ports == {"http": 80, "port-443": 443}
    assert (template.probe, template.inherits) == (Probe(), False)
    with pytest.raises(ConfigError, match="does not say on which port"):
        put(Made(image="docker.io/library/box", digest=Digest.of(b"n")))


def test_another_images_port_and_probe_are_said_and_its_own_check_is_read() -> None:
    check = {"Test": ["CMD", "curl", "http://localhost:8080/up"]}
    foreign = Made(image="docker.io/library/web", digest=Digest.of(b"n"), exposed=("80/tcp", "8080/tcp"), check=check)
    said = DeploySection(port=8080, network="user")
    template = put(foreign, said).template
    assert template.ports == {"http": 8080, "port-80": 80}
    assert (template.probe, template.network) == (Probe(ready="/up"), "user")
    said = DeploySection(port=8080, probe=ProbeSection(ready="/ready", live="/live"))
    assert put(foreign, said).template.probe == Probe(ready="/ready", live="/live")
    typed = put(foreign, said, Asked(port=9000, ready="/typed")).template
    assert (typed.ports["http"], typed.probe) == (9000, Probe(ready="/typed", live="/live"))


def test_an_image_of_tiffin_is_told_neither_port_nor_probe() -> None:
    for said in (DeploySection(port=80), DeploySection(probe=ProbeSection(ready="/up"))):
        with pytest.raises(ConfigError, match="says itself"):
            put(made(), said)


def test_what_is_said_counts_and_what_is_typed_wins() -> None:
    said = DeploySection(
        replicas=ReplicasSection(min=1, max=4),
        target_concurrency=3,
        cpu="500m",
        memory="2Gi",
        env={"A": "1", "B": "1"},
        host="iris.example",
        rollout=RolloutSection(max_surge=2, history=3),
    )
    service = put(made(), said, Asked(env={"B": "2"}, timeout=9))
    assert service.replicas == Replicas(least=1, most=4, concurrency=3)
    assert service.template.env == {"A": "1", "B": "2"}
    assert (service.template.resources.cpus, service.template.resources.memory) == (0.5, 2 << 30)
    assert (service.rollout.surge, service.rollout.history, service.rollout.progress_seconds) == (2, 3, 9)
    assert service.host == "iris.example"
    assert put(made(), said, Asked(replicas="2")).replicas == Replicas(least=2, most=2, concurrency=3)


def test_scaling_is_no_new_revision_and_a_variable_is_one() -> None:
    one, two = put(made()), put(made(), asked=Asked(replicas="7", timeout=1))
    assert revision_of(one.template) == revision_of(two.template)
    assert revision_of(put(made(), asked=Asked(env={"A": "1"})).template) != revision_of(one.template)


def test_data_and_secrets_are_paths_of_this_machine_or_names_of_the_cluster() -> None:
    said = DeploySection(data={"features": "./rows"}, secrets={"token": "token.txt"})
    here = put(made(FEATURES), said, folder="/srv/iris").template
    assert here.data == (Data(name="features", path="/data", source="/srv/iris/rows", write=True),)
    assert here.secrets == (SecretFile(name="token", source="/srv/iris/token.txt"),)
    volume = DeploySection(data={"features": "rows"})
    assert put(made(FEATURES), volume, folder="/srv/iris").template.data[0].source == "rows"
    there = put(made(FEATURES), DeploySection(data={"features": "rows"}, secrets={"token": "iris/token"})).template
    assert (there.data[0].source, there.secrets[0].source) == ("rows", "iris/token")


def test_what_an_image_needs_and_nobody_gives_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs data that nobody gives it: features in /data"):
        put(made(FEATURES))
    with pytest.raises(ConfigError, match="which it does not ask for"):
        put(made(), DeploySection(data={"rows": "rows"}))
    with pytest.raises(ConfigError, match="needs a GPU") as caught:
        put(made({"dev.tiffin.gpu": "required"}))
    assert "[deploy] gpus = 1" in str(caught.value.hint)
    assert put(made({"dev.tiffin.gpu": "required"}), DeploySection(gpus=1)).template.resources.gpus == 1


@pytest.mark.parametrize(("text", "bounds"), [("3", (3, 3)), ("0", (0, 0)), ("1-4", (1, 4)), ("0-1", (0, 1))])
def test_replicas_are_read(text: str, bounds: tuple[int, int]) -> None:
    assert parse_replicas(text) == bounds


@pytest.mark.parametrize("text", ["", "many", "-1", "4-1", "1-", "1-2-3", "1.5"])
def test_what_is_no_number_of_replicas_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="not a number of replicas"):
        parse_replicas(text)


def test_a_service_that_may_sleep_says_when_and_how() -> None:
    said = DeploySection(replicas=ReplicasSection(min=0, max=4, idle_seconds=30, warm=True))
    assert put(made(), said, folder="/srv").replicas == Replicas(least=0, most=4, idle_seconds=30, warm=True)
    with pytest.raises(ConfigError, match="a cluster has no warm replicas"):
        put(made(), said)
    with pytest.raises(ConfigError, match="this one has 1 at least"):
        put(made(), DeploySection(replicas=ReplicasSection(min=1, max=4, warm=True)), folder="/srv")
