"""A pipeline in a terminal: colour adds nothing but colour."""

from __future__ import annotations

import re

from tiffin.pipeline.graph import Graph
from tiffin.pipeline.pictures.frames import framed
from tiffin.pipeline.pictures.text import lines
from unit.pipeline.pictures.example import GRAPH, MARKS


def test_colour_adds_nothing_but_colour() -> None:
    plain, painted = (lines(framed(GRAPH, MARKS), colour=colour) for colour in (False, True))
    assert painted != plain
    assert [re.sub(r"\x1b\[\d*m", "", line) for line in painted] == plain


def test_a_pipeline_without_steps_is_its_name() -> None:
    assert lines(framed(Graph(name="empty"))) == ["empty"]
