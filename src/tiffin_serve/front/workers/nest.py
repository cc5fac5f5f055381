"""A process that has others predict: what is known of its children."""

from __future__ import annotations

from tiffin_serve.front.workers.backoff import Backoff
from tiffin_serve.front.workers.lines import WorkerLine
from tiffin_serve.protocol.signature import Signature


class Nest:
    """A zygote, how many of its children have not said hello yet, and how many were let go and have not ended yet.

    Others' zygotes come and go, and one that is new has lost nobody yet: `backoff` counts its own children.
    It is proven when one of them has lived through its trial; the first that is had while a request waits has none.
    """

    def __init__(self, line: WorkerLine, signature: Signature) -> None:
        self.line = line
        self.signature = signature
        self.pending = 0
        self.released = 0
        self.proven = False
        self.hurries = False
        self.hatched: set[int] = set()
        self.backoff = Backoff()

    def hatch(self, pid: int) -> bool:
        """Note a child that says hello; say whether it is needed at once."""
        self.pending -= 1
        self.hatched.add(pid)
        needed, self.hurries = self.hurries, False
        return needed


def how(status: int) -> str:
    """Say how a process ended."""
    return f"signal {-status}" if status < 0 else f"status {status}"
