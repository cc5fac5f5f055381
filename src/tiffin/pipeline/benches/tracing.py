"""Reading a pipeline out of its file: whatever runs that file answers in JSON, and this says what the answer means."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tiffin.errors import CommandError, ConfigError
from tiffin.pipeline.benches.missing import hint_for
from tiffin.pipeline.graph import Graph, Place

PROGRAM = ("-m", "tiffin_pipeline", "trace")
SECONDS = 300.0
"""How long reading a file may take; it imports what the steps import."""
_LAST = 20
"""Lines that are quoted of what was said, where there is no answer."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What a program answered on its standard output, and how it ended; `reason` says why not by itself."""

    code: int
    text: str
    reason: str = ""


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a file, where, and what to do about it."""

    message: str
    hint: str = ""
    place: Place = Place()


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    graph: Graph | None = None
    error: Mistake | None = None


Ask = Callable[[Sequence[str], Callable[[str], None], float], Answered]
"""Runs Python with these arguments where the steps' packages are; hears lines of stderr; bounds its seconds."""


def trace(ask: Ask, module: str, name: str = "") -> Graph:
    """Have the pipeline that a module makes, the one called `name` where it makes several.

    Raises ConfigError, with file and line, for what cannot be, and CommandError where nothing was answered.
    """
    said: list[str] = []
    answered = ask([*PROGRAM, module, *([name] if name else [])], said.append, SECONDS)
    try:
        answer = msgspec.json.decode(answered.text, type=_Answer)
    except msgspec.MsgspecError as error:
        raise _silence(module, answered, said, error) from error
    if answer.error:
        raise refusal(answer.error)
    if answer.graph is None:
        raise _silence(module, answered, said, None)
    return answer.graph


def refusal(mistake: Mistake) -> ConfigError:
    """Say what is wrong, and for a package that is not there how to have it."""
    place = f"{mistake.place}: " if str(mistake.place) else ""
    return ConfigError(f"{place}{mistake.message}", hint_for(mistake.message) or mistake.hint or None)


def _silence(module: str, answered: Answered, said: Sequence[str], error: Exception | None) -> CommandError:
    """Nothing was answered: the program died, or was ended."""
    lines = "".join(f"\n    {line}" for line in said[-_LAST:])
    how = answered.reason or (f"ended with {answered.code}" if answered.code else f"answered nonsense: {error}")
    return CommandError(
        f"reading the pipeline out of {module!r} {how}{lines}", "`python -c 'import MODULE'` may tell more"
    )
