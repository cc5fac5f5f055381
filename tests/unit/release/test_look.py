"""Keys, tokens, repositories and loose rights are found in layers, and what only looks like them is not."""

from __future__ import annotations

import io
import tarfile

import pytest

from tiffin.errors import IntegrityError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER
from tiffin.release.look import look, names_a_secret
from tiffin.release.result import Finding

KEY = "-----BEGIN {}PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"
Content = tuple[str, int] | str | None


def layer(files: dict[str, Content]) -> bytes:
    """A tar of files by path: their text, or text and mode; None is a folder."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, what in files.items():
            text, mode = what if isinstance(what, tuple) else (what, 0o644)
            member = tarfile.TarInfo(path)
            member.mode = mode
            member.type = tarfile.DIRTYPE if text is None or path.endswith("/") else tarfile.REGTYPE
            member.size = len((text or "").encode()) if member.isreg() else 0
            archive.addfile(member, io.BytesIO((text or "").encode()))
    return data.getvalue()


def looked(files: dict[str, Content]) -> list[Finding]:
    data = layer(files)
    return look(io.BytesIO(data), LAYER, Digest.of(data))


def rules(files: dict[str, Content]) -> list[str]:
    return [finding.rule for finding in looked(files)]


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_is_found_and_not_repeated(kind: str) -> None:
    [found] = looked({"app/a.py": f"first\n{KEY.format(kind)}"})
    assert (found.rule, found.path) == ("private-key", "app/a.py")
    assert "line 2" in found.message
    assert "MIGH" not in found.message


@pytest.mark.parametrize(
    "text",
    [
        "AKIAABCDEFGHIJKLMNOP",
        "ghp_" + "a" * 36,
        "glpat-" + "a" * 20,
        "hf_" + "a" * 34,
        "xoxb-" + "1" * 24,
        "AIza" + "b" * 35,
        "postgresql://dana:s3cret@db.example/iris",
    ],
)
def test_a_token_is_found_in_any_file_of_the_user_s(text: str) -> None:
    assert rules({"app/settings.py": f"X = '{text}'\n"}) == ["credential"]
    assert rules({"models/notes.txt": text}) == ["credential"]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PUBLIC KEY-----\nMFkw\n",
        "looks for '-----BEGIN PRIVATE KEY-----'",
        "AKIA",
        "hf_hub_download",
        "https://example.org:8080/path",
        "postgresql://{user}:{password}@{host}/db",
        "postgresql://user:password@host/db",
        "https://USER:PASSWORD@registry.example/",
        "sha256:" + "a" * 64,
    ],
)
def test_what_only_looks_like_a_secret_is_none(text: str) -> None:
    assert rules({"app/a.py": text}) == []


def test_packages_of_others_are_not_read_for_secrets() -> None:
    path = "opt/venv/lib/python3.11/site-packages/tornado/test/test.key"
    assert rules({path: KEY.format(""), "usr/lib/python3/test/keycert.pem": KEY.format("")}) == []


def test_names_of_files_tell_of_secrets() -> None:
    for path in (".env", "app/.env.local", "home/x/.ssh/id_rsa", "root/.docker/config.json", "app/store.p12", ".netrc"):
        assert names_a_secret(path), path
    for path in ("app/.env.example", "app/env.py", "app/id_rsa.pub", "app/config.json", "app/environment"):
        assert not names_a_secret(path), path


def test_a_repository_is_told_once() -> None:
    [found] = looked({"app/.git/": None, "app/.git/HEAD": "ref", "app/.git/objects/00/aa": "x", "app/.gitignore": "x"})
    assert (found.rule, found.path) == ("repository", "app/.git")


def test_loose_rights_are_found() -> None:
    found = looked(
        {
            "usr/bin/su": ("x", 0o4755),
            "usr/bin/wall": ("x", 0o2755),
            "usr/share/data": ("x", 0o4644),
            "srv/open.txt": ("x", 0o666),
            "srv/shared/": (None, 0o777),  # type: ignore[dict-item]
            "tmp/": (None, 0o1777),  # type: ignore[dict-item]
        }
    )
    assert sorted((one.rule, one.path) for one in found) == [
        ("setuid", "usr/bin/su"),
        ("setuid", "usr/bin/wall"),
        ("world-writable", "srv/open.txt"),
        ("world-writable", "srv/shared"),
    ]


def test_a_layer_full_of_the_same_is_told_of_two_hundred_times() -> None:
    assert len(looked({f"srv/{number}": ("x", 0o666) for number in range(300)})) == 200


def test_a_layer_that_is_another_is_refused() -> None:
    data = layer({"a": "x"})
    with pytest.raises(IntegrityError):
        look(io.BytesIO(data), LAYER, Digest.of(b"other"))
