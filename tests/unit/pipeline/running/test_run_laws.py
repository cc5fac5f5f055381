"""What is kept is what would be made: whatever is changed between runs, none gives what is not so, or does too much."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiffin.oci.digest import Digest
from tiffin.pipeline.graph import Command, Graph, Port, Resources, Retry, Step, Task
from tiffin.pipeline.running.means import RunOptions
from tiffin.pipeline.running.runs import Run, RunState
from tiffin.pipeline.workbench import Ended
from unit.pipeline.graphs import FILE, argument, but, for_each, graph, item, output, step, task
from unit.pipeline.memory_bench import MemoryBench, Work
from unit.pipeline.ran import Place

STEPS = [
    step("split", inputs={"rows": FILE, "share": Port(type="float")}, outputs={"train": FILE, "test": FILE}),
    step("fit", inputs={"train": FILE, "depth": Port(type="int")}, outputs={"model": FILE}),
    step("evaluate", inputs={"models": Port(type="Dataset", many=True), "test": FILE}, outputs={"scores": FILE}),
]
DEPTHS = Port(type="list")
MADE = graph(
    task("split", rows=argument("rows"), share=argument("share")),
    for_each("l", argument("depths"), task("fit", train=output("split", "train"), depth=item("l"))),
    task("evaluate", models=output("fit", "model"), test=output("split", "test")),
    steps=STEPS,
    outputs={"scores": output("evaluate", "scores")},
    rows=FILE,
    share=Port(type="float"),
    depths=DEPTHS,
)


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that somebody may change between two runs."""

    made: Graph = MADE
    rows: bytes = b"rows"
    share: float = 0.2
    depths: tuple[int, ...] = (1, 2)
    code: str = "1"


def _step(world: World, name: str, **changed: Any) -> World:
    steps = {**world.made.steps, name: msgspec.structs.replace(world.made.steps[name], **changed)}
    return msgspec.structs.replace(world, made=msgspec.structs.replace(world.made, steps=steps))


def _split(world: World, **changed: Any) -> World:
    first = world.made.body[0]
    assert isinstance(first, Task)
    return msgspec.structs.replace(
        world, made=msgspec.structs.replace(world.made, body=(but(first, **changed), *world.made.body[1:]))
    )


Change = Callable[[World], World]
NAMES = st.sampled_from(["split", "fit", "evaluate"])
SMALL = st.integers(0, 2)
CHANGES: st.SearchStrategy[Change] = st.one_of(
    SMALL.map(lambda n: lambda world: msgspec.structs.replace(world, rows=b"%d" % n)),
    SMALL.map(lambda n: lambda world: msgspec.structs.replace(world, share=n / 10)),
    st.lists(SMALL, max_size=3).map(lambda some: lambda world: msgspec.structs.replace(world, depths=tuple(some))),
    SMALL.map(lambda n: lambda world: msgspec.structs.replace(world, code=str(n))),
    st.tuples(NAMES, SMALL).map(lambda each: lambda world: _step(world, each[0], env={"SEED": str(each[1])})),
    st.tuples(NAMES, SMALL).map(lambda each: lambda world: _step(world, each[0], does=Command(argv=(str(each[1]),)))),
    st.tuples(NAMES, st.booleans()).map(lambda each: lambda world: _step(world, each[0], network=each[1])),
    # what changes nothing
    st.tuples(NAMES, SMALL).map(lambda each: lambda world: _step(world, each[0], resources=Resources(cpus=each[1]))),
    st.tuples(NAMES, SMALL).map(lambda each: lambda world: _step(world, each[0], description=str(each[1]))),
    SMALL.map(lambda n: lambda world: _split(world, retry=Retry(count=n), timeout=float(n))),
)


def _everything(bench: MemoryBench) -> Callable[[Work], Ended]:
    """Gives what follows from all that a step could see, as a program in a container would."""

    def does(work: Work) -> Ended:
        step_: Step = work.order.step
        seen = [
            msgspec.json.encode(step_.does),
            repr((sorted(work.order.values.items()), sorted(step_.env.items()), step_.network)).encode(),
            bench.environment["code"].encode(),
            *(each.path.read_bytes() for _, some in sorted(work.order.inputs.items()) for each in some),
        ]
        digits = hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in seen)).hexdigest()
        return work.give(**{name: f"{name} {digits}".encode() for name in step_.outputs})

    return does


def _run(place: Place, world: World) -> Run:
    place.folder.parent.mkdir(exist_ok=True)
    rows = place.folder.parent / "rows.csv"
    rows.write_bytes(world.rows)
    place.bench.environment["code"] = Digest.of(world.code.encode())
    place.bench.does = dict.fromkeys(world.made.steps, _everything(place.bench))
    given_ = {"rows": str(rows), "share": world.share, "depths": list(world.depths)}
    run = place.run(world.made, given_, RunOptions(jobs=3))
    assert run.state is RunState.SUCCEEDED
    return run


def _numbers() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


NUMBERS = _numbers()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10)
@given(st.lists(CHANGES, min_size=1, max_size=6))
def test_a_run_on_what_is_kept_gives_what_one_on_nothing_gives_and_does_nothing_twice(
    tmp_path: Path, changes: list[Change]
) -> None:
    kept, world = Place(tmp_path / str(next(NUMBERS))), World()
    made: set[str] = set()
    for change in [lambda same: same, *changes]:
        world = change(world)
        fresh = _run(Place(tmp_path / str(next(NUMBERS))), world)
        run = _run(kept, world)
        assert run.outputs == fresh.outputs
        assert {name: each.key for name, each in run.tasks.items()} == {
            name: each.key for name, each in fresh.tasks.items()
        }
        made |= {f"{task.partition('[')[0]} {each.key}" for task, each in run.tasks.items()}
        assert len(kept.bench.done) == len(made)


@pytest.mark.parametrize("jobs", [1, 4])
def test_however_many_at_once_the_outcome_is_the_same(tmp_path: Path, jobs: int) -> None:
    place = Place(tmp_path / str(jobs))
    run = _run(place, World(depths=(1, 1, 2)))
    assert sum(each.cached for each in run.tasks.values()) == 1
