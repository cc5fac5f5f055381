"""Figures as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .measures import MEGABYTE, Outcome
from .names import BARE, BUILD, CHANGED, COLD, FIRST, LAYERS, LIVE, MEMORY, PHASES, PUSH, RETRAINED, RUN, SIZE
from .results import Results

NONE = "-"
BEGIN = "<!-- figures: begin -->"
END = "<!-- figures: end -->"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table whose first column is text and whose others are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def seconds(value: float) -> str:
    """Write a time with as many digits as mean something."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def megabytes(value: float) -> str:
    """Write bytes as megabytes."""
    return f"{value / MEGABYTE:.1f}"


def build_table(results: Results, builders: Sequence[str]) -> str:
    """Write a row a phase and a column a builder: seconds of the build + seconds of the push."""
    rows = [[phase, *(_build_cell(results, phase, who) for who in builders)] for phase in PHASES]
    started = [_sum(results, [f"{COLD} {BUILD}", f"{COLD} {RUN}"], who) for who in builders]
    return markdown(["", *builders], [*rows, [f"{COLD}, built and first prediction", *started]])


def _build_cell(results: Results, phase: str, who: str) -> str:
    if not results.has(f"{phase} {BUILD}", who):
        return NONE
    built = seconds(results.median(f"{phase} {BUILD}", who))
    if not results.has(f"{phase} {PUSH}", who):
        return built
    return f"{built} + {seconds(results.median(f'{phase} {PUSH}', who))}"


def _sum(results: Results, parts: Sequence[str], who: str) -> str:
    if not all(results.has(part, who) for part in parts):
        return NONE
    return seconds(sum(results.median(part, who) for part in parts))


def run_table(results: Results, runners: Sequence[str]) -> str:
    """Write how long it takes until a container answers, beside the same model in a plain environment."""
    rows = [
        [f"{phase}: {word}", *(_cell(results, f"{phase} {what}", who) for who in runners)]
        for phase in (RUN, CHANGED, RETRAINED)
        for what, word in ((LIVE, "live"), (FIRST, "first correct prediction"))
    ]
    bare = seconds(results.median(BARE, BARE)) if results.has(BARE, BARE) else NONE
    return markdown(["", *runners], [*rows, [f"{BARE}, no container", *[bare] * len(runners)]])


def _cell(results: Results, what: str, who: str) -> str:
    return seconds(results.median(what, who)) if results.has(what, who) else NONE


def size_table(results: Results, builders: Sequence[str]) -> str:
    """Write how large images are, as pushed, how many layers they have, and how much memory builds take."""
    kinds = sorted({what for what, _ in results.samples if what.startswith((SIZE, MEMORY))})
    rows = [[f"{what}, MB", *(_size_cell(results, what, who) for who in builders)] for what in kinds]
    layers = [f"{results.median(LAYERS, who):.0f}" if results.has(LAYERS, who) else NONE for who in builders]
    return markdown(["", *builders], [*rows, [LAYERS, *layers]])


def _size_cell(results: Results, what: str, who: str) -> str:
    return megabytes(results.median(what, who)) if results.has(what, who) else NONE


def measure_table(outcomes: Sequence[Outcome]) -> str:
    """Write what was promised, what was measured, and whether it was reached."""
    rows = [
        [
            outcome.measure.claim,
            f"{'≥' if outcome.measure.at_least else '≤'} {outcome.measure.limit:.3g} {outcome.measure.unit}".strip(),
            f"{outcome.value:.3g} {outcome.measure.unit}".strip(),
            "yes" if outcome.reached else "**no**",
        ]
        for outcome in outcomes
    ]
    return markdown(["target", "limit", "measured", "reached"], rows)


def replaced(page: str, block: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """Put a block between two markers of the page; raises ValueError where it has none."""
    before, begin, rest = page.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"the page lacks {marks[0]} or {marks[1]}")
    return f"{before}{begin}\n{block}\n{end}{after}"
