"""Which part of a log is shown: docker's `--since` and `--tail`."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from contract.engine_fixtures import DEADLINE, IMAGE
from programs.waiting import until
from tiffin.api.containers.logs import Part, lines, parse_time
from tiffin.engine.memory import MemoryContainer, MemoryEngine, Process
from tiffin.engine.spec import ContainerSpec
from tiffin.errors import ConfigError

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()


def counting(process: Process) -> int:
    for number in range(3):
        process.out(str(number))
    with contextlib.suppress(queue.Empty):  # most tests leave it alone
        process.signals.get(timeout=DEADLINE)
        process.out("late")
    return 0


@pytest.fixture
def container() -> Iterator[MemoryContainer]:
    engine = MemoryEngine({"count": counting})
    made = engine.create(ContainerSpec(name="a", image="i", digest=IMAGE, layers=(), argv=("count",)))
    made.start()
    until(lambda: len(list(made.logs())) == 3)
    yield made
    made.remove(force=True)


def shown(container: MemoryContainer, part: Part) -> list[str]:
    return [line.text for line in lines(container, part)]


@pytest.mark.parametrize(("tail", "texts"), [(0, []), (1, ["2"]), (3, ["0", "1", "2"]), (9, ["0", "1", "2"])])
def test_the_last_lines_are_shown(container: MemoryContainer, tail: int, texts: list[str]) -> None:
    assert shown(container, Part(tail=tail)) == texts


def test_lines_since_a_time_are_shown(container: MemoryContainer) -> None:
    times = [datetime.fromisoformat(line.time) for line in container.logs()]
    assert shown(container, Part(since=times[0])) == ["0", "1", "2"]
    assert shown(container, Part(since=times[0], tail=1)) == ["2"]
    assert shown(container, Part(since=datetime(2999, 1, 1, tzinfo=UTC))) == []


def test_following_begins_with_the_last_lines_and_goes_on(container: MemoryContainer) -> None:
    wanted = lines(container, Part(tail=1), follow=True)
    container.kill("SIGUSR1")
    assert [line.text for line in wanted] == ["2", "late"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", NOW - 90),
        ("1h30m", NOW - 5400),
        ("1.5h", NOW - 5400),
        ("500ms", NOW - 0.5),
        ("1700000000", 1700000000),
        ("1700000000.25", 1700000000.25),
        ("2026-01-31T12:00:00Z", NOW),
        ("2026-01-31T13:00:00.000000000+01:00", NOW),
    ],
)
def test_a_time_is_read_as_docker_reads_it(text: str, seconds: float) -> None:
    assert parse_time(text, NOW).timestamp() == seconds


def test_a_time_without_a_zone_is_this_machines() -> None:
    assert parse_time("2026-01-31T12:00", NOW) == datetime(2026, 1, 31, 12).astimezone()


@pytest.mark.parametrize("text", ["yesterday", "-5m", "5x", "2026-13-01"])
def test_what_is_no_time_or_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a time"):
        parse_time(text, NOW)
    with pytest.raises(ConfigError, match="not a number of lines"):
        Part.of(since="", tail=text)
