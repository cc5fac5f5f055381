"""Wheels are looked at once: the lock, or a record beside it, then says which of them bring the same paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tiffin.api.building.overlaps import with_overlaps
from tiffin.oci.platform import Platform
from tiffin.packages.lock import Inputs, Lock
from tiffin.packages.pins import WheelPin
from tiffin.progress import Event, Noted, listening
from tiffin.store.records import Records
from unit.build.test_bytecode import pinned

INPUTS = Inputs(requirements=(), python="3.11", platform=Platform.parse("linux/amd64"), base="debian:bookworm")


class Shop:
    """Fetches wheels from a folder and counts how often it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked = 0
        self.empty = False

    def __call__(self, pins: Sequence[WheelPin]) -> list[Path]:
        self.asked += 1
        return [] if self.empty else [self.folder / pin.filename for pin in pins]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    wheels = [pinned(tmp_path, name, {"cv2/__init__.py": f"x = {name!r}", "cv2/same": ""}) for name in ("one", "two")]
    return Lock.make(INPUTS, wheels)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records")


def test_wheels_are_looked_at_once(lock: Lock, records: Records, shop: Shop) -> None:
    heard: list[Event] = []
    with listening(heard.append):
        found = with_overlaps(lock, records, shop)
        assert with_overlaps(lock, records, shop) == found
    assert shop.asked == 1
    assert [(o.wheels, o.paths, o.first) for o in found.overlaps or ()] == [(("one", "two"), 2, ("cv2/__init__.py",))]
    notes = [event.message for event in heard if isinstance(event, Noted)]
    assert len(notes) == 2
    assert "one and two bring 1 of the same files" in notes[0]


def test_a_lock_that_knows_needs_no_wheel(lock: Lock, records: Records, shop: Shop) -> None:
    known = msgspec.structs.replace(lock, overlaps=())
    assert with_overlaps(known, records, shop) == known
    assert with_overlaps(Lock.make(INPUTS), records, shop).overlaps == ()
    assert shop.asked == 0


def test_wheels_out_of_reach_leave_it_unknown(lock: Lock, records: Records, shop: Shop) -> None:
    shop.empty = True
    assert with_overlaps(lock, records, shop).overlaps is None
    shop.empty = False
    assert with_overlaps(lock, records, shop).overlaps
