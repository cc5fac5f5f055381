"""What the answer of whatever runs pipeline.py means."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from tiffin.errors import CommandError, ConfigError
from tiffin.pipeline.benches.tracing import Answered, trace


class Asked:
    """Answers always the same, and remembers what it was asked."""

    def __init__(self, text: str, said: str = "", **how: object) -> None:
        self.text, self.said, self.how, self.argv = text, said, {"code": 0, **how}, tuple[str, ...]()

    def __call__(self, argv: Sequence[str], said: Callable[[str], None], seconds: float) -> Answered:
        assert seconds > 0
        self.argv = tuple(argv)
        if self.said:
            said(self.said)
        return Answered(text=self.text, **self.how)  # type: ignore[arg-type] # what a test says


def test_a_graph_is_read() -> None:
    asked = Asked(json.dumps({"graph": {"name": "retrain", "format": "1"}}))
    assert trace(asked, "pipeline", "retrain").name == "retrain"
    assert asked.argv == ("-m", "tiffin_pipeline", "trace", "pipeline", "retrain")


def test_a_mistake_has_its_place_and_what_to_do() -> None:
    wrong = {"message": "no step", "hint": "write one", "place": {"file": "pipeline.py", "line": 7}}
    with pytest.raises(ConfigError) as caught:
        trace(Asked(json.dumps({"error": wrong})), "pipeline")
    assert (caught.value.message, caught.value.hint) == ("pipeline.py:7: no step", "write one")


def test_a_package_that_is_not_there_is_to_be_added() -> None:
    wrong = {"message": "ModuleNotFoundError: No module named 'pandas.io'", "place": {"file": "pipeline.py", "line": 1}}
    with pytest.raises(ConfigError) as caught:
        trace(Asked(json.dumps({"error": wrong})), "pipeline")
    assert "add what brings `pandas` to `[python] dependencies`" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked("", "Segmentation fault", code=139), "ended with 139\n    Segmentation fault"),
        (Asked("", code=137, reason="took longer than 300 s"), "took longer than 300 s"),
        (Asked("no JSON"), "answered nonsense"),
        (Asked("{}"), "answered nonsense"),
    ],
)
def test_a_program_that_answers_nothing_is_quoted(asked: Asked, words: str) -> None:
    with pytest.raises(CommandError, match="reading the pipeline out of 'pipeline'") as caught:
        trace(asked, "pipeline")
    assert words in caught.value.message
