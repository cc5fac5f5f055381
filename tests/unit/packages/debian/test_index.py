from __future__ import annotations

import io
import lzma
from pathlib import Path

import pytest

from tiffin.errors import IntegrityError, TiffinError
from tiffin.oci.digest import Digest
from tiffin.packages.debian.index import Index, keep, kept_at, read_package
from tiffin.packages.debian.relations import Relation
from unit.packages.debian.makers import stanza

TEXT = "\n".join(
    [
        stanza("libc6", "2.36-9", Depends="libgcc-s1", Priority="optional", Description="a library\n with lines"),
        stanza("mawk", "1.3", Provides="awk", Pre_Depends="libc6 (>= 2.34)", Priority="required"),
        stanza("libc6", "2.36-9+deb12u1"),
        stanza("gawk", "5.2", Provides="awk (= 1)"),
    ]
)


def opened(tmp_path: Path, text: str = TEXT) -> Index:
    target = tmp_path / "index"
    keep(io.BytesIO(lzma.compress(text.encode())), target, "the index")
    return Index(target, "the index")


def test_every_version_of_a_package_is_found(tmp_path: Path) -> None:
    assert [p.version for p in opened(tmp_path).find("libc6")] == ["2.36-9", "2.36-9+deb12u1"]


def test_a_package_is_read_with_what_it_needs(tmp_path: Path) -> None:
    (package,) = opened(tmp_path).find("mawk")
    assert str(package) == "mawk 1.3"
    assert package.depends == ((Relation(name="libc6", operator=">=", version="2.34"),),)
    assert package.path == "pool/main/m/mawk/mawk_1.3_amd64.deb"
    assert package.size == 1000
    assert package.priority == 0


def test_a_virtual_package_has_its_providers(tmp_path: Path) -> None:
    index = opened(tmp_path)
    assert index.providers("awk") == ["gawk", "mawk"]
    assert index.find("awk") == []
    assert index.providers("libc6") == []


def test_the_kept_form_is_named_by_the_digest_of_the_original(tmp_path: Path) -> None:
    digest = Digest.of(b"x")
    assert digest.hex in kept_at(tmp_path, digest).name


def test_an_empty_index_has_no_packages(tmp_path: Path) -> None:
    assert list(opened(tmp_path, "").names) == []


def test_a_truncated_index_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    whole = lzma.compress(TEXT.encode())
    for length in range(0, len(whole), 7):
        with pytest.raises(IntegrityError, match=r"the index is (truncated|damaged)"):
            keep(io.BytesIO(whole[:length]), tmp_path / "index", "the index")
        assert not (tmp_path / "index").exists()


def test_a_tampered_index_is_refused_or_says_the_same(tmp_path: Path) -> None:
    whole = lzma.compress(TEXT.encode())
    original = opened(tmp_path).find("libc6")
    for position in range(len(whole)):
        changed = whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :]
        try:
            keep(io.BytesIO(changed), tmp_path / "index", "the index")
        except TiffinError:
            continue
        assert Index(tmp_path / "index", "the index").find("libc6") == original


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (stanza("a").replace("Size: 1000", "Size: many"), "absent or wrong"),
        (stanza("a").replace("SHA256: ", "SHA256: z"), "SHA256"),
        (stanza("a").replace("Filename: pool/", "Filename: ../pool/"), "no path"),
        (stanza("a", Filename="pool/main/../../x.deb"), "no path"),
        (stanza("a", Filename="http://example.org/pool/x.deb"), "no path"),
        ("\n".join(line for line in stanza("a").splitlines() if not line.startswith("Size")), "Size"),
    ],
)
def test_a_wrong_field_is_an_error_that_names_the_package(wrong: str, message: str) -> None:
    with pytest.raises(IntegrityError, match=message) as caught:
        read_package(wrong, "the index")
    assert "package a" in str(caught.value)


def test_a_paragraph_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="names no package"):
        opened(tmp_path, "Version: 1\n")
