"""The container's end of a copy: reads or writes its files as its user, and never anything outside its root.

Paths are resolved by the kernel within the root (openat2, RESOLVE_IN_ROOT), through /proc/PID/root, so that no program
or library of the container is ever used. Standard library only.
"""

from __future__ import annotations

import json
import os
import sys

from tiffin.engine.embedded import linux, stage, tree

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from typing import TypedDict

    class Plan(TypedDict):
        """What `copying` says; `process` is a descriptor of /proc/PID, `source` empty where files are only read.

        A `tar` is the caller's own, not the other end of ours. `several` says that the container has several users: its
        files are then read and written as its root.
        """

        process: int
        become: tuple[int, int] | None
        several: bool
        path: str
        source: str
        tar: bool


def main() -> None:
    """Send what is at the path to standard output, or take in what comes by standard input."""
    with open(int(sys.argv[1]), "rb") as paper:  # noqa: PTH123 - a descriptor
        plan: Plan = json.load(paper)
    root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=plan["process"])
    stage.become(*(plan["become"] or (None,)))
    if plan["several"]:
        linux.setns(os.open("ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=plan["process"]))
        stage.become(0)
    os.umask(0)

    def open_folder(path: str) -> int:
        return linux.open_inside(root, path)

    try:
        if plan["source"] and plan["tar"]:
            tree.unpack(sys.stdin.buffer, open_folder, plan["path"])
        elif plan["source"]:
            tree.receive(sys.stdin.buffer, open_folder, plan["path"], plan["source"])
        else:
            tree.send(open_folder, plan["path"], sys.stdout.buffer, named=plan["tar"])
            sys.stdout.buffer.flush()
    except stage.Refused as refusal:
        os.write(2, json.dumps([refusal.kind, str(refusal), refusal.hint]).encode())
        os._exit(1)
