"""Rows of boxes: every edge leads down, nothing overlaps, and the same graph is the same drawing."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tiffin.pipeline.pictures.layered import GAP, Box, Drawing, Edge, drawing


def boxes(count: int, width: float = 50.0) -> list[Box]:
    return [Box(name=f"b{number}", width=width + 7 * number, height=20.0 + number) for number in range(count)]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Box], list[Edge]]:
    count = draw(st.integers(1, 12))
    pairs = list(itertools.combinations(range(count), 2))
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return boxes(count), [(f"b{one}", f"b{other}") for one, other in chosen]


def overlap(drawn: Drawing, one: Box, other: Box) -> bool:
    (x, y), (u, v) = drawn.places[one.name], drawn.places[other.name]
    return x < u + other.width and u < x + one.width and y < v + other.height and v < y + one.height


@given(graphs())
def test_boxes_never_overlap_and_lie_in_the_drawing(graph: tuple[list[Box], list[Edge]]) -> None:
    drawn = drawing(*graph)
    assert not any(overlap(drawn, one, other) for one, other in itertools.combinations(graph[0], 2))
    for box in graph[0]:
        x, y = drawn.places[box.name]
        assert -0.01 <= x <= drawn.width - box.width + 0.01
        assert -0.01 <= y <= drawn.height - box.height + 0.01


@given(graphs())
def test_every_edge_leads_down_from_its_source_to_its_target(graph: tuple[list[Box], list[Edge]]) -> None:
    drawn, sizes = drawing(*graph), {box.name: box for box in graph[0]}
    for (source, target), way in drawn.ways.items():
        assert all(one[1] <= other[1] for one, other in itertools.pairwise(way))
        assert way[0][1] == drawn.places[source][1] + sizes[source].height
        assert way[-1][1] == drawn.places[target][1] > way[0][1]


@given(graphs())
def test_the_same_graph_is_the_same_drawing(graph: tuple[list[Box], list[Edge]]) -> None:
    assert drawing(*graph) == drawing(*graph)


def test_a_chain_is_a_straight_line() -> None:
    drawn = drawing(boxes(3), [("b0", "b1"), ("b1", "b2")])
    middles = {round(drawn.places[box.name][0] + box.width / 2, 3) for box in boxes(3)}
    assert len(middles) == 1


def test_two_edges_that_would_cross_do_not() -> None:
    names = [Box(name=name, width=40, height=20) for name in ("a", "b", "c", "d")]
    drawn = drawing(names, [("a", "d"), ("b", "c")])
    assert (drawn.places["a"] < drawn.places["b"]) == (drawn.places["d"] < drawn.places["c"])


def test_boxes_make_way_for_a_long_edge() -> None:
    names = [Box(name=name, width=60, height=20) for name in ("a", "b", "c")]
    drawn = drawing(names, [("a", "b"), ("b", "c"), ("a", "c")])
    x = drawn.places["b"][0]
    level = [point for point in drawn.ways["a", "c"] if drawn.places["b"][1] <= point[1] <= drawn.places["b"][1] + 20]
    assert level
    assert all(not x - GAP / 2 < point[0] < x + 60 + GAP / 2 for point in level)


def test_nothing_is_an_empty_drawing() -> None:
    assert drawing([], []) == Drawing(places={}, ways={}, width=0.0, height=0.0)
