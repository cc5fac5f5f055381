"""The system calls that Python does not offer: namespaces, mounts, prctl. Standard library only (see `keeper`)."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_SLAVE = 4096, 16384, 1 << 19
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave the given namespaces for new ones (unshare(2))."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount a file system, or a folder or file on another one (mount(2))."""
    texts = (ctypes.c_char_p(os.fsencode(text) if text else None) for text in (source, target, kind))
    _checked(_libc.mount(*texts, ctypes.c_ulong(flags), ctypes.c_char_p(os.fsencode(options) or None)), target)


def die_with_parent(signal: int) -> None:
    """Get this signal when the parent dies (prctl(2), PR_SET_PDEATHSIG); changing ids forgets it."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal), 0, 0, 0), "prctl")


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
