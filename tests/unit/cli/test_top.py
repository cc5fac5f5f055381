"""`tiffin top`: what it draws for which keys, in how much room, and in a real terminal that it gives back."""

from __future__ import annotations

import json
import re
import signal
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiffin.api.services.top import Part, RevisionRow, Row
from tiffin.cli.columns import Column, age, fitted, number, percent, seconds, size
from tiffin.cli.pages import SERVICES, Looking, ordered, page, pressed, revisions, tables
from tiffin.deploy.local.target import LocalTarget
from unit.cli.test_attach import Terminal, said, terminal
from unit.deploy.local.stage import Play, service, supervised

DRAWN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def row(name: str, phase: str = "available", **more: object) -> Row:
    numbers = {"wanted": 2, "ready": 2, "starting": 0, "waiting": 0, "in_flight": 0, "restarts": 0, "age": 90.0}
    revision = RevisionRow(number=1, weight=100.0, state="open", ready=2, replicas=2, waiting=0, in_flight=0)
    told = {
        "cpu": 1.0,
        "memory": 1000,
        "address": "http://127.0.0.1:1",
        "findings": ("port: taken",),
        "revisions": (revision,),
    }
    return Row(**{"name": name, "phase": phase, **numbers, **told, **more})  # type: ignore[arg-type]


ROWS = [
    row("iris", rate=12.34, errors=0.5, p50=0.0021, p99=1.25, cpu=150.0, memory=1_500_000_000, parts=(
        Part(name="front", stage="ready", cpu=3.0, memory=30_000_000, processes=1),
        Part(name="iris-1-a", revision=1, stage="ready", cpu=147.0, memory=1_470_000_000, processes=2, age=90.0),
        Part(name="iris-1-b", revision=1, stage="starting", age=2.0, why="\x1b[2Jevil"),
    )),
    row("wine", "degraded", ready=1, rate=200.0, errors=0.0, restarts=4),
    row("a-service-with-a-name-as-long-as-can-be-here", "progressing", rate=0.0),
]  # fmt: skip


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 132, 200])
@pytest.mark.parametrize("looking", [Looking(), Looking(service="iris"), Looking(service="gone")])
def test_a_page_fits_whatever_the_terminal(columns: int, looking: Looking) -> None:
    for lines in (3, 8, 24, 50):
        drawn = page(ROWS, looking, (columns, lines), colour=False)
        assert len(drawn) == lines
        assert max(map(len, drawn)) <= columns
        assert not any("\x1b" in line for line in drawn), "without colours, and nothing of a container's own"


def test_eighty_columns_have_what_matters_and_more_columns_have_all() -> None:
    title = page(ROWS, Looking(), (80, 24), colour=False)[1]
    for wanted in ("SERVICE", "REVISION", "READY", "REQ/S", "ERR/S", "P99", "WAIT", "CPU", "MEMORY"):
        assert wanted in title
    wide = page(ROWS, Looking(), (160, 24), colour=False)[1]
    assert all(column.title in wide for column in SERVICES)


def test_a_service_is_shown_with_its_revisions_and_replicas() -> None:
    drawn = "\n".join(page(ROWS, Looking(service="iris"), (80, 24), colour=False))
    for wanted in (
        "available: replicas 2 ready, 2 wanted",
        "http://127.0.0.1:1",
        "port: taken",
        "100%",
        "iris-1-a",
        "147%",
        "1.5GB",
        "?[2Jevil",
    ):
        assert wanted in drawn


def test_colours_say_what_is_wrong_and_leave_no_trace() -> None:
    drawn = page(ROWS, Looking(), (80, 24))
    (bad,) = [line for line in drawn if "wine" in line]
    assert bad.startswith("\x1b[31m")
    assert [DRAWN.sub("", line) for line in drawn] == page(ROWS, Looking(), (80, 24), colour=False)


def test_keys_mark_enter_leave_and_sort() -> None:
    looking = Looking()
    for key, marked in (("down", "iris"), ("down", "wine"), ("down", "wine"), ("k", "iris"), ("home", ROWS[2].name)):
        looking = pressed(looking, key, ROWS) or looking
        assert looking.marked == marked
    inside = pressed(pressed(looking, "end", ROWS), "enter", ROWS)  # type: ignore[arg-type]
    assert inside
    assert inside.service == "wine"
    out = pressed(inside, "escape", ROWS)
    assert out
    assert (out.service, out.marked) == ("", "wine")
    assert pressed(out, "q", ROWS) is None
    assert pressed(Looking(service="iris", stays=True), "escape", ROWS) == Looking(service="iris", stays=True)
    for key, names in (("r", ["wine", "iris"]), ("c", ["iris", ROWS[2].name]), ("n", [ROWS[2].name, "iris"])):
        sorted_ = pressed(out, key, ROWS)
        assert sorted_
        assert [one.name for one in ordered(ROWS, sorted_)][:2] == names
        reverse = pressed(sorted_, "R", ROWS)
        assert reverse
        assert ordered(ROWS, reverse)[-1].name == names[0]


def test_what_is_marked_is_in_the_window() -> None:
    many = [row(f"s{place:03}") for place in range(100)]
    for marked in ("s000", "s050", "s099"):
        drawn = page(many, Looking(marked=marked), (80, 12), colour=False)
        assert any(line.startswith(f"> {marked}") for line in drawn)


def test_revisions_are_said_with_their_shares_where_there_are_several() -> None:
    new, old = (
        RevisionRow(number=n, weight=w, state="open", ready=1, replicas=1, waiting=0, in_flight=0)
        for n, w in ((4, 10.0), (3, 90.0))
    )
    assert revisions(row("iris", revisions=(new, old))) == "4:10% 3:90%"
    assert revisions(row("iris")) == "1"
    assert revisions(row("iris", revisions=())) == "-"


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (number(None), "-"), (number(0.0), "0"), (number(3.14), "3.1"), (number(31.4), "31"), (number(1e6), "1000k"),
        (seconds(None), "-"), (seconds(0.0004), "0.4ms"), (seconds(0.25), "250ms"), (seconds(1.25), "1.2s"),
        (seconds(30.0), "30s"), (age(5.0), "5s"), (age(300.0), "5m"), (age(9000.0), "2h"), (age(1e6), "12d"),
        (percent(None), "-"), (percent(150.2), "150%"), (size(None), "-"), (size(1500), "1.5kB"),
    ],
)  # fmt: skip
def test_numbers_are_short(written: str, wanted: str) -> None:
    assert written == wanted


def test_columns_that_are_worth_least_go_first() -> None:
    columns = [Column("NAME", str), Column("AAAA", str, 1), Column("BBBB", str, 2)]
    assert fitted(columns, ["x"], 100) == ["NAME AAAA BBBB", "x       x    x"]
    assert fitted(columns, ["x"], 10) == ["NAME BBBB", "x       x"]
    assert fitted(columns, ["a-long-name"], 4) == ["NAME", "a-l…"]


def test_tables_for_scripts_have_every_column() -> None:
    title, *lines = tables(ROWS, "", 1000, "errors")
    assert title.split() == [column.title for column in SERVICES]
    assert lines[0].startswith("iris ")
    assert any("iris-1-b" in line for line in tables(ROWS[:1], "iris", 1000, "name"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose supervisor keeps one service, with two replicas that are played."""
    home = tmp_path_factory.mktemp("home")
    play = Play()
    with supervised(home / "data", play):
        target = LocalTarget(home / "data", play.engine)
        target.apply(service(replicas=2))
        yield home
        target.delete("iris")


def plain(screen: Terminal) -> str:
    return DRAWN.sub("", screen.seen.decode(errors="replace"))


def test_it_is_watched_in_a_terminal_which_is_as_it_was_afterwards(home: Path) -> None:
    with terminal(home, "top", "--interval", "0.2", more={"TERM": "xterm", "NO_COLOR": "1"}) as screen:
        screen.see(b"> iris")
        assert termios.tcgetattr(screen.theirs) != screen.before
        assert screen.seen.startswith(b"\x1b[?1049h\x1b[?25l")
        assert b"\x1b[31m" not in screen.seen
        screen.type(b"\r")
        screen.see(b"2 ready, 2 wanted")
        screen.see(b"iris-1-")
        termios.tcsetwinsize(screen.theirs, (20, 60))
        screen.seen = b""
        screen.see(b"http://")
        screen.type(b"\x1b")
        screen.see(b"> iris")
        screen.type(b"q")
        screen.see(b"\x1b[?25h\x1b[?1049l")
        assert screen.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_terminal_is_given_back_when_a_signal_ends_it(home: Path, number: signal.Signals) -> None:
    with terminal(home, "top", "iris", more={"TERM": "xterm"}) as screen:
        screen.see(b"iris-1-")
        screen.process.send_signal(number)
        screen.see(b"\x1b[?25h\x1b[?1049l")
        assert screen.end() == (130 if number is signal.SIGINT else -number)


def test_ctrl_c_and_ctrl_z_are_what_they_always_are(home: Path) -> None:
    with terminal(home, "top", more={"TERM": "xterm"}) as screen:
        screen.see(b"> iris")
        screen.type(b"\x1a")
        # The kernel stops no process whose group nobody could continue, so this one goes on at once.
        screen.see(b"\x1b[?25h\x1b[?1049l\x1b[?1049h")
        screen.type(b"\x03")
        assert screen.end() == 130


def test_scripts_are_given_a_table_or_json_once(home: Path) -> None:
    table = said(home, "top").splitlines()
    assert table[0].startswith("SERVICE")
    assert table[1].split()[:3] == ["iris", "1", "2/2"]
    (told,) = json.loads(said(home, "top", "iris", "--json"))
    assert (told["name"], told["ready"], [one["name"][:6] for one in told["parts"]]) == (
        "iris",
        2,
        ["front", "iris-1", "iris-1"],
    )
    assert "iris-1-" in said(home, "top", "iris", "--once")


def test_a_name_that_no_service_has_is_said_before_anything_is_drawn(home: Path) -> None:
    with terminal(home, "top", "nothing", more={"TERM": "xterm"}) as screen:
        screen.see(b"no service is called nothing")
        assert screen.end() == 4
        assert b"\x1b[?1049h" not in screen.seen


def test_a_supervisor_that_ends_is_told_and_the_next_one_is_asked_again(tmp_path: Path) -> None:
    play = Play()
    target = LocalTarget(tmp_path / "data", play.engine)
    with supervised(tmp_path / "data", play):
        target.apply(service())
        screen = Terminal(tmp_path, "top", "--interval", "0.2", more={"TERM": "xterm"})
        screen.see(b"1/1")
    try:
        screen.see(b"no supervisor runs")
        screen.seen = b""
        with supervised(tmp_path / "data", play):
            target.scale("iris", 2, 2)
            screen.see(b"2/2")
            target.delete("iris")
        screen.type(b"q")
        assert screen.end() == 0
    finally:
        screen.close()
