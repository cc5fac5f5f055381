"""What is downloaded once for everything that is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from end_to_end.small import Downloads, download


@pytest.fixture(scope="session")
def downloads(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Downloads:
    """The small project's downloads, in the home that all tests share."""
    return download(home, tmp_path_factory.mktemp("downloads") / "small")
