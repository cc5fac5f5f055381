"""Every malicious wheel of the corpus is refused with its reason, and its valid twin is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.wheels import DATA, TWINS, Twins, wheel
from tiffin.errors import IntegrityError
from tiffin.layers.wheel import WheelSource
from tiffin.layers.wheel_layers import wheel_layer
from unit.layers.shelf import Shelf
from unit.layers.zips import INFO, Zipped


@pytest.mark.parametrize("case", TWINS, ids=lambda case: case.name)
def test_a_malicious_wheel_is_refused_with_its_reason_and_its_twin_is_not(
    case: Twins, shelf: Shelf, tmp_path: Path
) -> None:
    bad, good = tmp_path / "demo-1.0-py3-none-any.whl", tmp_path / "twin.whl"
    bad.write_bytes(case.bad)
    good.write_bytes(case.good)
    with pytest.raises(IntegrityError) as caught:
        wheel_layer([WheelSource(path=bad, name="demo", version="1.0")], shelf)
    assert case.why in caught.value.message
    assert caught.value.message.startswith(f"{bad.name}: ")
    assert caught.value.hint
    assert not shelf.blobs
    wheel_layer([WheelSource(path=good, name="demo", version="1.0")], shelf)


def test_a_wheel_that_unpacks_to_far_more_than_it_is_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    """Five members that claim, within what DEFLATE allows, to be a gibibyte each."""
    stream = bytes(1 << 20)
    huge = {"size": 1 << 30, "packed": len(stream)}
    members = [Zipped(f"demo/{n}", DATA, stream=stream, central=huge, local=dict(huge)) for n in range(5)]
    path = tmp_path / "demo.whl"
    path.write_bytes(wheel(*members))
    with pytest.raises(IntegrityError, match="far more than"):
        wheel_layer([WheelSource(path=path, name="demo", version="1.0")], shelf)


def test_no_case_is_there_twice() -> None:
    assert len({case.name for case in TWINS}) == len(TWINS) >= 80
    assert INFO in TWINS[0].good.decode("latin-1")
