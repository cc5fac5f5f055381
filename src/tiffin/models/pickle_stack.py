"""The stack and the memo of an unpickler, bounded, with what is read of the stream beside them."""

from __future__ import annotations

from typing import Any

from tiffin.models.pickle_opcodes import UNKNOWN, BrokenPickleError, Source

DEEPEST_STACK = 1_000_000
LARGEST_MEMO = 4_000_000
TEXTS = 1_000_000
"""Texts that are remembered; a later one can be no part of a name."""
_PROTOCOL = 5


class Stack:
    """Values as they lie on the stack, and those that are remembered by number."""

    def __init__(self, source: Source) -> None:
        """Begin empty, at the begin of a pickle."""
        self._source = source
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._memoized = 0
        self._numbered = False
        self._texts = 0
        self._protocol = 0
        self._at = 0

    def pop(self) -> Any:
        """Take the top of the stack."""
        if not self._stack:
            raise BrokenPickleError(f"the opcode at byte {self._at} finds nothing on the stack")
        return self._stack.pop()

    def top(self) -> Any:
        """Look at the top of the stack."""
        if not self._stack:
            raise BrokenPickleError(f"the opcode at byte {self._at} finds nothing on the stack")
        return self._stack[-1]

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def mark(self) -> None:
        """Begin a new stack above this one."""
        self._marks.append(self._stack)
        self._stack = []

    def pop_mark(self) -> list[Any]:
        """Take everything down to the mark."""
        if not self._marks:
            raise BrokenPickleError(f"the opcode at byte {self._at} finds no mark")
        items, self._stack = self._stack, self._marks.pop()
        return items

    def put(self, key: int) -> None:
        """Remember the top under a number."""
        if key > LARGEST_MEMO:
            raise BrokenPickleError(f"it remembers something as number {key}, for which a loader would fill the memory")
        self._numbered = True
        self._remember(key, self.top())

    def memoize(self) -> None:
        """Remember the top under the next number."""
        if self._numbered:
            raise BrokenPickleError("its memo is written in two ways")
        self._memoized += 1
        self._remember(self._memoized - 1, self.top())

    def get(self, key: int) -> None:
        """Push what was remembered; what names nothing was not kept."""
        self.push(self._memo.get(key, UNKNOWN))

    def _remember(self, key: int, value: Any) -> None:
        if isinstance(value, str):
            self._texts += 1
            value = value if self._texts <= TEXTS else UNKNOWN
        if value is UNKNOWN or value is None:
            self._memo.pop(key, None)
        else:
            self._memo[key] = value
            if len(self._memo) > LARGEST_MEMO:
                raise BrokenPickleError("it remembers more than any model")

    def protocol(self) -> None:
        """Read the protocol's number."""
        self._protocol = self._source.read(1)[0]
        if self._protocol > _PROTOCOL:
            raise BrokenPickleError(f"it is of protocol {self._protocol}, and there are {_PROTOCOL}")

    def frame(self) -> None:
        """Read where the frame ends; frames follow each other."""
        self._source.frame(int.from_bytes(self._source.read(8), "little"))

    def number(self, size: int) -> int:
        """Read an unsigned number of `size` bytes."""
        return int.from_bytes(self._source.read(size), "little")

    def line(self) -> str:
        """Read a line of text."""
        try:
            return self._source.line().decode("utf-8")
        except UnicodeDecodeError:
            raise BrokenPickleError(f"the name at byte {self._at} is not UTF-8") from None
