"""The pages' files: to whom they are given, how they are kept, and what they may do."""

from __future__ import annotations

import http.client
import subprocess
import sys
from pathlib import Path

import pytest

from tiffin.build.server import server_files
from tiffin_serve.front.rest.pages.serving import FILES
from unit.tiffin_serve.fronts import DEADLINE, SRC, Server

PATHS = ["/try", "/docs", "/pages/page.css", "/pages/page.js", "/pages/icon.svg"]
FOLDER = SRC / "tiffin_serve" / "front" / "rest" / "pages"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def get(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, body


def test_the_root_is_a_page_for_browsers_and_json_for_others(iris: Server) -> None:
    status, headers, body = get(iris, "/", accept=BROWSER)
    assert (status, headers["vary"]) == (200, "accept")
    assert body == (FOLDER / "page.html").read_bytes()
    for accept in ("*/*", "application/json", "", "application/json, text/html"):
        status, headers, body = get(iris, "/", accept=accept)
        assert (status, headers["content-type"], headers["vary"]) == (200, "application/json", "accept")
        assert b'"alive"' in body


@pytest.mark.parametrize("path", PATHS)
def test_files_come_with_what_they_may_do(iris: Server, path: str) -> None:
    status, headers, body = get(iris, path)
    assert status == 200
    assert body
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in headers["content-security-policy"]
    assert get(iris, path, "HEAD")[2] == b""
    assert iris.ask("POST", path, b"")[0] == 405


@pytest.mark.parametrize("path", [*PATHS, "/openapi.json"])
def test_what_a_browser_has_is_not_sent_again(iris: Server, path: str) -> None:
    _, headers, body = get(iris, path)
    tag = headers["etag"]
    assert headers["cache-control"] == "no-cache"
    for held in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        status, again, nothing = get(iris, path, if_none_match=held)
        assert (status, again["etag"], nothing) == (304, tag, b"")
    assert get(iris, path, if_none_match='"other"')[2] == body


def test_nothing_else_in_the_folder_is_given(iris: Server) -> None:
    for path in ("/pages/serving.py", "/pages/page.html", "/pages/../serving.py", "/pages/", "/pages/%2e%2e/routes.py"):
        assert get(iris, path)[0] == 404


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    page, script, style = [(FOLDER / name).read_text() for name in ("page.html", "page.js", "page.css")]
    for forbidden in ("<style", "style=", "onclick=", "onload=", "javascript:", "http://", "https://"):
        assert forbidden not in page
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
        assert forbidden not in script
    assert "url(" not in style
    assert "@import" not in style


def test_the_pages_are_small() -> None:
    assert sum((FOLDER / name).stat().st_size for name in FILES) < 40_000


def test_the_pages_are_in_the_image() -> None:
    files = server_files()
    for name in FILES:
        assert files[f"opt/tiffin/front/tiffin_serve/front/rest/pages/{name}"] == FOLDER / name
    assert not [path for path in files if Path(path).suffix == ".pyc"]


def test_a_server_that_nobody_looks_at_does_not_read_them(iris: Server) -> None:
    code = "import sys, tiffin_serve.front.rest.routes as _; print(*[m for m in sys.modules if m.endswith('openapi')])"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}, capture_output=True, check=True)
    assert done.stdout == b"\n"
    assert iris.process.poll() is None
