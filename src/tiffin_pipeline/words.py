"""Words of a command line: texts, and what stands for a value or a path until the step runs."""

from __future__ import annotations

from typing import Any, Dict, Tuple, Union


class Word:
    """A part of a command line that is known when it runs; `"--data=" + path("data")` puts two together."""

    def __init__(self, document: Dict[str, Any]) -> None:
        """Keep what the tool reads."""
        self.document = document

    def __add__(self, other: "Union[str, Word]") -> "Word":
        return joined(self, other)

    def __radd__(self, other: str) -> "Word":
        return joined(other, self)


def value(name: str) -> Word:
    """The value of an input, as text."""
    return Word({"word": "value", "input": name})


def path(name: str) -> Word:
    """Where an input's file or folder lies."""
    return Word({"word": "input-path", "input": name})


def out(name: str) -> Word:
    """Where an output is to be written: a file or folder, or the file of a value."""
    return Word({"word": "output-path", "output": name})


def joined(*words: Union[str, Word]) -> Word:
    """One word of several."""
    pieces = [piece for word in words for piece in _pieces(word)]
    return Word({"word": "joined", "words": pieces})


def _pieces(word: Union[str, Word]) -> Tuple[Any, ...]:
    if isinstance(word, str):
        return (word,)
    return tuple(word.document["words"]) if word.document["word"] == "joined" else (word.document,)
