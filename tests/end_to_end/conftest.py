"""What end-to-end tests share: a small project whose packages are downloaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from end_to_end.small import Downloads, download


@pytest.fixture(scope="session")
def downloads(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Downloads:
    """The small project's packages, in a cache that is shared by all tests."""
    return download(home, tmp_path_factory.mktemp("small"))
