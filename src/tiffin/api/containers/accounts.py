"""Who an image's users are: its /etc/passwd and /etc/group, read out of the layers, topmost first."""

from __future__ import annotations

from tiffin.engine.plan import Accounts
from tiffin.layers.members import FILE
from tiffin.layers.unpack import LIMIT, tar_of
from tiffin.oci.image import Image
from tiffin.oci.store import Store

_PASSWD, _GROUP = b"etc/passwd", b"etc/group"
_LONGEST = 1 << 20
"""Bytes of the longest table that is read."""


def accounts_for(user: str, image: Image, store: Store) -> Accounts:
    """Read the tables where a user cannot be told without them; layers are only read then."""
    uid, _, gid = user.partition(":")
    if not uid or uid == "0" or (uid.isdecimal() and gid.isdecimal()):
        return Accounts()
    return read_accounts(image, store)


def read_accounts(image: Image, store: Store) -> Accounts:
    """Read both tables; one that no layer has, or that one takes away, is empty."""
    wanted, texts = {_PASSWD, _GROUP}, dict[bytes, str]()
    layers = zip(image.manifest.layers, image.config.rootfs.diff_ids, strict=True)
    for layer, diff_id in reversed(list(layers)):
        if not wanted:
            break
        hidden = set[bytes]()
        with store.open(layer) as blob, tar_of(blob, layer.media_type, diff_id, LIMIT) as tar:
            for member in tar.members():
                path = member.path.removeprefix(b"./")
                if path in wanted and member.kind == FILE and member.size <= _LONGEST:
                    texts[path] = b"".join(map(bytes, tar.content())).decode(errors="replace")
                hidden |= _hidden(path)
        wanted -= texts.keys() | hidden
    return Accounts(passwd=texts.get(_PASSWD, ""), group=texts.get(_GROUP, ""))


def _hidden(path: bytes) -> set[bytes]:
    """Which of the tables a path takes away from the layers below, if it is a whiteout of one or of the folder."""
    if path in {b"etc/.wh..wh..opq", b".wh.etc", b".wh..wh..opq"}:
        return {_PASSWD, _GROUP}
    return {table for table in (_PASSWD, _GROUP) if path == table.replace(b"etc/", b"etc/.wh.")}
