"""Bytes from one descriptor to another."""

from __future__ import annotations

import os
import select

_CHUNK = 1 << 16


def copy(source: int, sink: int, done: int, *, keep: bool = False, drain: bool = True) -> None:
    """Copy until the source ends or the sink is gone, or until `done` ends: then what is there still, if `drain`.

    The source is closed, unless it is to be kept: whoever writes there learns that nobody reads.
    """
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(done, select.POLLIN)
    try:
        while ready := dict(poll.poll()):
            if done in ready and not (drain and source in ready):
                return
            if not _pass(source, sink):
                return
    finally:
        if not keep:
            os.close(source)


def _pass(source: int, sink: int) -> bool:
    """Pass one piece on; say whether there may be more."""
    try:
        data = os.read(source, _CHUNK)
        write_all(sink, data)
    except OSError:  # the sink's reader is gone, or the terminal's other end
        return False
    return bool(data)


def write_all(sink: int, data: bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]


def unread(sink: int) -> bool:
    """Say whether nobody is left to read what is written there."""
    poll = select.poll()
    poll.register(sink, 0)
    return bool(poll.poll(0))
