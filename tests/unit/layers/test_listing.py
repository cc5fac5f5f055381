"""Listing a layer without unpacking it: what is in it, whose it is, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

import pytest

from tiffin.errors import IntegrityError, UnsupportedError
from tiffin.layers.listing import DEB, WHEEL, File, Listing, Package, list_layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, LAYER_GZIP

SITE = "opt/venv/lib/site-packages"


def tar(files: dict[str, str], links: dict[str, str] | None = None) -> bytes:
    """Make a tar of text files and symbolic links; a name that ends with a slash is a folder."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return packed.getvalue()


def listed(data: bytes, **options: object) -> Listing:
    return list_layer(io.BytesIO(data), LAYER, Digest.of(data), **options)  # type: ignore[arg-type]


def owners(listing: Listing) -> dict[str, str]:
    return {file.path: listing.packages[file.owner].name for file in listing.files if file.owner >= 0}


def test_files_and_links_are_listed_by_path_with_size_and_digest() -> None:
    data = tar({"./app/": "", "./app/a.py": "x = 1\n"}, {"bin": "usr/bin"})
    found = listed(data)
    assert found.unpacked == len(data)
    assert found.files == [
        File("app/a.py", 6, hashlib.sha256(b"x = 1\n").hexdigest()),
        File("bin", 0, link="usr/bin"),
    ]


def test_a_layer_of_several_gzip_members_is_read_whole() -> None:
    data = tar({"a": "1", "b": "2"})
    blob = gzip.compress(data[:700]) + gzip.compress(data[700:])
    found = list_layer(io.BytesIO(blob), LAYER_GZIP, Digest.of(data))
    assert [file.path for file in found.files] == ["a", "b"]


def test_a_record_says_which_files_are_a_wheels() -> None:
    record = 'Foo_Bar-1.2.dist-info/RECORD,,\nfoo/__init__.py,sha256=x,1\n"foo/a,b.py",,\n../../bin/foo,,\n'
    names = [f"{SITE}/foo/__init__.py", f"{SITE}/foo/a,b.py", "opt/venv/bin/foo", f"{SITE}/other.py"]
    found = listed(tar({f"{SITE}/Foo_Bar-1.2.dist-info/RECORD": record, **dict.fromkeys(names, "x")}))
    assert found.packages == [Package(WHEEL, "foo-bar", "1.2")]
    assert owners(found).keys() == {*names[:3], f"{SITE}/Foo_Bar-1.2.dist-info/RECORD"}


def test_a_script_beside_site_packages_is_its_wheels_too() -> None:
    record = "foo-1.dist-info/RECORD,,\n../../../bin/foo,,\n"
    path = "usr/local/lib/python3.7/site-packages/foo-1.dist-info/RECORD"
    found = listed(tar({path: record, "usr/local/bin/foo": "x"}))
    assert owners(found)["usr/local/bin/foo"] == "foo"


@pytest.mark.parametrize("place", ["status.d/libc6", "status"])
def test_dpkgs_database_says_which_files_are_a_packages(place: str) -> None:
    stanza = "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\n"
    gone = "Package: old\nStatus: deinstall ok config-files\nVersion: 1\n\n" if place == "status" else ""
    sums = "status.d/libc6.md5sums" if place != "status" else "info/libc6:amd64.md5sums"
    line = "0123456789abcdef0123456789abcdef  lib/libc.so.6\n"
    files = {f"var/lib/dpkg/{place}": stanza + gone, f"var/lib/dpkg/{sums}": line, "lib/libc.so.6": "ELF"}
    found = listed(tar(files))
    assert found.packages == [Package(DEB, "libc6", "2.36-9")]
    assert owners(found) == {"lib/libc.so.6": "libc6"}


def test_texts_that_are_asked_for_come_along() -> None:
    assert listed(tar({"a.json": "{}", "b": "x"}), keep=["a.json"]).texts == {"a.json": "{}"}


def test_a_record_that_is_no_table_tells_nothing() -> None:
    found = listed(tar({f"{SITE}/foo-1.dist-info/RECORD": '"' + "x" * 200_000}))
    assert owners(found) == {f"{SITE}/foo-1.dist-info/RECORD": "foo"}


def test_other_bytes_than_the_diff_ids_are_refused() -> None:
    with pytest.raises(IntegrityError, match="diff ID"):
        list_layer(io.BytesIO(tar({"a": "1"})), LAYER, Digest.of(b""))


@pytest.mark.parametrize("size", [0, 10, 40, 100])
def test_a_truncated_layer_is_refused(size: int) -> None:
    data = tar({"a": "1" * 1000, "b": "2"})
    with pytest.raises(IntegrityError):
        list_layer(io.BytesIO(gzip.compress(data)[:size]), LAYER_GZIP, Digest.of(data))


def test_a_bomb_is_refused() -> None:
    data = tar({"zeros": "0" * 3_000_000})
    with pytest.raises(IntegrityError, match="more than 1048576 bytes"):
        list_layer(io.BytesIO(gzip.compress(data)), LAYER_GZIP, Digest.of(data), limit=1 << 20)


def test_an_unknown_media_type_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="media type"):
        list_layer(io.BytesIO(b""), "text/plain", Digest.of(b""))
