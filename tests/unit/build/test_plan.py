"""The plan is a pure function, and a change moves the layers it must and no other."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.build.foundation import foundation_of
from tiffin.build.group import BIG_WHEEL, buckets, group_weights, group_wheels
from tiffin.build.plan import Environment, Payload, ServerParts, plan_environment, plan_image, service_text
from tiffin.build.recipes import AnyRecipe, Code, Grpc, Metadata, Server, SourceFile, Weights, WheelBytecode, Wheels
from tiffin.config.checks import CheckTexts
from tiffin.config.project import ImageSection, ModelSection, Project, ServeSection
from tiffin.engine.plan import is_own
from tiffin.oci.digest import Digest
from tiffin.oci.platform import Platform
from tiffin.packages.lock import Lock
from tiffin.packages.pins import DebPin, WheelPin


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


def wheel(name: str, size: int = 1000, version: str = "1.0") -> WheelPin:
    file = f"{name}-{version}-py3-none-any.whl"
    return WheelPin(name=name, version=version, filename=file, sha256=digest(file), size=size)


def deb(name: str) -> DebPin:
    return DebPin(name=name, version="1", architecture="amd64", path=name, sha256=digest(name), size=1)


def source(path: str, text: str = "", size: int = 10) -> SourceFile:
    return SourceFile(path=path, digest=digest(path + text), size=size)


PROJECT = Project(name="iris", model=ModelSection(path="model.joblib"))
LOCK = Lock(
    inputs=digest("inputs"),
    requirements=(),
    python="3.11",
    platform=Platform(os="linux", architecture="amd64"),
    base="debian:bookworm",
    base_debs=(deb("libc6"),),
    python_debs=(deb("python3.11"),),
    wheels=(wheel("numpy", BIG_WHEEL), wheel("joblib"), wheel("scipy", 2 * BIG_WHEEL), wheel("six")),
)


def environment(**changed: Any) -> Environment:
    """What an image is made of, by a lock that says this instead."""
    lock = msgspec.structs.replace(LOCK, **changed)
    return Environment(
        lock="# what the lock says\n", foundation=foundation_of(lock), platform=lock.platform, wheels=lock.wheels
    )


ENVIRONMENT = environment()
SERVER = ServerParts(files=(source("opt/tiffin/front/__main__.py"),), wheels=(wheel("uvloop"),))
PAYLOAD = Payload(format="sklearn-joblib", weights=(source("models/model.joblib"),), code=(source("app/a.py"),))


def keys(**changed: Any) -> list[tuple[type[AnyRecipe], Digest]]:
    parts = {"project": PROJECT, "environment": ENVIRONMENT, "server": SERVER, "payload": PAYLOAD} | changed
    return [(type(recipe), recipe.key) for recipe in plan_image(**parts).recipes]


def moved(**changed: Any) -> set[type[AnyRecipe]]:
    return {kind for kind, key in keys(**changed) if key not in {old for _, old in keys()}}


def test_the_layers_come_bottom_up_as_the_architecture_says() -> None:
    order = [kind.__name__ for kind, _ in keys()]
    assert list(dict.fromkeys(order)) == [
        "Base",
        "Interpreter",
        "StandardBytecode",
        "Wheels",
        "WheelBytecode",
        "Server",
        "Weights",
        "Code",
        "Metadata",
    ]


@pytest.mark.parametrize("image", [ImageSection(), ImageSection(bytecode=False), ImageSection(slim=True, layers=20)])
@pytest.mark.parametrize("serve", [ServeSection(), ServeSection(grpc=True)])
def test_the_environment_has_the_layers_of_the_served_image_below_the_server(
    image: ImageSection, serve: ServeSection
) -> None:
    wheels = tuple(wheel(f"big{number}", BIG_WHEEL + number) for number in range(15)) + LOCK.wheels
    project = msgspec.structs.replace(PROJECT, image=image, serve=serve)
    server = msgspec.structs.replace(SERVER, grpc=(wheel("grpcio"),) if serve.grpc else ())
    whole = [key for _, key in keys(project=project, environment=environment(wheels=wheels), server=server)]
    alone = plan_environment(project, environment(wheels=wheels))
    assert [recipe.key for recipe in alone.recipes] == whole[: len(alone.recipes)]
    assert len(whole) - len(alone.recipes) == 4 + serve.grpc
    assert not {Server, Grpc, Weights, Code, Metadata} & {type(recipe) for recipe in alone.recipes}


def test_the_environment_is_the_same_whatever_is_served_and_whoever_serves_it() -> None:
    project = Project(name="other", model=ModelSection(path="other.onnx", version="7", gpu="required"))
    first, second = (plan_environment(each, ENVIRONMENT) for each in (PROJECT, project))
    assert (first.recipes, first.run, first.annotations) == (second.recipes, second.run, second.annotations)


def test_the_environment_runs_nothing_by_itself_and_nobody_as_root() -> None:
    run = plan_environment(PROJECT, ENVIRONMENT).run
    assert (run.entrypoint, run.cmd, run.exposed_ports, run.user) == ([], [], {}, "65532:65532")
    assert is_own(run.labels)


def test_grpc_is_one_layer_more_and_moves_none_of_the_others() -> None:
    server = msgspec.structs.replace(SERVER, grpc=(wheel("grpcio"),))
    more = keys(server=server)
    assert [kind for kind, key in more if (kind, key) not in keys()] == [Grpc, Metadata]
    assert [kind.__name__ for kind, _ in more][-5:] == ["Server", "Grpc", "Weights", "Code", "Metadata"]


def test_an_edit_moves_the_code_and_nothing_else() -> None:
    payload = msgspec.structs.replace(PAYLOAD, code=(source("app/a.py", "edited"),))
    assert moved(payload=payload) == {Code}


def test_a_retrain_moves_the_weights_and_nothing_else() -> None:
    payload = msgspec.structs.replace(PAYLOAD, weights=(source("models/model.joblib", "retrained"),))
    assert moved(payload=payload) == {Weights}


def test_another_way_to_serve_moves_the_metadata_and_nothing_else() -> None:
    assert moved(project=msgspec.structs.replace(PROJECT, serve=ServeSection(max_batch=1))) == {Metadata}


def test_a_bump_moves_its_own_wheel_and_one_bucket_of_bytecode() -> None:
    wheels = (*ENVIRONMENT.wheels[:2], wheel("scipy", 2 * BIG_WHEEL, "2.0"), wheel("six"))
    bumped = keys(environment=msgspec.structs.replace(ENVIRONMENT, wheels=wheels))
    new = [kind for kind, key in bumped if key not in {old for _, old in keys()}]
    assert new == [Wheels, WheelBytecode, Metadata]


def test_bytecode_is_left_out_when_asked() -> None:
    plan = plan_image(
        msgspec.structs.replace(PROJECT, image=ImageSection(bytecode=False)), ENVIRONMENT, SERVER, PAYLOAD
    )
    assert not {"StandardBytecode", "WheelBytecode"} & {type(recipe).__name__ for recipe in plan.recipes}


def test_the_plan_says_how_the_image_runs() -> None:
    run = plan_image(PROJECT, ENVIRONMENT, SERVER, PAYLOAD).run
    assert run.user == "65532:65532"
    assert run.entrypoint == ["/usr/bin/python3.11", "-I", "-S", "/opt/tiffin/front"]
    assert run.labels["dev.tiffin.sockets"] == "http=8080,grpc=8081,metrics=8082"
    assert set(run.exposed_ports) == {"8080/tcp", "8081/tcp", "8082/tcp"}
    assert run.labels["org.opencontainers.image.title"] == "iris"


def test_the_service_document_names_the_model_in_the_image() -> None:
    service = json.loads(service_text(PROJECT, PAYLOAD))
    assert (service["name"], service["model"]["path"]) == ("iris", "/models/model.joblib")
    several = Payload(format="python", weights=(source("models/a"), source("models/b")), code=())
    assert json.loads(service_text(PROJECT, several))["model"]["path"] == "/models"


def test_a_plan_is_the_same_value_whenever_it_is_made() -> None:
    assert (
        plan_image(PROJECT, ENVIRONMENT, SERVER, PAYLOAD).digest
        == plan_image(PROJECT, ENVIRONMENT, SERVER, PAYLOAD).digest
    )


def test_big_weights_lie_alone_and_are_not_compressed() -> None:
    small, big = source("models/a"), source("models/b", size=64 << 20)
    assert group_weights([small, big]) == [Weights(files=(small,), packed=True), Weights(files=(big,), packed=False)]


@given(st.sets(st.tuples(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers(1, 10 * BIG_WHEEL)), max_size=40))
def test_every_wheel_has_exactly_one_layer_whatever_the_order(named: set[tuple[str, int]]) -> None:
    wheels = [wheel(name, size) for name, size in dict(named).items()]
    groups = group_wheels(wheels)
    assert sorted(w.name for group in groups for w in group) == sorted(w.name for w in wheels)
    assert group_wheels(wheels[::-1]) == groups
    assert all(groups)


@pytest.mark.parametrize("count", [1, 3])
def test_a_new_wheel_disturbs_one_bucket(count: int) -> None:
    wheels = [wheel(f"w{n}") for n in range(20)]
    before, after = buckets(wheels, count), buckets([*wheels, wheel("new")], count)
    assert len([bucket for bucket in after if bucket not in before]) == 1


def test_checks_move_the_metadata_and_lie_where_the_service_document_says() -> None:
    checks = (
        CheckTexts(request="[[1]]", expect='{"predictions": [1]}', tolerance=0.5),
        CheckTexts(request="[[2]]", expect="", tolerance=0),
    )
    payload = msgspec.structs.replace(PAYLOAD, checks=checks)
    assert moved(payload=payload) == {Metadata}
    *_, metadata = plan_image(PROJECT, ENVIRONMENT, SERVER, payload).recipes
    assert isinstance(metadata, Metadata)
    said = json.loads(service_text(PROJECT, payload))["checks"]
    assert [(check["expect"] != "", check["tolerance"]) for check in said] == [(True, 0.5), (False, 0)]
    assert metadata.texts[said[0]["request"][1:]] == "[[1]]"
    assert metadata.texts[said[0]["expect"][1:]] == '{"predictions": [1]}'
    assert metadata.texts[said[1]["request"][1:]] == "[[2]]"
