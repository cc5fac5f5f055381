from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.errors import DeniedError, IntegrityError, NotFoundError, UnavailableError
from tiffin.oci.digest import Digest
from tiffin.packages.debian.archive import Archive, _refusal, choose_proxy, public
from tiffin.packages.debian.sources import Mirrors
from unit.packages.debian.makers import serving

CONTENT = b"content of a package" * 1000
EXPECTED = (Digest.of(CONTENT), len(CONTENT))
NOWHERE = "http://127.0.0.1:9"
"""Nobody listens on the discard port."""


def archive() -> Archive:
    return Archive(Mirrors(main=(), security=()), {})


def test_a_file_is_downloaded_whole(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(CONTENT)
    with serving(tmp_path) as mirror:
        archive().download([mirror.url], "x.deb", tmp_path / "got" / "x.deb", EXPECTED)
    assert (tmp_path / "got" / "x.deb").read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b"", CONTENT.replace(b"package", b"evil 12", 1)])
def test_other_content_is_refused_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.deb").write_bytes(content)
    with serving(tmp_path) as mirror, pytest.raises(IntegrityError, match=rf"{mirror.url}/x.deb should have"):
        archive().download([mirror.url], "x.deb", tmp_path / "got" / "x.deb", EXPECTED)
    assert not list((tmp_path / "got").iterdir())


def test_a_broken_transfer_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(CONTENT)
    with serving(tmp_path) as mirror:
        mirror.failures["/x.deb"] = 2
        archive().download([mirror.url], "x.deb", tmp_path / "got", EXPECTED)
        assert mirror.asked == ["/x.deb"] * 3
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_a_transfer_that_keeps_breaking_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(CONTENT)
    with serving(tmp_path) as mirror:
        mirror.failures["/x.deb"] = 9
        with pytest.raises(UnavailableError, match="could not be read"):
            archive().download([mirror.url], "x.deb", tmp_path / "got", EXPECTED)
    assert not (tmp_path / "got").exists()


def test_the_next_mirror_gives_what_one_lacks_or_has_wrong(tmp_path: Path) -> None:
    for name in ("empty", "wrong", "good"):
        (tmp_path / name).mkdir()
    (tmp_path / "wrong" / "x.deb").write_bytes(b"wrong")
    (tmp_path / "good" / "x.deb").write_bytes(CONTENT)
    with serving(tmp_path) as mirror:
        mirrors = [f"{mirror.url}/{name}" for name in ("empty", "wrong", "good")]
        archive().download(mirrors, "x.deb", tmp_path / "got", EXPECTED)
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with serving(tmp_path) as mirror, pytest.raises(NotFoundError, match=r"x\.deb is not there"):
        archive().read([mirror.url], "x.deb", 10)


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "InRelease").write_bytes(b"x" * 11)
    with serving(tmp_path) as mirror:
        assert archive().read([mirror.url], "InRelease", 11) == b"x" * 11
        with pytest.raises(IntegrityError, match="more than 10 bytes"):
            archive().read([mirror.url], "InRelease", 10)


def test_a_mirror_that_does_not_answer_is_unavailable_and_its_password_stays_secret() -> None:
    secret = NOWHERE.replace("//", "//oscar:secret@")
    with pytest.raises(UnavailableError) as caught:
        archive().read([secret], "InRelease", 10)
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:9" in str(caught.value)


def test_an_address_is_shown_without_user_and_password() -> None:
    assert public("http://a:b@one.example:80/x") == "http://one.example:80/x"
    assert public("http://one.example/x") == "http://one.example/x"


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFoundError), (410, NotFoundError), (403, DeniedError), (418, UnavailableError)]
)
def test_a_refusal_is_named_for_what_can_be_done(status: int, error: type[Exception]) -> None:
    assert isinstance(_refusal(status, "http://a.example"), error)


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
def test_the_proxy_is_apts_or_the_environments(told: dict[str, str], environment: dict[str, str], proxy: str) -> None:
    assert choose_proxy("http://one.example/debian", told, environment) == proxy
