from __future__ import annotations

import pytest

from unit.layers.shelf import Shelf


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()
