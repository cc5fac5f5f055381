"""Tests of heavy frameworks run only when asked for: `pytest -m models`."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "models: needs a heavy framework; run by `pytest -m models`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the heavy ones out unless a choice of marks was made."""
    if config.option.markexpr:
        return
    heavy = [item for item in items if item.get_closest_marker("models")]
    config.hook.pytest_deselected(items=heavy)
    items[:] = [item for item in items if item not in heavy]
