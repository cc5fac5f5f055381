"""How a step ended, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.pipeline.benches.endings import Why, metadata, size, took_longer, why
from tiffin.pipeline.graph import Command, Port, Resources, Step

STEP = Step(
    name="fit",
    does=Command(argv=("fit",)),
    outputs={"model": Port(type="Model"), "score": Port(type="float")},
    resources=Resources(memory=64 << 20),
)


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (0, "", ""),
        (1, "", ""),
        (128, "", ""),
        (137, "memory", "took more memory than the 64 MiB that it may have"),
        (1, "memory", "took more memory than the 64 MiB that it may have"),
        (137, "", "was killed: nobody says why; perhaps it took more memory than the 64 MiB that it may have"),
        (137, "its keeper was killed, and it with it", "was killed: its keeper was killed, and it with it"),
        (139, "", "crashed: it touched memory that is not its own (SIGSEGV)"),
        (143, "", "was told to end (SIGTERM)"),
        (129, "", "was ended by a signal (SIGHUP)"),
        (255, "", ""),
        (127, "fit: No such file or directory", "fit: No such file or directory"),
    ],
)
def test_an_end_is_told_in_words_where_it_was_not_its_own(code: int, said: str, words: str) -> None:
    assert why(Why(code=code, said=said, step=STEP)) == words


@pytest.mark.parametrize(
    ("amount", "said"), [(12, "12 bytes"), (1 << 20, "1 MiB"), (3 << 29, "1.5 GiB"), (64 << 10, "64 KiB")]
)
def test_bytes_are_said_in_the_units_that_are_written(amount: int, said: str) -> None:
    assert size(amount) == said


def test_seconds_are_said_as_they_were_written() -> None:
    assert [took_longer(60.0), took_longer(0.5)] == ["took longer than 60 s", "took longer than 0.5 s"]


def test_facts_about_outputs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    assert metadata(path) == {}
    path.write_text("")
    assert metadata(path) == {}
    path.write_text('{"model": {"rows": 5}}')
    assert metadata(path) == {"model": {"rows": 5}}


@pytest.mark.parametrize("text", ["[]", "no JSON", '{"model": 5}', " " * (2 << 20)])
def test_facts_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "metadata.json").write_text(text)
    with pytest.raises(Exception, match=r"Expected|malformed|too much"):
        metadata(tmp_path / "metadata.json")
