"""Who an image's users are, from whatever layer says it last."""

from __future__ import annotations

import io

import pytest

from programs.base_image import Files, packed
from tiffin.api.containers.accounts import accounts_for, read_accounts
from tiffin.engine.plan import Accounts
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image
from tiffin.store.memory import MemoryStore

BELOW: Files = {"etc/passwd": b"below\n", "etc/group": b"group\n", "etc/other": b""}


def accounts(users: str = "", groups: str = "") -> Accounts:
    return Accounts(passwd=users, group=groups)


def image(*layers: Files) -> tuple[Image, MemoryStore]:
    store = MemoryStore()
    blobs = [Descriptor.of(packed(files), LAYER) for files in layers]
    for blob, files in zip(blobs, layers, strict=True):
        store.put(blob, io.BytesIO(packed(files)))
    diff_ids = [Digest.of(packed(files)) for files in layers]
    config = ImageConfig(architecture="amd64", os="linux", config=RunConfig(), rootfs=RootFS(diff_ids=diff_ids))
    return Image.make(config, blobs, {}), store


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        ({"./etc/passwd": b"above\n"}, accounts("above\n", "group\n")),
        ({"etc/.wh.passwd": b""}, accounts("", "group\n")),
        ({"etc/.wh..wh..opq": b"", "etc/group": b"own\n"}, accounts("", "own\n")),
        ({".wh.etc": b""}, accounts()),
        ({"srv/etc/passwd": b"another\n"}, accounts("below\n", "group\n")),
    ],
)
def test_the_topmost_layer_that_says_it_counts(above: Files, expected: Accounts) -> None:
    assert read_accounts(*image(BELOW, above)) == expected


@pytest.mark.parametrize("user", ["", "0", "65532:65532"])
def test_no_layer_is_read_for_a_user_who_is_told_by_number(user: str) -> None:
    made, _ = image(BELOW)
    assert accounts_for(user, made, MemoryStore()) == accounts()
    assert accounts_for("name", *image(BELOW)) == accounts("below\n", "group\n")
