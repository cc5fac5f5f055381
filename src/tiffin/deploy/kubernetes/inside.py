"""The container's end of a copy in a pod: sent to its Python through standard input, and run there.

It is followed by a line of JSON: the text of `tree`, and what is to be done. Python 3.9, standard library only.
"""

from __future__ import annotations

import json
import os
import sys
import types

TYPE_CHECKING = False  # as in `tree`
if TYPE_CHECKING:
    from typing import Any

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Refused(Exception):  # noqa: N818 - as in `stage`, whose place it takes
    """The copy cannot be; `kind` is the code of the error that the caller raises."""

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind, self.hint = kind, hint


def main() -> None:
    """Send what is at the path to standard output, or take in what comes by standard input."""
    plan = json.loads(sys.stdin.buffer.readline())
    stage = types.ModuleType("tiffin.engine.embedded.stage")
    stage.Refused = Refused  # type: ignore[attr-defined]
    sys.modules[stage.__name__] = stage
    tree = types.ModuleType("tree")
    exec(compile(plan["tree"], "tree", "exec"), tree.__dict__)  # noqa: S102 - it is ours
    try:
        _do(plan, tree)
    except Refused as refusal:
        os.write(2, json.dumps([refusal.kind, str(refusal), refusal.hint]).encode())
        os._exit(1)


def _do(plan: dict[str, Any], tree: Any) -> None:
    def open_folder(path: str) -> int:
        return os.open("/" + path.lstrip("/"), _FOLDER)

    if plan["act"] == "unpack":
        tree.unpack(sys.stdin.buffer, open_folder, plan["path"])
    elif plan["act"] == "receive":
        tree.receive(sys.stdin.buffer, open_folder, plan["path"], plan["source"])
    else:
        tree.send(open_folder, plan["path"], sys.stdout.buffer, named=plan["named"])
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
