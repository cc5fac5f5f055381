"""Steps side by side have GPUs of their own; one for which there are too few waits, and keeps nobody else waiting."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tiffin.pipeline.graph import Graph, Resources, Step
from tiffin.pipeline.running.gpus import Gpus
from tiffin.pipeline.running.ledger import Planned, begun
from tiffin.pipeline.running.means import RunOptions
from tiffin.pipeline.running.run import run_pipeline
from tiffin.pipeline.running.runs import Run, RunState
from tiffin.pipeline.workbench import Ended
from unit.pipeline.graphs import graph, step, task
from unit.pipeline.memory_bench import Work
from unit.pipeline.ran import Place

HERE = tuple(map(str, range(4)))


@given(st.lists(st.one_of(st.integers(1, 5), st.none()), max_size=40), st.randoms(use_true_random=False))
def test_no_two_have_the_same_and_all_are_free_in_the_end(asks: list[int | None], random: st.Random) -> None:
    gpus, held = Gpus(HERE), dict[str, tuple[str, ...]]()
    for number, count in enumerate(asks):
        if count is None and held:
            gone = random.choice(sorted(held))
            gpus.give_back(gone)
            del held[gone]
        elif count and gpus.has(count):
            given_ = gpus.take(f"t{number}", count)
            assert len(given_) == (count if count <= len(HERE) else 0)
            held[f"t{number}"] = given_
        all_ = [name for some in held.values() for name in some]
        assert len(all_) == len(set(all_))
        assert gpus.has(len(HERE) - len(all_))
    for name in held:
        gpus.give_back(name)
    assert gpus.take("last", len(HERE)) == HERE


def asking(name: str, gpus: int) -> Step:
    return msgspec.structs.replace(step(name), resources=Resources(gpus=gpus))


class Watched(Place):
    """A machine with four GPUs, on which nobody may have one that another has."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.held: set[str] = set()
        self.had: dict[str, tuple[str, ...]] = {}
        self._lock = Lock()

    def use(self, work: Work) -> Ended:
        gpus = work.order.gpus
        with self._lock:
            assert not self.held & set(gpus)
            self.held |= set(gpus)
            self.had[work.order.task] = gpus
        ended = work.anything()
        with self._lock:
            self.held -= set(gpus)
        return ended

    def go(self, made: Graph) -> Run:
        self.bench.does = dict.fromkeys(made.steps, self.use)
        means = msgspec.structs.replace(self.means(), gpus=lambda: HERE)
        with begun(self.folder, Planned(graph=made), lambda: self.now) as ledger:
            return run_pipeline(made, {}, means, ledger, RunOptions(jobs=8))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_steps_side_by_side_have_gpus_of_their_own(tmp_path_factory: object, asks: list[int]) -> None:
    place = Watched(tmp_path_factory.mktemp("gpus"))  # type: ignore[attr-defined]
    names = [f"s{number}" for number in range(len(asks))]
    steps = [asking(name, count) for name, count in zip(names, asks, strict=True)]
    run = place.go(graph(*map(task, names), steps=steps))
    assert run.state is RunState.SUCCEEDED
    assert {name: len(gpus) for name, gpus in place.had.items()} == dict(zip(names, asks, strict=True))


def test_a_step_that_waits_for_a_gpu_keeps_no_other_waiting(tmp_path: Path) -> None:
    place = Watched(tmp_path)
    held = place.bench.hold("all")

    def opens(work: Work) -> Ended:
        held.open()
        return work.anything()

    made = graph(*map(task, ("all", "more", "none")), steps=[asking("all", 4), asking("more", 1), asking("none", 0)])
    place.bench.does = {"none": opens}
    means = msgspec.structs.replace(place.means(), gpus=lambda: HERE)
    with begun(place.folder, Planned(graph=made), lambda: place.now) as ledger:
        run = run_pipeline(made, {}, means, ledger, RunOptions(jobs=8))
    assert run.state is RunState.SUCCEEDED
    assert [order.task for order in place.bench.orders][-1] == "more"


def test_where_the_machine_cannot_be_looked_at_the_engine_chooses(tmp_path: Path) -> None:
    place = Place(tmp_path)
    run = place.run(graph(task("a"), task("b"), steps=[asking("a", 2), asking("b", 2)]))
    assert run.state is RunState.SUCCEEDED
    assert [order.gpus for order in place.bench.orders] == [(), ()]
