"""Giving up rights as a document says, and becoming a step. Standard library only (see `guardian`).

Landlock (landlock(7)) takes away every file that is not named, and seccomp(2) every call that a filter refuses. Both
hold for what the step starts, and nothing gives them back. Rights by the version of the kernel's interface:
include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import base64
import ctypes
import os
import signal
import stat
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from tiffin.engine.embedded import linux

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of system calls, which are the same on every architecture."""
_VERSION, _BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_OF_THE_FIRST = (1 << 13) - 1
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
"""What can be allowed of a path that is no folder."""
_TCP = 0b11
"""LANDLOCK_ACCESS_NET_{BIND,CONNECT}_TCP."""
_SCOPES = 0b11
"""LANDLOCK_SCOPE_{ABSTRACT_UNIX_SOCKET,SIGNAL}: nothing outside is spoken to or signalled."""
_REFER_SINCE, _TRUNCATE_SINCE, _TCP_SINCE, _IOCTL_SINCE, _SCOPES_SINCE = 2, 3, 4, 5, 6
NOT_RUNNABLE = 126
"""The exit code of what could not be begun, as a shell says it."""

_libc = ctypes.CDLL(None, use_errno=True)


def landlock() -> int:
    """The version of the kernel's Landlock; 0 where there is none."""
    return max(
        0, int(_libc.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION)))
    )


def become(told: Mapping[str, Any], argv: list[str]) -> int:
    """Give up what is not left, and become the program; returns only where that cannot be."""
    try:
        os.setsid()
        linux.die_with_parent(signal.SIGKILL)
        linux.no_new_privileges()
        linux.drop_capabilities()
        os.chdir(told["cwd"])
        if version := told["landlock"]:
            keep_files(version, told["read"], told["write"], network=told["network"])
        if program := base64.b64decode(told["filter"]):
            linux.filter_calls(program)
        os.execvpe(argv[0], argv, told["environment"])  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(2, f"{error.filename or argv[0]}: {error.strerror}\n".encode())
        return NOT_RUNNABLE


def keep_files(version: int, read: Iterable[str], write: Iterable[str], *, network: bool) -> None:
    """Have no file but these, and no TCP without a `network`; a path that is not there stays away."""
    every = _every(version)
    tcp = 0 if network or version < _TCP_SINCE else _TCP
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    words = (ctypes.c_uint64 * 3)(every, tcp, scopes)
    size = ctypes.c_size_t(8 * (1 + (version >= _TCP_SINCE) + (version >= _SCOPES_SINCE)))
    ruleset = _called(_CREATE_RULESET, ctypes.byref(words), size, ctypes.c_uint32(0))
    for paths, rights in ((read, _READ), (write, every)):
        for path in paths:
            _allow(ruleset, path, rights & every)
    _called(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)


def _every(version: int) -> int:
    later = {_REFER_SINCE: _REFER, _TRUNCATE_SINCE: _TRUNCATE, _IOCTL_SINCE: _IOCTL_DEV}
    return _OF_THE_FIRST | sum(right for since, right in later.items() if version >= since)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Add one struct landlock_path_beneath_attr."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not stat.S_ISDIR(os.fstat(opened).st_mode):
        rights &= _OF_FILES
    rule = rights.to_bytes(8, sys.byteorder) + opened.to_bytes(4, sys.byteorder)
    _called(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_BENEATH), ctypes.c_char_p(rule), ctypes.c_uint32(0))
    os.close(opened)


def _called(number: int, *arguments: object) -> int:
    return _checked(int(_libc.syscall(ctypes.c_long(number), *arguments)), f"system call {number}")


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result
