"""How a step's container is made: decided without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contract.workbench_fixtures import COPY, OTHERS, images, shell
from tiffin.engine.plan import container_spec
from tiffin.engine.spec import ContainerSpec, Limits, Mount, Network
from tiffin.oci.digest import Digest
from tiffin.pipeline.benches.containers import RUN, TASK, Standing, as_caller, step_environment, step_options
from tiffin.pipeline.graph import Function, Port, Resources, Step
from tiffin.pipeline.workbench import Input, Order

_, OWN, OTHER = images()
STANDING = Standing(name="iris:environment", image=OWN)
CODE = {"/pipeline": Path("/kept/code")}
FIT = Step(
    name="fit",
    does=Function(module="pipeline", name="fit"),
    inputs={"rows": Port(type="Dataset"), "parts": Port(type="Dataset", many=True)},
    resources=Resources(cpus=1.5, memory=64 << 20),
    env={"PYTHONPATH": "/more", "PYTHONHASHSEED": "7"},
)


def order(step: Step = FIT, folder: Path = Path("/out-here"), **changed: Any) -> Order:
    def one(name: str) -> Input:
        return Input(digest=Digest.of(b""), path=Path("/host") / name, name=name, type="Dataset")

    inputs = {"rows": (one("rows.csv"),), "parts": (one("a"), one("b"))} if step is FIT else {}
    settings = {"run": "run 1", "task": "fit[2]", "attempt": 3, "values": {}, "inputs": inputs} | changed
    return Order(step=step, folder=folder, **settings)


def spec(made: Order, standing: Standing = STANDING) -> ContainerSpec:
    own = CODE if standing is STANDING else {}
    return container_spec(standing.name, standing.image, step_options(made, standing, own), standing.accounts)


def test_a_function_is_done_by_the_python_of_the_environment() -> None:
    found = spec(order())
    assert found.argv == ("/opt/venv/bin/python", "-m", "tiffin_pipeline", "step", "/tiffin/order.json")
    assert (found.cwd, found.user, found.read_only, found.network) == ("/pipeline", (65532, 65532), True, Network.NONE)


def test_a_function_in_an_image_of_others_is_done_by_its_python() -> None:
    assert spec(order(), Standing(name=OTHERS, image=OTHER)).argv[0] == "python3"


def test_inputs_and_code_are_mounted_to_be_read_and_outputs_to_be_written() -> None:
    assert spec(order()).mounts == (
        Mount(source="/host/rows.csv", target="/in/rows/rows.csv"),
        Mount(source="/host/a", target="/in/parts/0/a"),
        Mount(source="/host/b", target="/in/parts/1/b"),
        Mount(source="/out-here/artifacts", target="/out/artifacts", read_only=False),
        Mount(source="/out-here/parameters", target="/out/parameters", read_only=False),
        Mount(source="/out-here/metadata.json", target="/out/metadata.json", read_only=False),
        Mount(source="/out-here/order.json", target="/tiffin/order.json"),
        Mount(source="/kept/code", target="/pipeline"),
    )


def test_limits_are_those_of_the_step() -> None:
    assert spec(order()).limits == Limits(cpus=1.5, memory=64 << 20)


def test_whose_it_is_stands_in_labels_and_in_its_name() -> None:
    found = spec(order())
    assert found.name == "run-1-fit-2-3"
    assert (found.labels[RUN], found.labels[TASK]) == ("run 1", "fit[2]")


@pytest.mark.parametrize("task", ["x" * 300, "[0]", "ünïcode", "a/b"])
def test_whatever_a_task_is_called_its_container_has_a_name(task: str) -> None:
    assert 0 < len(spec(order(task=task)).name) <= 50


def test_what_was_written_of_the_environment_holds_but_the_way_to_the_code_stays() -> None:
    path = "/pipeline:/tiffin/pipeline:/more"
    assert step_environment(FIT) == {"USER": "tiffin", "PYTHONPATH": path, "PYTHONHASHSEED": "7"}
    assert step_environment(shell("other", "", image=OTHERS, env={"A": "b"})) == {"A": "b"}


@pytest.mark.parametrize(
    ("engine", "standing", "uid", "user"),
    [
        ("embedded", STANDING, 0, (65532, 65532)),
        ("docker", STANDING, 0, (65532, 65532)),
        ("embedded", STANDING, 1000, (65532, 65532)),
        ("embedded", Standing(name=OTHERS, image=OTHER), 1000, (0, 0)),
        ("docker", STANDING, 1000, (1000, 1000)),
        ("podman", STANDING, 1000, (0, 0)),
    ],
)
def test_what_a_step_writes_is_the_callers(engine: str, standing: Standing, uid: int, user: tuple[int, int]) -> None:
    assert as_caller(spec(order(COPY), standing), engine, uid, uid, lambda _uid, _gid: True).user == user


def test_without_a_range_of_ids_an_image_runs_as_the_one_user_that_there_is() -> None:
    others = spec(order(COPY), Standing(name=OTHERS, image=OTHER))
    assert as_caller(others, "embedded", 1000, 1000, lambda _uid, _gid: False) == others
