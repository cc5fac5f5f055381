from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.errors import IntegrityError, NotFoundError, UnavailableError
from tiffin.network import Patience
from tiffin.oci.digest import Digest
from tiffin.packages.debian.archive import HINTS, Archive
from tiffin.packages.debian.sources import Mirrors
from unit.packages.debian.makers import serving

pytestmark = pytest.mark.usefixtures("_no_proxies")

CONTENT = b"content of a package" * 1000
EXPECTED = (Digest.of(CONTENT), len(CONTENT))
NOWHERE = "http://127.0.0.1:9"
"""Nobody listens on the discard port."""


def archive(pauses: list[float] | None = None) -> Archive:
    patience = Patience(unreachable=2, pause=[].append if pauses is None else pauses.append)
    return Archive(Mirrors(main=(), security=()), patience)


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
    with serving(tmp_path) as mirror, pytest.raises(NotFoundError, match=r"x\.deb: 404") as caught:
        archive().read([mirror.url], "x.deb", 10)
    assert caught.value.hint == HINTS.absent


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
