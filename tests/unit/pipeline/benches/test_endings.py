"""How a step ended, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.pipeline.benches.endings import Why, left_behind, metadata, size, took_longer, why
from tiffin.pipeline.graph import Command, Port, Resources, Step
from tiffin.pipeline.workbench import FILES, VALUES, Order

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


@pytest.fixture
def order(tmp_path: Path) -> Order:
    for name in (FILES, VALUES):
        (tmp_path / name).mkdir()
    return Order(run="r", task="fit", attempt=1, step=STEP, values={}, inputs={}, folder=tmp_path)


def test_what_belongs_there_is_right(order: Order) -> None:
    (order.folder / FILES / "model").mkdir()
    (order.folder / VALUES / "score").write_text("1")
    assert left_behind(order) == ""


def test_what_is_no_output_is_named(order: Order) -> None:
    (order.folder / FILES / "modle").touch()
    assert left_behind(order) == "wrote 'modle', which is no output of it; its outputs are: model"


def test_a_value_in_the_place_of_a_file_is_named(order: Order) -> None:
    (order.folder / VALUES / "model").touch()
    assert left_behind(order) == "wrote 'model', which is no output of it; its values are: score"


def test_links_and_folders_of_values_are_no_outputs(order: Order) -> None:
    (order.folder / FILES / "model").symlink_to("/etc/shadow")
    assert left_behind(order) == "its output 'model' is a link, to /etc/shadow; write the file itself"
    (order.folder / FILES / "model").unlink()
    (order.folder / VALUES / "score").mkdir()
    assert left_behind(order) == "its output 'score' is a folder, where a value's text goes"


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
