"""Addresses are read by way of the machine's proxies, and credentials reach the host they are for and no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tiffin.errors import DeniedError, NotFoundError, TiffinError, UnavailableError
from tiffin.network import BusyError, Hints, Patience, choose_proxy, shown
from tiffin.packages.web import Web
from wheelhouse import Fault, Index, served, wheel

pytestmark = pytest.mark.usefixtures("_no_proxies")

DEMO = wheel("demo")
HINTS = Hints(absent="absent", denied="denied", busy="busy", refused="refused", changed="changed")


@pytest.fixture
def index() -> Iterator[Index]:
    with served(DEMO) as running:
        yield running


def address(index: Index, host: str = "127.0.0.1") -> str:
    return index.url.replace("127.0.0.1", host).replace("/simple", f"/files/{DEMO.name}")


def a_web(credentials: Sequence[str] = ()) -> Web:
    return Web(HINTS, credentials)


def read(web: Web, url: str) -> bytes:
    return b"".join(web.read(url))


def test_a_proxy_of_the_environment_is_asked_for_the_whole_address(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", index.url.removesuffix("/simple"))
    assert read(a_web(), f"http://nowhere.test/files/{DEMO.name}") == DEMO.data
    assert index.asked == [f"GET http://nowhere.test/files/{DEMO.name}"]


def test_no_proxy_is_obeyed(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(BusyError):
        read(a_web(), address(index))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert read(a_web(), address(index)) == DEMO.data


def test_credentials_reach_their_own_host_and_port_only(index: Index) -> None:
    web = a_web([index.url.replace("://", "://me:s%40crt@"), "https://other.test/"])
    read(web, address(index))
    read(web, address(index, "localhost"))
    assert index.logins == ["me:s@crt", ""]


def test_an_address_with_its_own_credentials_needs_no_others(index: Index) -> None:
    read(a_web([index.url.replace("://", "://other:login@")]), address(index).replace("://", "://me:s%40crt@"))
    assert index.logins == ["me:s@crt"]


def test_credentials_do_not_follow_a_redirect_to_another_host(index: Index) -> None:
    index.faults[DEMO.name] = [Fault(status=302, location=address(index, "localhost"))]
    read(a_web([index.url.replace("://", "://me:secret@")]), address(index))
    assert index.logins == ["me:secret", ""]


def test_netrc_is_read_for_hosts_without_credentials(index: Index, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    read(a_web(), address(index))
    assert index.logins == ["someone:secret"]


def test_a_server_that_cannot_be_reached_is_asked_as_often_as_patience_has_it() -> None:
    pauses = list[float]()
    patience = Patience(unreachable=2, pause=pauses.append)
    with pytest.raises(BusyError, match=r"127\.0\.0\.1:1/x could not be read") as caught:
        patience.tried(lambda: read(a_web(), "http://127.0.0.1:1/x"))
    assert caught.value.hint == HINTS.busy
    assert pauses == [0.5]


def test_sizes_are_told_without_the_bytes_or_not_at_all(index: Index, tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(b"12345")
    web = a_web()
    assert web.size(address(index)) == len(DEMO.data)
    assert web.size((tmp_path / "a file").as_uri()) == 5
    assert web.size(address(index) + ".missing") is None
    assert web.size("http://127.0.0.1:1/x") is None
    assert not any(line.startswith("GET") for line in index.asked)


def test_a_file_address_is_read_from_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(b"12345")
    assert read(a_web(), (tmp_path / "a file").as_uri()) == b"12345"
    with pytest.raises(NotFoundError, match="No such file"):
        read(a_web(), (tmp_path / "none").as_uri())


@pytest.mark.parametrize(
    ("status", "error", "hint"),
    [
        (404, NotFoundError, HINTS.absent),
        (410, NotFoundError, HINTS.absent),
        (403, DeniedError, HINTS.denied),
        (418, UnavailableError, HINTS.refused),
        (503, UnavailableError, HINTS.busy),
    ],
)
def test_a_status_is_an_error_that_says_what_to_do(
    status: int, error: type[TiffinError], hint: str, index: Index
) -> None:
    index.faults[DEMO.name] = [Fault(status=status)]
    with pytest.raises(error, match=f"{DEMO.name}: {status}") as caught:
        read(a_web(), address(index))
    assert caught.value.hint == hint
    assert caught.value.temporary == (status in {418, 503})


def test_what_is_shown_of_an_address_is_no_secret() -> None:
    assert shown("https://me:secret@x.test:8443/a/b.whl?token=secret#sha256=1") == "https://x.test:8443/a/b.whl"
    assert shown("http://a:b@one.example:80/x") == "http://one.example:80/x"
    assert shown("http://one.example/x") == "http://one.example/x"


@pytest.mark.parametrize(
    ("told", "environment", "proxy"),
    [
        ({}, {}, ""),
        ({}, {"http_proxy": "http://p:1"}, "http://p:1"),
        ({}, {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ({}, {"all_proxy": "http://p:1"}, "http://p:1"),
        ({}, {"https_proxy": "http://p:1"}, ""),
        ({}, {"http_proxy": "http://p:1", "no_proxy": "one.example"}, ""),
        ({"http": "http://apt:2"}, {"http_proxy": "http://p:1"}, "http://apt:2"),
        ({"http": ""}, {"http_proxy": "http://p:1"}, ""),
    ],
)
def test_the_proxy_is_the_one_told_or_the_environments(
    told: dict[str, str], environment: dict[str, str], proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert choose_proxy("http://one.example/debian", told) == proxy


@pytest.mark.parametrize(
    ("host", "proxy"),
    [("10.96.0.1", ""), ("[fd00::1]", ""), ("192.168.0.1", "http://p:1"), ("one.example", "http://p:1")],
)
def test_a_network_may_be_left_out_of_the_proxy(host: str, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://p:1")
    monkeypatch.setenv("no_proxy", "localhost, 10.0.0.0/8,fd00::/8,nonsense/x")
    assert choose_proxy(f"http://{host}:6443/version", {}) == proxy
