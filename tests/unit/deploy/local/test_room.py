"""What no machine of its size can run is refused, with what it asks for and what there is."""

from __future__ import annotations

import pytest

from tiffin.deploy.local.room import Room, refuse_too_big
from tiffin.deploy.service import Resources
from tiffin.errors import ConfigError

ROOM = Room(cpus=2, memory=4 << 30)


@pytest.mark.parametrize("resources", [Resources(), Resources(cpus=2.0, memory=4 << 30), Resources(cpus=0, memory=0)])
def test_what_fits_is_taken(resources: Resources) -> None:
    refuse_too_big(resources, ROOM)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (Resources(cpus=2.5), "asks for 2.5 processors, and this machine has 2"),
        (Resources(memory=5 << 30), "asks for 5,120 MiB of memory, and this machine has 4,096"),
    ],
)
def test_what_can_never_fit_is_refused(resources: Resources, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as told:
        refuse_too_big(resources, ROOM)
    assert "lower" in (told.value.hint or "")


def test_this_machine_has_something() -> None:
    assert Room.here().cpus >= 1
    assert Room.here().memory > 0
