"""Files into a container of the embedded engine and out of it: docker's meaning of paths, and nothing beside them."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.engine_fixtures import EmbeddedBench, make_tree, sh, waiting
from tiffin.engine.embedded.container import EmbeddedContainer
from tiffin.engine.spec import CanCopy
from tiffin.errors import ConfigError, ConflictError, DeniedError, NotFoundError, UnsupportedError


@pytest.fixture
def container(tmp_path: Path) -> Iterator[EmbeddedContainer]:
    with waiting(EmbeddedBench(tmp_path / "data"), "a") as made:
        assert isinstance(made, EmbeddedContainer)
        assert isinstance(made, CanCopy)
        yield made


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "here")


def said(container: EmbeddedContainer, script: str) -> str:
    code, out, err = sh(container, script)
    assert code == 0, err
    return out


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("file", "/tmp", "/tmp/file"),
        ("file", "/tmp/", "/tmp/file"),
        ("file", "/tmp/new", "/tmp/new"),
        ("file", "tmp/new", "/tmp/new"),
        ("tree", "/tmp", "/tmp/tree/deep/file"),
        ("tree/", "/tmp", "/tmp/tree/deep/file"),
        ("tree", "/tmp/new", "/tmp/new/deep/file"),
        ("tree", "/tmp/new/", "/tmp/new/deep/file"),
        ("tree/.", "/tmp", "/tmp/deep/file"),
        ("tree/.", "/tmp/new", "/tmp/new/deep/file"),
    ],
)
def test_a_path_means_what_it_means_to_docker(
    container: EmbeddedContainer, here: Path, source: str, target: str, found: str
) -> None:
    container.copy_in(f"{here}/{source}", target)
    assert said(container, f"cat {found}") in {"words", "deep"}
    assert said(container, f"stat -c %u {found}") == "65532\n"
    said(container, "busybox mkdir /tmp/out")
    container.copy_out(found, str(here / "back"))
    assert (here / "back").read_text() in {"words", "deep"}


def test_a_folder_comes_back_as_it_went(container: EmbeddedContainer, here: Path) -> None:
    container.copy_in(str(here / "tree"), "/tmp")
    container.copy_in(str(here / "tree"), "/tmp")  # over what is there
    assert said(container, "/tmp/tree/program") == "ran\n"
    container.copy_out("/tmp/tree", str(here / "back"))
    back = here / "back"
    assert sorted(str(path.relative_to(back)) for path in back.rglob("*")) == ["deep", "deep/file", "link", "program"]
    assert (back / "link").readlink() == Path("deep/file")
    assert stat.S_IMODE((back / "program").stat().st_mode) == 0o750
    container.copy_out("/tmp/tree", str(back))
    assert (back / "tree" / "deep" / "file").read_text() == "deep"
    container.copy_out("/tmp/tree/.", str(here))
    assert (here / "deep" / "file").read_text() == "deep"


def test_the_image_can_be_read_and_not_written(container: EmbeddedContainer, here: Path) -> None:
    container.copy_out("/app/readme", str(here))
    assert (here / "readme").read_text() == "made\n"
    with pytest.raises(DeniedError, match="a:/app: Read-only file system") as refusal:
        container.copy_in(str(here / "tree"), "/app")
    assert "/tmp" in str(refusal.value.hint)


def test_what_is_not_there_is_named(container: EmbeddedContainer, here: Path) -> None:
    with pytest.raises(NotFoundError, match=r"^a:/nosuch: No such file"):
        container.copy_out("/nosuch", str(here))
    with pytest.raises(NotFoundError, match=f"^{here}/nosuch: No such file"):
        container.copy_in(f"{here}/nosuch", "/tmp")
    with pytest.raises(NotFoundError, match=r"^a:/tmp/no/such/place: No such file"):
        container.copy_in(f"{here}/tree", "/tmp/no/such/place")
    with pytest.raises(NotFoundError, match="No such file"):
        container.copy_out("/app/readme", f"{here}/no/such/place")
    with pytest.raises(NotFoundError, match="No such file"):
        container.copy_out("/app/readme", f"{here}/new/")


def test_a_folder_does_not_take_a_files_place(container: EmbeddedContainer, here: Path) -> None:
    with pytest.raises(ConfigError, match=r"File exists|Not a directory"):
        container.copy_out("/app", f"{here}/file")
    assert (here / "file").read_text() == "words"


def test_links_in_a_container_lead_nowhere_else(container: EmbeddedContainer, here: Path) -> None:
    secret = here / "secret"
    secret.write_text("the host's")
    said(
        container, f"busybox ln -s {here} /tmp/out; busybox ln -s {secret} /tmp/one; busybox ln -s ../../../.. /tmp/up"
    )
    with pytest.raises(NotFoundError):
        container.copy_out("/tmp/out/secret", str(here / "stolen"))
    container.copy_out("/tmp/one", str(here / "stolen"))
    assert (here / "stolen").is_symlink()
    container.copy_out("/tmp/up/app/readme", str(here / "readme"))
    assert (here / "readme").read_text() == "made\n"
    container.copy_in(str(here / "file"), "/tmp/one")  # the link is replaced, and not followed
    assert secret.read_text() == "the host's"
    assert said(container, "cat /tmp/one") == "words"
    with pytest.raises(NotFoundError):
        container.copy_in(str(here / "file"), "/tmp/out/secret")
    with pytest.raises((ConfigError, NotFoundError)):
        container.copy_in(str(here / "file"), "/proc/1/root/tmp/x")
    container.copy_out("/../../app/..//app/.", str(here / "root"))
    assert (here / "root" / "readme").read_text() == "made\n"


def test_links_on_this_machine_are_not_followed_by_what_comes_out(container: EmbeddedContainer, here: Path) -> None:
    (here / "place").symlink_to(here / "file")
    container.copy_out("/app/readme", str(here / "place"))
    assert not (here / "place").is_symlink()
    assert (here / "file").read_text() == "words"


def test_what_is_neither_file_nor_folder_nor_link_is_refused(container: EmbeddedContainer, here: Path) -> None:
    said(container, "busybox mkfifo /tmp/pipe")
    with pytest.raises(UnsupportedError, match="neither a file nor a folder nor a link"):
        container.copy_out("/tmp/pipe", str(here / "pipe"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{here}/tree/socket")
        with pytest.raises(UnsupportedError, match="socket is neither"):
            container.copy_in(f"{here}/tree", "/tmp")


def test_a_big_file_goes_both_ways(container: EmbeddedContainer, here: Path) -> None:
    data = os.urandom(8 << 20)
    (here / "big").write_bytes(data)
    container.copy_in(str(here / "big"), "/tmp")
    container.copy_out("/tmp/big", str(here / "again"))
    assert (here / "again").read_bytes() == data


def test_a_container_that_does_not_run_has_no_files_to_copy(container: EmbeddedContainer, here: Path) -> None:
    container.kill()
    with pytest.raises(ConflictError, match="a does not run"):
        container.copy_out("/app/readme", str(here))
