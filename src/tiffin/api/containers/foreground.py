"""Standing by a container in the foreground: what ends this process stops it. Standard library only."""

from __future__ import annotations

import contextlib
import signal
import threading

from tiffin.errors import TiffinError

TYPE_CHECKING = False  # what `typing` calls the same; importing it would delay what is started again
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM)
_LOOK_SECONDS = 0.1


def stand_by(
    run: Callable[[Callable[[], None]], int | None], stop: Callable[[], None], forget: Callable[[], None]
) -> int | None:
    """Run a container to its end, and return what `run` returns, which calls its argument when the program runs.

    Ctrl-C and SIGTERM `stop` it. One that could not be started is forgotten.
    """
    begun, over = threading.Event(), threading.Event()

    def end(_number: int) -> None:
        while not (begun.wait(_LOOK_SECONDS) or over.is_set()):
            continue  # what has not begun cannot be stopped yet
        with contextlib.suppress(TiffinError):  # it has ended by itself, and may be forgotten
            stop()

    with handling(ENDING, end):
        try:
            return run(begun.set)
        finally:
            over.set()
            if not begun.is_set():
                forget()


@contextlib.contextmanager
def handling(numbers: tuple[signal.Signals, ...], act: Callable[[int], None]) -> Iterator[None]:
    """Act on signals, each in a thread of its own, since what it interrupts may hold anything."""

    def handle(number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=act, args=(number,)).start()

    old = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
