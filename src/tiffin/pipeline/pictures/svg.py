"""A pipeline as SVG: tasks as boxes that say how they are, choices and loops as frames around theirs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

import msgspec

from tiffin.pipeline.pictures.frames import Frame
from tiffin.pipeline.pictures.layered import GAP, Box, Drawing, Point, drawing
from tiffin.pipeline.pictures.words import state_of, told

LETTER = 7.3
"""How wide a letter is at twelve pixels of a monospaced font."""
_LINE, _PADDING, _LEAST, _MARGIN, _TITLE = 17.0, 12.0, 96.0, 20.0, 26.0
_STYLE = """\
svg { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.page { fill: #ffffff; } text { fill: #1f2328; } .words { fill: #59636e; }
.head { font-weight: 600; font-size: 14px; } .name { font-weight: 600; }
.task rect { fill: #f6f8fa; stroke: #d1d9e0; } .task .side { stroke: none; fill: #afb8c1; }
.frame > rect { fill: #818b981f; stroke: #818b98; stroke-dasharray: 4 3; }
.choice > rect { fill: none; stroke: #818b9866; }
.way { fill: none; stroke: #818b98; stroke-width: 1.4; } marker path { fill: #818b98; }
.line { fill: none; stroke: #0969da; stroke-width: 1.8; } .dot { fill: #0969da; }
.done .side { fill: #1a7f37; } .kept .side { fill: #1b7c83; } .running .side { fill: #bf8700; }
.failed .side, .stopped .side { fill: #cf222e; } .failed .words, .stopped .words { fill: #cf222e; }
.skipped { opacity: 0.55; }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; } text { fill: #f0f6fc; } .words { fill: #9198a1; }
  .task rect { fill: #151b23; stroke: #3d444d; }
  .done .side { fill: #3fb950; } .kept .side { fill: #39c5cf; } .running .side { fill: #d29922; }
  .failed .side, .stopped .side { fill: #f85149; } .failed .words, .stopped .words { fill: #f85149; }
}"""


class _Block(msgspec.Struct, frozen=True, kw_only=True):
    """A frame with its size, and where what lies in it is."""

    frame: Frame
    width: float
    height: float
    inner: tuple[_Block, ...] = ()
    drawing: Drawing | None = None
    origin: Point = (0.0, 0.0)


def svg(frame: Frame, words: str = "") -> str:
    """Draw a pipeline; `words` say of the whole what there is to say, such as when it ran."""
    block = _block(frame)
    head = f"{frame.title}  {words}".strip()
    width = max(block.width, len(head) * LETTER * 14 / 12) + 2 * _MARGIN
    height = block.height + 2 * _MARGIN + _TITLE
    left = (width - block.width) / 2
    body = [
        '<rect class="page" width="100%" height="100%"/>',
        f'<text class="head" x="{_n(_MARGIN)}" y="{_n(_MARGIN + 12)}">{escape(head)}</text>',
        *_drawn(block, (left, _MARGIN + _TITLE)),
    ]
    return document(width, height, head, body)


def document(width: float, height: float, title: str, body: Iterable[str]) -> str:
    """A whole SVG of this size, with the styles that all pictures share."""
    arrow = '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    size = f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={quoteattr(title)}>',
        f"<style>{_STYLE}</style>",
        f'<defs>{arrow}<path d="M0 0 8 4 0 8z"/></marker></defs>',
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _block(frame: Frame) -> _Block:
    """Find the size of a frame, from the inside out."""
    if frame.kind == "task":
        words = max(len(frame.title), len(told(frame.marks)), len(frame.does))
        lines = 1 + bool(frame.does) + bool(frame.marks)
        width = max(words * LETTER + 2 * _PADDING + 4, _LEAST)
        return _Block(frame=frame, width=width, height=lines * _LINE + 2 * _PADDING - 4)
    inner = tuple(_block(one) for one in frame.inner)
    if frame.kind == "branches":
        return _beside(frame, inner)
    edges = [(before, one.name) for one in frame.inner for before in one.after]
    drawn = drawing([Box(name=one.frame.name, width=one.width, height=one.height) for one in inner], edges)
    if frame.kind == "pipeline":
        return _Block(frame=frame, width=drawn.width, height=drawn.height, inner=inner, drawing=drawn)
    width = max(drawn.width, len(frame.title) * LETTER) + 2 * _PADDING
    origin = ((width - drawn.width) / 2, _PADDING + _LINE)
    height = drawn.height + 2 * _PADDING + _LINE
    return _Block(frame=frame, width=width, height=height, inner=inner, drawing=drawn, origin=origin)


def _beside(frame: Frame, inner: tuple[_Block, ...]) -> _Block:
    """Alternatives stand side by side, and nothing leads from one to another."""
    places, at = {}, 0.0
    for one in inner:
        places[one.frame.name] = (at, 0.0)
        at += one.width + GAP
    height = max(one.height for one in inner)
    drawn = Drawing(places=places, ways={}, width=at - GAP, height=height)
    width, height, origin = drawn.width + 2 * _PADDING, height + 2 * _PADDING, (_PADDING, _PADDING)
    return _Block(frame=frame, width=width, height=height, inner=inner, drawing=drawn, origin=origin)


def _drawn(block: _Block, at: Point) -> Iterator[str]:
    frame = block.frame
    if block.drawing is None:
        yield _task(block, at)
        return
    x, y = at[0] + block.origin[0], at[1] + block.origin[1]
    framed = frame.kind != "pipeline"
    if framed:
        kind = "choice" if frame.kind == "branches" else "frame"
        yield f'<g class="{kind}"><rect {_box(at, block.width, block.height)} rx="8"/>'
    if frame.title and framed:
        yield f'<text class="words" x="{_n(at[0] + _PADDING)}" y="{_n(at[1] + _LINE + 3)}">{escape(frame.title)}</text>'
    for way in block.drawing.ways.values():
        yield f'<path class="way" marker-end="url(#arrow)" d="{_curve(way, (x, y))}"/>'
    for one in block.inner:
        left, top = block.drawing.places[one.frame.name]
        yield from _drawn(one, (x + left, y + top))
    if framed:
        yield "</g>"


def _task(block: _Block, at: Point) -> str:
    frame = block.frame
    x, y = at
    lines = [("name", frame.title), ("words", frame.does), ("words", told(frame.marks))]
    why = " · ".join(dict.fromkeys(mark.why for mark in frame.marks if mark.why))
    left = _n(x + _PADDING + 4)
    texts = "".join(
        f'<text class="{kind}" x="{left}" y="{_n(y + _PADDING + 8 + _LINE * number)}">{escape(text)}</text>'
        for number, (kind, text) in enumerate((kind, text) for kind, text in lines if text)
    )
    return (
        f'<g class="task {state_of(frame.marks) or "planned"}">'
        + (f"<title>{escape(why)}</title>" if why else "")
        + f'<rect {_box(at, block.width, block.height)} rx="6"/>'
        f'<rect class="side" {_box((x + 1, y + 5), 4, block.height - 10)} rx="2"/>{texts}</g>'
    )


def _box(at: Point, width: float, height: float) -> str:
    return f'x="{_n(at[0])}" y="{_n(at[1])}" width="{_n(width)}" height="{_n(height)}"'


def _curve(way: tuple[Point, ...], at: Point) -> str:
    """Through all points, leaving and reaching each straight down."""
    moved = [(x + at[0], y + at[1]) for x, y in way]
    parts = [f"M{_n(moved[0][0])} {_n(moved[0][1])}"]
    for (x, y), (to_x, to_y) in pairwise(moved):
        middle = (y + to_y) / 2
        parts.append(f"C{_n(x)} {_n(middle)} {_n(to_x)} {_n(middle)} {_n(to_x)} {_n(to_y)}")
    return " ".join(parts)


def _n(number: float) -> str:
    """A coordinate, no more exact than anybody sees."""
    return f"{number:.1f}".removesuffix(".0")
