"""What of a service of this machine cannot move to a cluster is refused; an environment says what takes its place."""

from __future__ import annotations

import msgspec
import pytest

from tiffin.api.services.deployed import FoundImage
from tiffin.api.services.moving_services import Move, _elsewhere
from tiffin.config.deploy import DeploySection
from tiffin.deploy.service import Data, Replicas, SecretFile, Service, Template
from tiffin.errors import ConfigError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor
from tiffin.oci.reference import Reference

replace = msgspec.structs.replace
DIGEST = Digest.of(b"iris")
HERE = Template(image="iris", digest=DIGEST, ports={"http": 8080}, env={"A": "b"})
SERVICE = Service(name="iris", template=HERE)
MOVE = Move(name="iris", to="staging", seconds=30)
FOUND = FoundImage(
    store=None,  # type: ignore[arg-type] # never asked
    image=None,  # type: ignore[arg-type] # never asked
    reference=Reference.parse("registry.example/team/iris:1"),
    descriptor=Descriptor(media_type="application/vnd.oci.image.manifest.v1+json", digest=DIGEST, size=1),
)
DATA = (Data(name="features", path="/data", source="/home/dana/features"),)
SECRETS = (SecretFile(name="token", source="/home/dana/token"),)


def test_a_service_is_as_it_is_here_with_the_image_of_the_registry() -> None:
    moved = _elsewhere(SERVICE, DeploySection(), FOUND, MOVE)
    assert moved.template.reference == f"registry.example/team/iris@{DIGEST}"
    assert (moved.template.env, moved.rollout.progress_seconds, moved.rollout.rollback) == ({"A": "b"}, 30, True)


@pytest.mark.parametrize(
    ("changes", "said", "hint"),
    [
        ({"data": DATA}, "the data features in /data (/home/dana/features)", 'data = { features = "CLAIM" }'),
        ({"secrets": SECRETS}, "the secret token (/home/dana/token)", 'secrets = { token = "SECRET" }'),
    ],
)
def test_what_is_this_machines_cannot_move(changes: dict[str, object], said: str, hint: str) -> None:
    service = replace(SERVICE, template=replace(HERE, **changes))  # type: ignore[arg-type] # a row of a table
    with pytest.raises(ConfigError) as caught:
        _elsewhere(service, DeploySection(), FOUND, MOVE)
    assert said in caught.value.message
    assert hint in str(caught.value.hint)


def test_an_environment_says_what_takes_its_place() -> None:
    service = replace(SERVICE, template=replace(HERE, data=DATA, secrets=SECRETS))
    said = DeploySection(data={"features": "claim"}, secrets={"token": "iris/token"}, host="iris.example")
    moved = _elsewhere(service, said, FOUND, MOVE)
    assert moved.template.data[0].source == "claim"
    assert moved.template.secrets[0].source == "iris/token"
    assert moved.host == "iris.example"


def test_what_sleeps_warm_cannot_move() -> None:
    with pytest.raises(ConfigError, match="sleeps warm"):
        _elsewhere(replace(SERVICE, replicas=Replicas(least=0, most=1, warm=True)), DeploySection(), FOUND, MOVE)
