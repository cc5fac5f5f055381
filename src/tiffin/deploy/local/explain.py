"""The journal as people read it: what was decided, and why, with the numbers that made it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tiffin.deploy.local.state import Event
from tiffin.deploy.target import Decision

_SPOKEN = {"apply", "scale", "pause", "resume", "delete"}
"""What somebody asked for."""


def explained(events: Iterable[Event]) -> Sequence[Decision]:
    """Say of each event what it was and why, oldest first."""
    return [
        Decision(time=_time(event.time), what=_what(event), why=_why(event), numbers=event.numbers) for event in events
    ]


def _what(event: Event) -> str:
    return event.message.partition(": ")[0] if event.kind == "scaled" else event.message


def _why(event: Event) -> str:
    if event.kind in _SPOKEN:
        return "somebody asked for it"
    if event.kind == "scaled":
        return f"{event.message.partition(': ')[2]} ({_scaled(event.numbers)})"
    words = {key: value for key, value in event.numbers.items() if key not in {"log", "soon", "replica"}}
    return ", ".join(f"{key} {_number(value)}" for key, value in words.items())


def _scaled(numbers: Mapping[str, Any]) -> str:
    """The numbers of a scaling decision in a sentence."""
    said = [
        f"{numbers['stable']:g} requests at once in a minute and {numbers['panic']:g} in six seconds",
        f"{numbers['waiting']} waiting",
        f"{numbers['ready']} ready",
        f"a start takes {numbers['start_seconds']:.2g} s",
    ]
    return "; ".join([*said, "panic"] if numbers.get("panics") else said)


def _number(value: Any) -> str:
    if isinstance(value, Mapping):
        return " and ".join(f"{key}: {_number(one)}" for key, one in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
