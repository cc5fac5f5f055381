"""Heads that were read before: a client sends much the same one with every request, and the same bytes say the same.

Only heads are kept of which nothing is left to decide: of HTTP/1.1 as usual, before a body of a known length. Whether
their bytes mean what they say has been found out by the parser, once; from then on a look is enough.
"""

from __future__ import annotations

from typing import NamedTuple

END = b"\r\n\r\n"
LONGEST = 2048
"""Bytes of a head that is worth to be kept."""
MOST = 256


class KnownHead(NamedTuple):
    """What a head says, and how many bytes of body follow it."""

    method: bytes
    path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    size: int


class KnownHeads(dict[bytes, KnownHead]):
    """Heads by their bytes, from the method to the empty line."""

    def learn(self, piece: bytes, known: KnownHead) -> None:
        """Keep the head that a piece begins with, if it ends there, too; where there are many, begin anew.

        An empty line is the head's end for sure only behind a method, and where no line ends otherwise.
        """
        head = piece[: piece.find(END, 0, LONGEST) + len(END)]
        if head.endswith(END) and head.startswith(known.method) and head.count(b"\n") == head.count(b"\r\n"):
            if len(self) >= MOST:
                self.clear()
            self[head] = known
