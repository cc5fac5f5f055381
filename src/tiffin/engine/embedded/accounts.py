"""Who the users of a container that runs are: its own /etc/passwd and /etc/group, as they are now."""

from __future__ import annotations

import contextlib
import io
import tarfile
from typing import Any, BinaryIO, Protocol

import msgspec

from tiffin.engine.embedded.ids import several
from tiffin.engine.plan import Accounts, parse_user
from tiffin.engine.spec import Command, ContainerSpec
from tiffin.errors import ConfigError, NotFoundError

_LONGEST = 1 << 20
"""Bytes of the longest table that is read, and of what a tar adds to it."""


class Files(Protocol):
    """As much of `copying.Files` as is needed to read one."""

    def tar_out(self, path: str, out: BinaryIO) -> None:
        """Write a tar of what is at a path."""


def told_by_name(spec: ContainerSpec, user: str) -> bool:
    """Say whether a user's numbers are known only to the container; of one with one user, a number is that or wrong."""
    uid, _, gid = user.partition(":")
    named = [text for text in (uid, gid) if text and not text.isdecimal()]
    return bool(named) or (several(spec) and not gid and uid not in {"", "0"})


def with_numbers(command: Command, files: Files) -> Command:
    """Say by number who a command's user is; raises ConfigError for one whom the container's tables do not name."""
    accounts = Accounts(passwd=_table(files, "/etc/passwd"), group=_table(files, "/etc/group"))
    return msgspec.structs.replace(command, user="{}:{}".format(*parse_user(command.user, accounts)))


def _table(files: Files, path: str) -> str:
    """Read a table; one that is absent, or no file, names nobody."""
    packed = _Bounded()
    with contextlib.suppress(NotFoundError):
        files.tar_out(path, packed)
    packed.seek(0)
    with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=packed) as tar:
        found = tar.next()
        content = tar.extractfile(found) if found and found.isreg() else None
        return content.read().decode(errors="replace") if content else ""
    return ""


class _Bounded(io.BytesIO):
    """Bytes in memory, and not more than a table has: the container may have written anything there."""

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > _LONGEST:
            raise ConfigError("a table of the container's users is too long to be read", "give numbers: `-u 1000:1000`")
        return super().write(data)
