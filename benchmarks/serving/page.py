"""The figures of servers as Markdown: promises first, then a table for each thing that was asked."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measures import MEGABYTE, Outcome, outcomes
from benchmarks.page import Circumstances
from benchmarks.results import Results
from benchmarks.table import NONE, markdown

from . import words
from .cases import IMAGE, IMAGE_BINARY, LR, NOOP, RF, RF_ONNX, ROW, TABLES, Case
from .peer import Peer
from .promises import PROMISES

BEGIN, END = "<!-- serving: begin -->", "<!-- serving: end -->"
FIGURES = {words.RATE: 1.0, words.P50: 1e3, words.P99: 1e3, words.CPU: 1e6}
HEADS = {words.RATE: "req/s", words.P50: "p50 ms", words.P99: "p99 ms", words.CPU: "CPU µs"}


def page(results: Results, circumstances: Circumstances, peers: Sequence[Peer]) -> str:
    """Write everything that stands between the markers."""
    cases = [ROW[NOOP], *TABLES, ROW[RF_ONNX], IMAGE_BINARY]
    tables = [text for case in cases for text in _of_case(results, case, peers)]
    return "\n\n".join(
        [
            circumstances.text,
            "### What was promised of serving",
            promise_table(list(outcomes(PROMISES, results))),
            *_failures(results),
            *tables,
            *_open_loops(results, peers),
            "### Starting, idling, memory and ending",
            _rest(results, peers),
            "### Who is how",
            "\n".join(f"* **{peer.who}**: {peer.settings}" for peer in peers),
        ]
    )


def promise_table(found: Sequence[Outcome]) -> str:
    """Write what was promised, what was measured, and the verdict."""
    rows = [
        [
            outcome.measure.claim,
            f"{'≥' if outcome.measure.at_least else '≤'} {outcome.measure.limit:.3g} {outcome.measure.unit}".strip(),
            f"{outcome.value:.3g} {outcome.measure.unit}".strip(),
            "reached" if outcome.reached else "**not reached**",
        ]
        for outcome in found
    ]
    return markdown(["target", "limit", "measured", "verdict"], rows)


def cell(results: Results, what: str, who: str, scale: float = 1.0) -> str:
    """Write the median and, of several samples, the range."""
    if not results.has(what, who):
        return NONE
    values = [value * scale for value in results.samples[what, who]]
    middle = number(results.median(what, who) * scale)
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}-{number(max(values))})"


def number(value: float) -> str:
    """Write a figure with three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _of_case(results: Results, case: Case, peers: Sequence[Peer]) -> list[str]:
    loads = [words.closed(c) for c in words.CONNECTIONS]
    head = ["", *(f"{load}: {HEADS[figure]}" for load in loads for figure in FIGURES)]
    rows = [
        [
            peer.who,
            *(
                cell(results, words.sample(case, load, figure), peer.who, scale)
                for load in loads
                for figure, scale in FIGURES.items()
            ),
        ]
        for peer in peers
        if any(results.has(words.sample(case, load, words.RATE), peer.who) for load in loads)
    ]
    return [f"### {case.name}", markdown(head, rows)] if rows else []


def _open_loops(results: Results, peers: Sequence[Peer]) -> list[str]:
    case = ROW[LR]
    capacity = words.sample(case, words.CAPACITY, words.RATE)
    rows = [
        [
            peer.who,
            cell(results, capacity, peer.who),
            *(
                cell(results, words.sample(case, words.opened(share), figure), peer.who, scale)
                for share in words.SHARES
                for figure, scale in ((words.GOODPUT, 100.0), (words.P50, 1e3), (words.P99, 1e3))
            ),
        ]
        for peer in peers
        if results.has(capacity, peer.who)
    ]
    head = [
        "",
        "capacity",
        *(f"{share} %: {what}" for share in words.SHARES for what in ("goodput %", "p50 ms", "p99 ms")),
    ]
    return [f"### {case.name}, open loop", markdown(head, rows)] if rows else []


def _rest(results: Results, peers: Sequence[Peer]) -> str:
    models = (LR, RF, IMAGE)
    columns = [
        *((words.of_model(words.FIRST, model), 1.0) for model in models),
        (words.of_model(words.IDLE, LR), 100.0),
        *((words.of_model(words.PSS, model), 1 / MEGABYTE) for model in models),
        (words.LOST, 1.0),
        (words.ASKED, 1.0),
    ]
    head = [
        "",
        *(f"{model}: first answer s" for model in models),
        "idle %",
        *(f"{model}: PSS MB" for model in models),
        "lost on SIGTERM",
        "of",
    ]
    rows = [[peer.who, *(cell(results, what, peer.who, scale) for what, scale in columns)] for peer in peers]
    return markdown(head, [row for row in rows if set(row[1:]) != {NONE}])


def _failures(results: Results) -> list[str]:
    lines = [f"* **{name}** was not measured: `{reason}`" for name, reason in results.failures.items()]
    return ["\n".join(lines)] if lines else []
