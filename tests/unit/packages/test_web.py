"""Addresses are read by way of the machine's proxies, and credentials reach the host they are for and no other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiffin.errors import NotFoundError, UnavailableError
from tiffin.packages.web import BusyError, Web, shown
from wheelhouse import Fault, Index, served, wheel

DEMO = wheel("demo")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def index() -> Iterator[Index]:
    with served(DEMO) as running:
        yield running


def address(index: Index, host: str = "127.0.0.1") -> str:
    return index.url.replace("127.0.0.1", host).replace("/simple", f"/files/{DEMO.name}")


def read(web: Web, url: str) -> bytes:
    return b"".join(web.read(url))


def test_a_proxy_of_the_environment_is_asked_for_the_whole_address(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", index.url.removesuffix("/simple"))
    assert read(Web(), f"http://nowhere.test/files/{DEMO.name}") == DEMO.data
    assert index.asked == [f"GET http://nowhere.test/files/{DEMO.name}"]


def test_no_proxy_is_obeyed(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(BusyError):
        read(Web(), address(index))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert read(Web(), address(index)) == DEMO.data


def test_credentials_reach_their_own_host_and_port_only(index: Index) -> None:
    web = Web([index.url.replace("://", "://me:s%40crt@"), "https://other.test/"])
    read(web, address(index))
    read(web, address(index, "localhost"))
    assert index.logins == ["me:s@crt", ""]


def test_credentials_do_not_follow_a_redirect_to_another_host(index: Index) -> None:
    index.faults[DEMO.name] = [Fault(status=302, location=address(index, "localhost"))]
    read(Web([index.url.replace("://", "://me:secret@")]), address(index))
    assert index.logins == ["me:secret", ""]


def test_netrc_is_read_for_hosts_without_credentials(index: Index, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    read(Web(), address(index))
    assert index.logins == ["someone:secret"]


def test_sizes_are_told_without_the_bytes_or_not_at_all(index: Index, tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(b"12345")
    web = Web()
    assert web.size(address(index)) == len(DEMO.data)
    assert web.size((tmp_path / "a file").as_uri()) == 5
    assert web.size(address(index) + ".missing") is None
    assert web.size("http://127.0.0.1:1/x") is None
    assert not any(line.startswith("GET") for line in index.asked)


def test_a_file_address_is_read_from_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(b"12345")
    assert read(Web(), (tmp_path / "a file").as_uri()) == b"12345"
    with pytest.raises(NotFoundError, match="No such file"):
        read(Web(), (tmp_path / "none").as_uri())


@pytest.mark.parametrize(("status", "temporary"), [(404, False), (410, False), (418, True), (503, True)])
def test_a_status_is_an_error_that_says_whether_to_try_again(status: int, temporary: bool, index: Index) -> None:  # noqa: FBT001 - a table
    index.faults[DEMO.name] = [Fault(status=status)]
    with pytest.raises((NotFoundError, UnavailableError), match=f"{DEMO.name}: {status}") as caught:
        read(Web(), address(index))
    assert caught.value.temporary == temporary


def test_what_is_shown_of_an_address_is_no_secret() -> None:
    assert shown("https://me:secret@x.test:8443/a/b.whl?token=secret#sha256=1") == "https://x.test:8443/a/b.whl"
