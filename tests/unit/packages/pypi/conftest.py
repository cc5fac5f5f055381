"""What tests of package indexes share: an image's Python, and an environment without this machine's own settings."""

from __future__ import annotations

import os

import pytest

from tiffin.oci.platform import Platform
from tiffin.packages.pypi.image_python import ImagePython


@pytest.fixture
def python() -> ImagePython:
    return ImagePython(version="3.11", platform=Platform.parse("linux/amd64"), glibc=(2, 36))


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the caller's settings of uv, pip and proxies, and let uv give up on an index at the first failure."""
    for name in os.environ:
        if name.startswith(("UV_", "PIP_", "SSL_CERT")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
