"""How marks are said: one line of words for a task, whatever draws it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tiffin.pipeline.pictures.frames import Mark, State

_WORST: tuple[State, ...] = ("failed", "stopped", "running", "waiting", "done", "kept", "skipped")
_MINUTE, _HOUR, _SLOW = 60, 3600, 10


def state_of(marks: Sequence[Mark]) -> State | None:
    """The state of a task: of one that has several, the one that matters most."""
    states = {mark.state for mark in marks}
    return next((state for state in _WORST if state in states), None)


def told(marks: Sequence[Mark]) -> str:
    """What became of a task, such as `done 1.2 s`; of the rounds of a loop `2 done, 1 kept 3.4 s`."""
    if not marks:
        return ""
    counted = Counter(mark.state for mark in marks)
    words = ", ".join(f"{count} {state}" if len(marks) > 1 else state for state, count in counted.items())
    taken = [mark.seconds for mark in marks if mark.seconds is not None and mark.state in {"done", "failed", "stopped"}]
    return f"{words} {took(sum(taken))}" if taken else words


def took(seconds: float) -> str:
    """A time as people say it: `0.04 s`, `3.2 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < _SLOW else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
