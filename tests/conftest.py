"""What all tests share: one home for images and caches per run, and programs that may be absent."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TIFFIN_HOME for the whole run, shared by its processes, so that nothing is downloaded or made twice."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    path = shared / "tiffin-home"
    path.mkdir(exist_ok=True)
    return path


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program this machine lacks, naming it, before any fixture starts one."""
    for mark in item.iter_markers("program"):
        for name in mark.args:
            if not shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"):
                pytest.skip(f"needs {name}")
