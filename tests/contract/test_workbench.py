"""Benches are alike: a step gives its outputs, says what it writes, fails with its exit code, stops when it must."""

from __future__ import annotations

import os
import re
from pathlib import Path
from threading import Event

import msgspec
import pytest

from contract.engine_fixtures import ClientBench, until
from contract.workbench_fixtures import (
    COPY,
    FAIL,
    FOLDER,
    HANG,
    JOIN,
    OTHERS,
    Case,
    client_case,
    container_case,
    embedded_case,
    given,
    limited,
    memory_case,
    native_case,
    process_case,
    shell,
)
from tiffin.engine.embedded.engine import EmbeddedEngine
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.gpus import Asked
from tiffin.engine.spec import Engine
from tiffin.errors import ConfigError, NotFoundError, UnsupportedError
from tiffin.layers.unpack import unpack_layer
from tiffin.pipeline.benches.containers import RUN, ContainerBench, Standing, laid_out
from tiffin.pipeline.graph import Command
from tiffin.pipeline.workbench import FILES, VALUES
from tiffin.progress import parallel

CLIENTS = [
    pytest.param("docker", marks=pytest.mark.program("dockerd", "busybox")),
    pytest.param("podman", marks=pytest.mark.program("podman", "runc", "busybox")),
]


def made(kind: str, request: pytest.FixtureRequest, folder: Path) -> Case:
    if kind in {"docker", "podman"}:
        client: ClientBench = request.getfixturevalue(kind)
        return client_case(client, folder)
    cases = {"memory": memory_case, "native": native_case, "processes": process_case, "embedded": embedded_case}
    return cases[kind](folder)


@pytest.fixture(params=["memory", "native", "processes", "embedded", *CLIENTS])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return made(request.param, request, tmp_path)


@pytest.fixture(params=["embedded", *CLIENTS])
def contained(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return made(request.param, request, tmp_path)


def engine_of(case: Case) -> Engine:
    assert isinstance(case.bench, ContainerBench)
    return case.bench._with.engine()


def test_a_step_gives_a_file_and_a_value(case: Case) -> None:
    order = case.order(COPY, case.input("text\n"), a=5)
    ended, lines = case.do(order)
    assert (ended.exit_code, ended.reason) == (0, "")
    assert given(order) == ("text\n5\n", "7\n")
    assert lines == (["said"] if case.hears else [])
    assert {path.name for path in order.folder.iterdir()} == {FILES, VALUES}


def test_a_step_gives_a_folder(case: Case) -> None:
    order = case.order(FOLDER, case.input("deep"))
    assert case.do(order)[0].exit_code == 0
    assert (order.folder / FILES / "out/deep/text.txt").read_text() == "deep"


def test_a_step_takes_several_artifacts_in_their_order(case: Case) -> None:
    order = case.order(JOIN, *(case.input(text) for text in ("one ", "two ", "three")))
    assert case.do(order)[0].exit_code == 0
    assert given(order)[0] == "one two three"


def test_a_step_takes_a_folder(case: Case) -> None:
    file = case.input("in it", "file")
    folder = msgspec.structs.replace(file, path=file.path.parent, name="data")
    if not hasattr(case.bench, "does"):  # a table does not look into it
        order = case.order(shell("list", 'ls "$text" > "$out"; echo 1 > "$length"'), folder)
        assert case.do(order)[0].exit_code == 0
        assert given(order)[0] == "file\n"


def test_a_failing_step_ends_with_its_exit_code(case: Case) -> None:
    ended, lines = case.do(case.order(FAIL))
    assert (ended.exit_code, ended.reason) == (3, "")
    assert lines == (["why it fails"] if case.hears else [])


def test_a_step_that_heeds_nothing_ends_when_it_is_stopped(case: Case) -> None:
    with case.doing(case.order(HANG)) as (lines, stopped, ended):
        until(lambda: lines or not case.hears)
        stopped.set()
    assert ended[0].exit_code
    assert "stopped" in ended[0].reason


def test_the_identity_is_the_same_each_time_and_of_no_other_bench(case: Case) -> None:
    first = case.bench.identity(COPY)
    assert first == case.bench.identity(COPY)
    assert first["code"]
    assert ("native" in first) == (not case.hears)


def test_a_step_that_takes_too_long_is_killed_and_told(contained: Case) -> None:
    ended, _ = contained.do(contained.order(HANG, seconds=0.3))
    assert ended.reason == "took longer than 0.3 s"
    assert ended.exit_code == 137
    assert not engine_of(contained).list()


def test_a_step_that_was_stopped_before_it_began_never_does(case: Case) -> None:
    stopped = Event()
    stopped.set()
    ended, lines = case.do(case.order(HANG), stopped)
    assert ended.exit_code
    assert "stopped" in ended.reason
    assert not lines


def test_no_container_is_left_of_a_step(contained: Case) -> None:
    contained.do(contained.order(COPY, contained.input("x")))
    contained.do(contained.order(FAIL))
    assert not engine_of(contained).list()


def test_a_program_that_is_not_there_is_named(contained: Case) -> None:
    step = shell("absent", "")
    absent = msgspec.structs.replace(step, does=Command(argv=("no-such-program",)))
    ended, _ = contained.do(contained.order(absent))
    assert ended.exit_code == 127
    assert "no-such-program" in ended.reason or "No such file" in ended.reason


@pytest.mark.skipif(
    os.geteuid() != 0 and Machine.here().ids is None, reason="needs an ordinary user's range in /etc/subuid"
)
def test_an_image_of_others_runs_as_it_wants_to(contained: Case) -> None:
    step = shell("others", 'id -u > "$out"; touch /written; echo 1 > "$length"', image=OTHERS)
    order = contained.order(step)
    ended, lines = contained.do(order)
    assert (ended.exit_code, lines) == (0, [])
    assert given(order)[0] == "0\n"
    assert contained.bench.identity(step).keys() == {"image"}


def test_an_image_that_is_not_there_is_told_before_anything_is_done(contained: Case) -> None:
    with pytest.raises(NotFoundError, match=r"registry\.test/absent"):
        contained.bench.identity(shell("absent", "", image="registry.test/absent:1"))


def test_what_a_killed_run_left_is_swept(contained: Case) -> None:
    assert isinstance(contained.bench, ContainerBench)
    order = contained.order(FAIL)
    with laid_out(order):
        left = contained.bench._created(order, contained.bench._ready(FAIL))
        left.start()
        left.wait()
    assert left.spec.labels[RUN] == "run"
    contained.bench.sweep({"another"})
    assert len(engine_of(contained).list()) == 1
    contained.bench.sweep({"run"})
    assert not engine_of(contained).list()


def test_a_step_that_takes_too_much_memory_is_told_how_much_it_may_have(contained: Case) -> None:
    hog = "x=$(busybox head -c 400m /dev/zero | busybox tr '\\0' x); echo ${#x}"
    ended, _ = contained.do(contained.order(limited(shell("hog", hog), memory=32 << 20)))
    assert ended.exit_code
    assert ended.reason.endswith("took more memory than the 32 MiB that it may have")


@pytest.mark.parametrize(("signal", "words"), [("SEGV", "SIGSEGV"), ("ABRT", "SIGABRT"), ("KILL", "was killed")])
def test_a_step_that_a_signal_ends_says_so_in_words(tmp_path: Path, signal: str, words: str) -> None:
    case = embedded_case(tmp_path)
    script = f"sh -c 'kill -{signal} $$'; exit $?"
    ended, _ = case.do(case.order(shell("crash", script)))
    assert ended.exit_code > 128
    assert re.search(words, ended.reason)


def test_many_steps_are_done_at_once(contained: Case) -> None:
    orders = [contained.order(COPY, contained.input(f"{number}\n"), a=number) for number in range(6)]
    parallel(contained.do, orders, workers=len(orders))
    assert [given(order)[0] for order in orders] == [f"{number}\n{number}\n" for number in range(6)]
    assert not engine_of(contained).list()


def test_an_input_that_the_container_may_not_read_is_told_with_what_lets_it(tmp_path: Path) -> None:
    case = embedded_case(tmp_path)
    secret = case.input("secret")
    secret.path.chmod(0)
    with pytest.raises(ConfigError, match=r"text\.txt cannot be read") as caught:
        case.do(case.order(COPY, secret))
    assert str(caught.value.hint).endswith(f"chmod o+r {secret.path}`")
    assert not engine_of(case).list()


def test_a_step_that_wants_a_network_has_one_or_is_told_what_it_lacks(tmp_path: Path) -> None:
    case = embedded_case(tmp_path)
    step = shell("online", 'cat /proc/net/dev > "$out"; echo 1 > "$length"', network=True)
    order = case.order(step)
    try:
        case.do(order)
    except UnsupportedError as error:
        assert "the step 'online' has `network=True`" in error.message  # noqa: PT017 - either is right
        assert "--network" not in str(error.hint)  # noqa: PT017 - as above
    else:
        assert "tap0" in given(order)[0]


def test_gpus_are_chosen_for_a_step_that_asks_for_them_and_for_no_other(tmp_path: Path) -> None:
    asked = []

    def devices(standing: Standing, wanted: Asked) -> tuple[str, ...]:
        asked.append((standing.name, wanted))
        raise NotFoundError(f"{wanted.count} GPUs are asked for, and there are 0", "ask for fewer")

    case = container_case(EmbeddedEngine(tmp_path / "data", unpack_layer), "embedded", tmp_path, devices=devices)
    assert case.do(case.order(COPY, case.input("x")))[0].exit_code == 0
    with pytest.raises(NotFoundError, match="2 GPUs are asked for"):
        case.do(case.order(limited(COPY, gpus=2), case.input("x")))
    given = msgspec.structs.replace(case.order(limited(COPY, gpus=2), case.input("x")), gpus=("3", "5"))
    with pytest.raises(NotFoundError):
        case.do(given)
    assert asked == [("environment", Asked(count=2)), ("environment", Asked(names=("3", "5")))]
