"""What is in a volume, to a tar and from one, as the container's user: nothing that a container made leads out of it.

Started by `volumes` with an open folder; standard input or output is the tar. Standard library only.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile

from tiffin.engine.embedded import stage, tree

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from typing import TypedDict

    from _typeshed import SupportsRead

    class Plan(TypedDict):
        """What `volumes` says: the folder's descriptor, its owner, what the tar calls that one, and which way."""

        folder: int
        become: int | None
        owner: tuple[int, int]
        inward: bool


class _Owned(tarfile.TarFile):
    """A tar whose files all have one owner."""

    owner = (0, 0)

    def addfile(self, tarinfo: tarfile.TarInfo, fileobj: SupportsRead[bytes] | None = None) -> None:
        tarinfo.uid, tarinfo.gid = self.owner
        super().addfile(tarinfo, fileobj)


def main() -> None:
    """Fill the folder from standard input, or write what is in it to standard output."""
    plan: Plan = json.loads(sys.argv[1])
    stage.become(plan["become"])
    os.umask(0)
    try:
        if plan["inward"]:
            tree.fill(sys.stdin.buffer, plan["folder"])
        else:
            _send(plan["folder"], (plan["owner"][0], plan["owner"][1]))
    except stage.Refused as refusal:
        os.write(2, json.dumps([refusal.kind, str(refusal), refusal.hint]).encode())
        os._exit(1)


def _send(folder: int, owner: tuple[int, int]) -> None:
    with _Owned.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        tar.owner = owner
        tree.send_all(tar, folder)
    sys.stdout.buffer.flush()
