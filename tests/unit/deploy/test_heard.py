"""What an image's HEALTHCHECK says of the path that it answers."""

from __future__ import annotations

from typing import Any

import pytest

from tiffin.deploy.heard import probe_of
from tiffin.deploy.service import Probe


@pytest.mark.parametrize(
    ("test", "port", "path"),
    [
        (["CMD", "curl", "-f", "http://localhost/"], 80, "/"),
        (["CMD-SHELL", "curl -fsS http://127.0.0.1:8080/healthz?full=1 || exit 1"], 8080, "/healthz?full=1"),
        (["CMD-SHELL", "wget -q -O - http://localhost:3000/api/health | grep ok"], 3000, "/api/health"),
        (["CMD-SHELL", "curl http://localhost:9000/other; curl http://localhost:8000/own"], 8000, "/own"),
        (["CMD", "curl", "http://localhost"], 80, "/"),
        (["CMD", "curl", "https://localhost/"], 443, ""),
        (["CMD", "curl", "http://elsewhere:80/"], 80, ""),
        (["CMD", "curl", "http://localhost:99999/"], 80, ""),
        (["CMD", "pg_isready"], 5432, ""),
        (["NONE"], 80, ""),
        ([], 80, ""),
        ("curl http://localhost/", 80, ""),
    ],
)
def test_a_path_is_read_where_the_check_asks_its_own_port_by_http(test: Any, port: int, path: str) -> None:
    assert probe_of("", "", {"Test": test}, port) == Probe(ready=path)


def test_what_is_said_counts() -> None:
    check = {"Test": ["CMD", "curl", "http://localhost/"]}
    assert probe_of("/ready", "/live", check, 80) == Probe(ready="/ready", live="/live")
    assert probe_of("", "/live", None, 80) == Probe(live="/live")
