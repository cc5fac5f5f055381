"""The system calls that Python does not offer: namespaces, mounts, prctl. Standard library only (see `keeper`)."""

from __future__ import annotations

import ctypes
import os
import signal

CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_SLAVE = 4096, 16384, 1 << 19
_MS_RELATIME, _MS_STRICTATIME, _ST_RELATIME = 1 << 21, 1 << 24, 4096
NS_GET_USERNS = 0xB701
"""The ioctl that gives the user namespace to which a namespace belongs (ioctl_ns(2))."""
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_CAPBSET_READ = 23
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION = 0x20080522
_OPENAT2, _CLONE3 = 437, 435
"""Numbers of system calls, which are the same on every architecture."""
_CLONE_ARGUMENTS = 8
"""Words of the first version of a struct clone_args."""
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10
_INSTRUCTION = 8
"""Bytes of a struct sock_filter."""

_libc = ctypes.CDLL(None, use_errno=True)
_holding = ctypes.PyDLL(None, use_errno=True)
"""The same, for a call that returns twice: the child has the interpreter's lock as its parent has."""


def unshare(flags: int) -> None:
    """Leave the given namespaces for new ones (unshare(2))."""
    _checked(_libc.unshare(flags), "unshare")


def clone(flags: int) -> int:
    """Fork into new namespaces, or with CLONE_PARENT a sibling (clone(2)); 0 in the child, its number in the parent.

    For processes with one thread only: nothing that Python does around a fork is done.
    """
    words = (ctypes.c_uint64 * _CLONE_ARGUMENTS)()
    words[0] = flags
    words[4] = 0 if flags & CLONE_PARENT else signal.SIGCHLD
    child = _holding.syscall(ctypes.c_long(_CLONE3), ctypes.byref(words), ctypes.c_size_t(ctypes.sizeof(words)))
    _checked(int(child < 0), "clone")
    return int(child)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount a file system, or a folder or file on another one (mount(2))."""
    texts = (ctypes.c_char_p(os.fsencode(text) if text else None) for text in (source, target, kind))
    _checked(_libc.mount(*texts, ctypes.c_ulong(flags), ctypes.c_char_p(os.fsencode(options) or None)), target)


def make_read_only(path: str) -> None:
    """Let nothing below a mount of ours be written through it; what else its mount forbids stays so."""
    flags = os.statvfs(path).f_flag
    relatime, times = flags & _ST_RELATIME, flags & (os.ST_NOATIME | os.ST_NODIRATIME)
    kept = flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC) | times | (_MS_RELATIME if relatime else 0)
    strict = 0 if relatime or flags & os.ST_NOATIME else _MS_STRICTATIME
    mount("none", path, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | kept | strict)


def die_with_parent(number: int) -> None:
    """Get this signal when the parent dies (prctl(2), PR_SET_PDEATHSIG); changing ids forgets it."""
    _prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Become the parent of whatever loses its own below this process (PR_SET_CHILD_SUBREAPER)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def setns(descriptor: int) -> None:
    """Enter a namespace (setns(2)); a pid namespace is entered by the children."""
    _checked(_libc.setns(descriptor, 0), "setns")


def open_network(process: int) -> int:
    """Open the network of a process."""
    return os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def open_inside(root: int, path: str) -> int:
    """Open a folder by a path that no link leads out of `root` (openat2(2), RESOLVE_IN_ROOT)."""
    how = (ctypes.c_uint64 * 3)(os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    found = _libc.syscall(ctypes.c_long(_OPENAT2), root, ctypes.c_char_p(os.fsencode(path)), ctypes.byref(how), size)
    _checked(int(found < 0), path)
    return int(found)


def hide() -> None:
    """Let no other process look into this one, until the next exec (PR_SET_DUMPABLE)."""
    _prctl(_PR_SET_DUMPABLE, 0)


def bound_capabilities(kept: int = 0) -> None:
    """Have no way to a capability but to those of a mask: the bounding set (capabilities(7)); needs CAP_SETPCAP."""
    number = 0
    while _libc.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(number), 0, 0, 0) >= 0:  # fails after the last there is
        if not kept >> number & 1:
            _prctl(_PR_CAPBSET_DROP, number)
        number += 1


def drop_capabilities(kept: int = 0) -> None:
    """Have no capability but those of a mask: the other sets."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    _checked(_libc.capset(ctypes.byref(header), ctypes.byref(sets)), "capset")


def no_new_privileges() -> None:
    """Gain nothing by any exec (PR_SET_NO_NEW_PRIVS)."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def filter_calls(program: bytes) -> None:
    """Allow only the system calls that a program of classic BPF allows (seccomp(2))."""
    instructions = ctypes.create_string_buffer(program, len(program))
    whole = _Program(len(program) // _INSTRUCTION, ctypes.addressof(instructions))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(whole))


class _Program(ctypes.Structure):
    """A struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _prctl(option: int, argument: int, more: int = 0) -> None:
    longs = (ctypes.c_ulong(number) for number in (argument, more, 0, 0))
    _checked(_libc.prctl(option, *longs), "prctl")


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def child_of(pid: int) -> int:
    """The only child of a process, or 0."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as stream:  # noqa: PTH123 - see `stage`
            return int((stream.read().split() or ["0"])[0])
    except OSError:  # it is gone, and its child with it
        return 0
