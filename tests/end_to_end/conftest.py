"""What end-to-end tests share: a small project whose packages are downloaded once."""

from __future__ import annotations

import pytest

from end_to_end.small import Downloads, download


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Downloads:
    """The small project's packages, in a home that no other test sees: scripts print what is in theirs."""
    return download(tmp_path_factory.mktemp("downloads"), tmp_path_factory.mktemp("small"))
