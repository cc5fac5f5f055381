"""Whatever is written with the language is a graph that can be run, and says the same when it is written and read."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tiffin.pipeline.graph import Graph
from tiffin.pipeline.meaning.check import check
from tiffin_pipeline import (
    Dataset,
    Model,
    Output,
    Pipeline,
    collect,
    first,
    for_each,
    on_exit,
    otherwise,
    pipeline,
    step,
    when,
)

Seen = tuple[list[Any], list[Any]]
"""Numbers and models that can be read."""


@step
def measure(model: Model, least: float = 0.0, text: str = "") -> float:
    raise NotImplementedError


@step
def train(rows: Dataset, model: Output[Model], depth: float = 1.0) -> None: ...


@step
def choose(models: list[Model], numbers: list[float], best: Output[Model]) -> float:
    raise NotImplementedError


@step
def tell(text: str = "") -> None: ...


class Writer:
    """Writes a pipeline, choosing by what is drawn."""

    def __init__(self, draw: Any, rows: Any) -> None:
        self.draw, self.rows, self.left, self.numbers = draw, rows, draw(st.integers(1, 12)), count(1)

    def one_of(self, several: list[Any]) -> Any:
        return several[self.draw(st.integers(0, len(several) - 1))]

    def body(self, seen: Seen, depth: int = 0) -> Seen:
        """One to three statements; gives what can be read where the body ends."""
        numbers, models = list(seen[0]), list(seen[1])
        made = train(self.rows, depth=self.one_of(numbers))
        models.append(made.model)
        for _ in range(self.draw(st.integers(1, 3))):
            self.left -= 1
            statement = self.one_of(["measure", "when", "for_each", "on_exit", "after"])
            if statement == "measure" or self.left < 0 or depth > 2:
                text = f"at least {self.one_of(numbers)}, or {self.one_of(numbers)}"
                numbers.append(measure(self.one_of(models), least=self.one_of(numbers), text=text).output)
            elif statement == "after":
                measure(self.one_of(models)).after(made).retry(self.draw(st.integers(0, 3)), seconds=1)
            else:
                new = getattr(self, statement)((numbers, models), depth + 1)
                numbers += new[0]
                models += new[1]
        return numbers, models

    def when(self, seen: Seen, depth: int) -> Seen:
        number = self.one_of([one for one in seen[0] if not isinstance(one, float)])
        condition = (number > 1) | ~((number == self.one_of(seen[0])) & (number <= 3))
        with when(condition):
            one = self.body(seen, depth)
        if self.draw(st.booleans()):
            with otherwise(number != 2):
                self.body(seen, depth)
        with otherwise():
            other = self.body(seen, depth)
        return [first(one[0][-1], other[0][-1])], [first(one[1][-1], other[1][-1])]

    def for_each(self, seen: Seen, depth: int) -> Seen:
        with for_each([0.5, 1, 2], parallel=self.draw(st.integers(0, 2))) as item:
            self.body(([*seen[0], item], seen[1]), depth)
            made = train(self.rows, depth=item)
            measured = measure(made)
        chosen = choose(collect(made.model), collect(measured)).named(f"chosen-{next(self.numbers)}")
        return [chosen.output], [chosen.best]

    def on_exit(self, seen: Seen, depth: int) -> Seen:
        with on_exit(tell, text=f"{self.one_of(seen[0])}"):
            return self.body(seen, depth)


def drawn(draw: Any) -> Pipeline:
    """A pipeline whose function writes what is drawn."""

    @pipeline
    def written(rows: Dataset, least: float = 0.5):  # type: ignore[no-untyped-def] # noqa: ANN202 - as users write it
        numbers, models = Writer(draw, rows).body(([1.0, least], []))
        return {"model": models[-1]} if numbers else {}

    return written


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_the_language_writes_can_be_run_and_reads_back_the_same(data: st.DataObject) -> None:
    document = drawn(data.draw).trace(str(Path(__file__).parent))
    graph = msgspec.json.decode(msgspec.json.encode(document), type=Graph, strict=True)
    assert msgspec.json.decode(msgspec.json.encode(graph), type=Graph) == graph
    check(graph)
    assert all(str(task.place).startswith("test_laws.py:") for task in graph.tasks())
