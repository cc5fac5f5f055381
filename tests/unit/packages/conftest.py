"""What tests of reading addresses share: an environment without this machine's own proxies and logins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def _no_proxies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
