"""Which system calls a container may make: an allow-list, compiled to the kernel's classic BPF.

In the spirit of docker's default profile: what is listed in `syscalls.json` is allowed, everything else fails with
EPERM, what is newer than the list fails with ENOSYS so that C libraries fall back, and a few calls are allowed by
argument. Sources: kernel Documentation/userspace-api/seccomp_filter.rst and include/uapi/linux/{seccomp,audit}.h.
"""

from __future__ import annotations

import errno
import functools
import struct
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tiffin.errors import UnsupportedError

_NUMBER, _ARCHITECTURE, _ARGUMENT, _ARGUMENT_SIZE = 0, 4, 16, 8
"""Offsets in struct seccomp_data; an argument's low word comes first on both (little-endian) architectures."""
_LOAD = 0x20
_EQUAL, _GREATER, _AT_LEAST, _ANY_BIT = 0x15, 0x25, 0x35, 0x45
_RETURN = 0x06
_ALLOW = 0x7FFF0000
_FAIL = 0x00050000

_AUDIT = {"amd64": 0xC000003E, "arm64": 0xC00000B7}
_X32 = 0x40000000
"""The bit that marks x86-64's second, never needed, table of system calls."""
_NAMESPACES = 0x7E020000
"""CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}."""
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_FAMILIES = (38, 40)
"""AF_ALG and AF_VSOCK: the kernel's ciphers and the hypervisor are no container's business."""
_UNIX = 1
_IO_URING_SETUP = 425
_TERMINAL_INPUT = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: typing into the terminal of whoever started the container."""

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""


class Table(msgspec.Struct, frozen=True):
    """Numbers of the system calls of one architecture, by name."""

    allowed: dict[str, int]
    conditional: dict[str, int]


@functools.cache
def tables() -> dict[str, Table]:
    """Read the numbers of every architecture there are containers for."""
    return msgspec.json.decode(Path(__file__).with_name("syscalls.json").read_bytes(), type=dict[str, Table])


@functools.cache
def program(architecture: str) -> bytes:
    """Compile the filter for `amd64` or `arm64`: an array of struct sock_filter in the machine's byte order."""
    table = tables().get(architecture)
    if table is None:
        raise UnsupportedError(f"no seccomp filter for {architecture}", "containers run on amd64 and arm64")
    instructions = [*_architecture(_AUDIT[architecture]), (_LOAD, 0, 0, _NUMBER), *_newer(_highest(table))]
    for name, number in table.conditional.items():
        instructions += _conditional(number, _CONDITIONS[name])
    for low, high in ranges(table.allowed.values()):
        instructions += _range(low, high)
    instructions.append(_fail(errno.EPERM))
    return _assembled(instructions)


@functools.cache
def without_network(architecture: str) -> bytes:
    """Compile a filter that lets no socket be made but those between processes of one machine (AF_UNIX).

    The calls of io_uring, which could make one too, are not there. Empty for an architecture that is not known.
    """
    table = tables().get(architecture)
    if table is None:
        return b""
    return _assembled(
        [
            *_architecture(_AUDIT[architecture]),
            (_LOAD, 0, 0, _NUMBER),
            *_not_x32(),
            *_conditional(_IO_URING_SETUP, [_fail(errno.ENOSYS)]),
            *_conditional(table.conditional["socket"], _only(0, (_UNIX,))),
            (_RETURN, 0, 0, _ALLOW),
        ]
    )


def _assembled(instructions: Iterable[Instruction]) -> bytes:
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Join neighbours: the inclusive ranges that hold exactly these numbers, ascending."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _highest(table: Table) -> int:
    return max(*table.allowed.values(), *table.conditional.values())


def _fail(number: int) -> Instruction:
    return (_RETURN, 0, 0, _FAIL | number)


def _architecture(audit: int) -> list[Instruction]:
    """Refuse calls made through another architecture's table."""
    return [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, audit), _fail(errno.EPERM)]


def _newer(highest: int) -> list[Instruction]:
    """Say that calls newer than the list do not exist; x32's are not newer, they are refused."""
    return [*_not_x32(), (_GREATER, 0, 1, highest), _fail(errno.ENOSYS)]


def _not_x32() -> list[Instruction]:
    return [(_AT_LEAST, 0, 1, _X32), _fail(errno.EPERM)]


def _range(low: int, high: int) -> list[Instruction]:
    """Allow low..high, pass on what is higher, refuse what is lower: ranges come in ascending order."""
    return [
        (_GREATER, 3, 0, high),
        (_AT_LEAST, 0, 1, low),
        (_RETURN, 0, 0, _ALLOW),
        _fail(errno.EPERM),
    ]


def _conditional(number: int, body: list[Instruction]) -> list[Instruction]:
    """Decide one call by its own instructions, all of whose paths return."""
    return [(_EQUAL, 0, len(body), number), *body]


def _argument(index: int) -> Instruction:
    return (_LOAD, 0, 0, _ARGUMENT + _ARGUMENT_SIZE * index)


def _unless(index: int, values: tuple[int, ...]) -> list[Instruction]:
    """Allow the call unless the argument is one of the values."""
    tests = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [_argument(index), *tests, (_RETURN, 0, 0, _ALLOW), _fail(errno.EPERM)]


def _only(index: int, values: tuple[int, ...]) -> list[Instruction]:
    """Allow the call only if the argument is one of the values."""
    tests = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [_argument(index), *tests, _fail(errno.EPERM), (_RETURN, 0, 0, _ALLOW)]


_CONDITIONS: dict[str, list[Instruction]] = {
    "clone": [_argument(0), (_ANY_BIT, 1, 0, _NAMESPACES), (_RETURN, 0, 0, _ALLOW), _fail(errno.EPERM)],
    "clone3": [_fail(errno.ENOSYS)],  # its flags are in memory, out of a filter's sight; C libraries then use clone
    "personality": _only(0, _PERSONALITIES),
    "socket": _unless(0, _FAMILIES),
    "ioctl": _unless(1, _TERMINAL_INPUT),
}
