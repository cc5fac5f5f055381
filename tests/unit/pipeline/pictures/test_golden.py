"""Pictures are as they were."""

from __future__ import annotations

import pytest

from unit.pipeline.pictures.golden_files import GOLDEN, golden


@pytest.mark.parametrize("name", golden())
def test_a_picture_is_as_it_was(name: str) -> None:
    assert golden()[name] == (GOLDEN / name).read_text()
