"""Boxes in rows, so that every edge leads down: the layered drawing of Sugiyama, Tagawa and Toda (1981). Pure.

Rows are longest paths; an edge over several rows has a joint in each, so that boxes make way for it. The order within
rows is found by barycentres, keeping the one with the fewest crossings; where boxes stand by isotonic regression, which
is as near to their neighbours' middle as their order allows.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

GAP, ROW_GAP = 28.0, 44.0
"""Between boxes of a row, and between rows."""
_SWEEPS = 8
_JOINT_WEIGHT = 4.0
"""How much more a joint's place counts than a box's: what is long is to be straight."""

Point = tuple[float, float]
Edge = tuple[str, str]
_Node = str | tuple[str, str, int]
"""A box by its name, or a joint of an edge in a row."""


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """Something with a name and a size."""

    name: str
    width: float
    height: float


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """Where boxes are (their upper left corner), what edges lead through from end to end, and the size of it all."""

    places: dict[str, Point]
    ways: dict[Edge, tuple[Point, ...]]
    width: float
    height: float


def drawing(boxes: Sequence[Box], edges: Collection[Edge]) -> Drawing:
    """Place boxes; edges lead from one to another, and never in a circle."""
    if not boxes:
        return Drawing(places={}, ways={}, width=0.0, height=0.0)
    sizes = {box.name: box for box in boxes}
    chosen = [edge for edge in dict.fromkeys(edges) if edge[0] != edge[1]]
    ranks = _ranks(list(sizes), chosen)
    rows, links = _with_joints(list(sizes), chosen, ranks)
    rows = _ordered(rows, links)
    centres = _centred(rows, links, sizes)
    return _measured(rows, centres, sizes, chosen)


def _ranks(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The row of each: below all that lead to it; what nothing leads to is right above the first it leads to."""
    above, below = _neighbours(names, edges)
    ranks: dict[str, int] = {}
    waiting = {name: len(above[name]) for name in names}
    ready = [name for name in names if not waiting[name]]
    for name in ready:
        ranks[name] = max((ranks[one] + 1 for one in above[name]), default=0)
        for one in below[name]:
            waiting[one] -= 1
            if not waiting[one]:
                ready.append(one)
    for name in ready:
        if not above[name] and below[name]:
            ranks[name] = min(ranks[one] for one in below[name]) - 1
    return ranks


def _neighbours(names: Iterable[str], edges: Iterable[Edge]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {name: [] for name in names}
    below: dict[str, list[str]] = {name: [] for name in above}
    for source, target in edges:
        above[target].append(source)
        below[source].append(target)
    return above, below


_Links = dict[_Node, list[_Node]]


def _with_joints(
    names: Sequence[str], edges: Sequence[Edge], ranks: Mapping[str, int]
) -> tuple[list[list[_Node]], tuple[_Links, _Links]]:
    """Rows of boxes and joints, and what each is linked to in the row above and in the row below."""
    rows: list[list[_Node]] = [[] for _ in range(max(ranks.values()) + 1)]
    up: _Links = {}
    down: _Links = {}
    for name in names:
        rows[ranks[name]].append(name)
    for source, target in edges:
        chain: list[_Node] = [source]
        for row in range(ranks[source] + 1, ranks[target]):
            chain.append((source, target, row))
            rows[row].append(chain[-1])
        chain.append(target)
        for one, other in pairwise(chain):
            down.setdefault(one, []).append(other)
            up.setdefault(other, []).append(one)
    return rows, (up, down)


def _ordered(rows: list[list[_Node]], links: tuple[_Links, _Links]) -> list[list[_Node]]:
    """The rows in the best order that sweeping comes by, with joints to the right of boxes at first, or to the left."""
    best, fewest = _swept(rows, links)
    if fewest:
        other, crossings = _swept([sorted(row, key=lambda node: isinstance(node, str)) for row in rows], links)
        best = other if crossings < fewest else best
    return best


def _swept(rows: list[list[_Node]], links: tuple[_Links, _Links]) -> tuple[list[list[_Node]], int]:
    """Sweep down and up, and keep the order with the fewest crossings, and how many these are."""
    best, fewest = rows, _crossings(rows, links[1])
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        toward = links[sweep % 2]
        path = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        rows = list(rows)
        for number in path:
            beside = {node: place for place, node in enumerate(rows[number - 1 if sweep % 2 == 0 else number + 1])}
            rows[number] = _by_barycentre(rows[number], toward, beside)
        if (crossings := _crossings(rows, links[1])) < fewest:
            best, fewest = rows, crossings
    return best, fewest


def _by_barycentre(row: Sequence[_Node], toward: _Links, beside: Mapping[_Node, int]) -> list[_Node]:
    def middle(place: int) -> float:
        found = [beside[node] for node in toward.get(row[place], ())]
        return sum(found) / len(found) if found else float(place)

    return [row[place] for place in sorted(range(len(row)), key=middle)]


def _crossings(rows: Sequence[Sequence[_Node]], down: _Links) -> int:
    """How many links cross: those that end before one that began earlier."""
    total = 0
    for row, below in pairwise(rows):
        places = {node: place for place, node in enumerate(below)}
        ends: list[int] = []
        for node in row:
            mine = sorted(places[other] for other in down.get(node, ()))
            total += sum(len(ends) - bisect_right(ends, end) for end in mine)
            for end in mine:
                insort(ends, end)
    return total


def _centred(
    rows: Sequence[Sequence[_Node]], links: tuple[_Links, _Links], sizes: Mapping[str, Box]
) -> dict[_Node, float]:
    """The middle of every box and joint."""
    centres: dict[_Node, float] = {}
    for row in rows:
        at = 0.0
        for node in row:
            centres[node] = at + _width(node, sizes) / 2
            at += _width(node, sizes) + GAP
    for sweep in range(_SWEEPS + 1):
        toward = links[sweep % 2]
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_middle(node, toward, centres) for node in row]
            centres |= zip(row, _apart(row, wanted, sizes), strict=True)
    return centres


def _middle(node: _Node, toward: _Links, centres: Mapping[_Node, float]) -> float:
    found = [centres[other] for other in toward.get(node, ())]
    return sum(found) / len(found) if found else centres[node]


def _width(node: _Node, sizes: Mapping[str, Box]) -> float:
    return sizes[node].width if isinstance(node, str) else 0.0


def _apart(row: Sequence[_Node], wanted: Sequence[float], sizes: Mapping[str, Box]) -> list[float]:
    """Middles as near to those wanted as the row's order and gaps allow, by least squares (pool adjacent violators)."""
    offsets, at = [], 0.0
    for number, node in enumerate(row):
        if number:
            at += (_width(row[number - 1], sizes) + _width(node, sizes)) / 2 + GAP
        offsets.append(at)
    pools: list[tuple[float, float, int]] = []
    for node, want, offset in zip(row, wanted, offsets, strict=True):
        mean, weight, count = want - offset, _JOINT_WEIGHT if isinstance(node, tuple) else 1.0, 1
        while pools and pools[-1][0] > mean:
            before, heavy, many = pools.pop()
            mean, weight, count = (before * heavy + mean * weight) / (heavy + weight), heavy + weight, many + count
        pools.append((mean, weight, count))
    shifts = [mean for mean, _, count in pools for _ in range(count)]
    return [shift + offset for shift, offset in zip(shifts, offsets, strict=True)]


def _measured(
    rows: Sequence[Sequence[_Node]], centres: Mapping[_Node, float], sizes: Mapping[str, Box], edges: Sequence[Edge]
) -> Drawing:
    """Corners and ways, from the upper left corner of it all."""
    left = min(centres[node] - _width(node, sizes) / 2 for row in rows for node in row)
    right = max(centres[node] + _width(node, sizes) / 2 for row in rows for node in row)
    tops, at = [], 0.0
    heights = [max((sizes[node].height for node in row if isinstance(node, str)), default=0.0) for row in rows]
    for height in heights:
        tops.append(at)
        at += height + ROW_GAP
    places: dict[str, Point] = {}
    joints: dict[Edge, list[Point]] = {edge: [] for edge in edges}
    for number, row in enumerate(rows):
        for node in row:
            if isinstance(node, str):
                places[node] = (centres[node] - sizes[node].width / 2 - left, tops[number])
            else:
                x = centres[node] - left
                joints[node[0], node[1]] += [(x, tops[number]), (x, tops[number] + heights[number])]
    bottoms = {node: top + height for row, top, height in zip(rows, tops, heights, strict=True) for node in row}
    ways = {edge: _way(edge, [(0.0, bottoms[edge[0]]), *joints[edge]], places, sizes) for edge in edges}
    return Drawing(places=places, ways=ways, width=right - left, height=at - ROW_GAP)


def _way(
    edge: Edge, joints: Sequence[Point], places: Mapping[str, Point], sizes: Mapping[str, Box]
) -> tuple[Point, ...]:
    """From the lower edge of a box straight to the end of its row, past the joints, to the upper edge of the other."""
    source, target = edge
    x = places[source][0] + sizes[source].width / 2
    begin, row_ends = (x, places[source][1] + sizes[source].height), (x, joints[0][1])
    end = (places[target][0] + sizes[target].width / 2, places[target][1])
    return (begin, *([row_ends] if row_ends != begin else []), *joints[1:], end)
