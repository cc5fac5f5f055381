"""The filter's program, run here by a small interpreter of classic BPF; `test_isolation` runs it in the kernel."""

from __future__ import annotations

import errno
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.engine.embedded.seccomp import program, ranges, tables, without_network
from tiffin.errors import UnsupportedError

ALLOW = 0x7FFF0000
AUDIT = {"amd64": 0xC000003E, "arm64": 0xC00000B7}
ARCHITECTURES = sorted(AUDIT)


def run(code: bytes, number: int, audit: int, *arguments: int) -> int:
    """Run a filter on one system call (kernel, net/core/filter.c); return the errno it fails with, 0 if allowed."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, audit, 0, *padded)
    instructions = list(struct.iter_unpack("=HBBI", code))
    at = accumulator = 0
    while True:
        operation, if_true, if_false, operand = instructions[at]
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x06:
            return 0 if operand == ALLOW else operand & 0xFFFF
        else:
            tests = {
                0x15: accumulator == operand,
                0x25: accumulator > operand,
                0x35: accumulator >= operand,
                0x45: bool(accumulator & operand),
            }
            at += if_true if tests[operation] else if_false


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@given(number=st.integers(0, 600))
def test_exactly_what_is_listed_is_allowed(architecture: str, number: int) -> None:
    table = tables()[architecture]
    if number in table.conditional.values():
        return
    expected = 0 if number in table.allowed.values() else errno.EPERM
    if number > max(*table.allowed.values(), *table.conditional.values()):
        expected = errno.ENOSYS
    assert run(program(architecture), number, AUDIT[architecture]) == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_calls_through_another_architectures_table_are_refused(architecture: str) -> None:
    i386 = 0x40000003
    assert run(program(architecture), 1, i386) == errno.EPERM
    assert run(program("amd64"), 0x40000000 | 39, AUDIT["amd64"]) == errno.EPERM


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_some_calls_are_decided_by_argument(architecture: str) -> None:
    numbers, audit = tables()[architecture].conditional, AUDIT[architecture]

    def ask(name: str, *arguments: int) -> int:
        return run(program(architecture), numbers[name], audit, *arguments)

    assert ask("clone", 0x3D0F00) == 0  # a thread
    assert [ask("clone", 1 << bit | 17) for bit in (17, 25, 26, 27, 28, 29, 30)] == [errno.EPERM] * 7
    assert ask("clone3") == errno.ENOSYS
    assert [ask("socket", family) for family in (1, 2, 10, 16, 38, 40)] == [0, 0, 0, 0, errno.EPERM, errno.EPERM]
    assert [ask("ioctl", 0, request) for request in (0x5401, 0x5412, 0x541C)] == [0, errno.EPERM, errno.EPERM]
    assert [ask("personality", value) for value in (0, 0x20008, 0x0040000)] == [0, 0, errno.EPERM]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_program_is_within_the_kernels_limit(architecture: str) -> None:
    assert len(program(architecture)) // 8 < 4096


def test_an_architecture_without_a_list_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="riscv64"):
        program("riscv64")


@given(st.sets(st.integers(0, 500)))
def test_ranges_hold_exactly_the_numbers_and_never_touch(numbers: set[int]) -> None:
    found = ranges(numbers)
    assert {number for low, high in found for number in range(low, high + 1)} == numbers
    assert all(one[1] + 1 < two[0] for one, two in pairwise(found))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@given(number=st.integers(0, 600), family=st.integers(0, 50))
def test_without_a_network_all_is_allowed_but_sockets_to_elsewhere_and_io_uring(
    architecture: str, number: int, family: int
) -> None:
    ours = {tables()[architecture].conditional["socket"]: 0 if family == 1 else errno.EPERM, 425: errno.ENOSYS}
    for each in (number, *ours):
        assert run(without_network(architecture), each, AUDIT[architecture], family) == ours.get(each, 0)


def test_without_a_network_no_other_table_of_calls_leads_to_a_socket() -> None:
    assert run(without_network("amd64"), 359, 0x40000003, 2) == errno.EPERM
    assert run(without_network("amd64"), 0x40000000 | 41, AUDIT["amd64"], 2) == errno.EPERM
    assert without_network("riscv64") == b""
