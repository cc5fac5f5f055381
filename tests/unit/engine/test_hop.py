"""The program of two hundred bytes that `exec` goes through."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tiffin.engine.embedded import hop

SAYS = b"tiffin: the program cannot be run\n"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "hop"
    path.write_bytes(hop.program(os.uname().machine))
    path.chmod(0o755)
    return path


def ran(program: Path, *argv: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(argv, executable=program, capture_output=True, check=False, env={"A": "seen"})
    return done.returncode, done.stdout, done.stderr


def test_it_becomes_its_first_argument_with_the_others_and_the_environment(program: Path) -> None:
    assert ran(program, "/bin/sh", "called", "-c", 'echo $0 "$@" $A', "zero", "b c") == (0, b"zero b c seen\n", b"")


def test_it_says_so_where_it_cannot(program: Path) -> None:
    assert ran(program, "/nosuch", "x") == (127, b"", SAYS)
    assert ran(program, "/etc/passwd", "x") == (126, b"", SAYS)


def test_it_ends_where_it_is_told_to_become_itself(program: Path) -> None:
    assert ran(program, "/proc/self/exe", "/proc/self/exe", "/proc/self/exe") == (126, b"", SAYS)
    script = program.with_name("script")
    script.write_text("#!/proc/self/exe\n")
    script.chmod(0o755)
    assert ran(program, str(script), "a", "b") == (126, b"", SAYS)


def test_nobody_can_change_a_byte_of_it() -> None:
    descriptor = hop.sealed()
    try:
        with pytest.raises(OSError, match="not permitted") as raised:
            os.pwrite(descriptor, b"x", 0)
        assert raised.value.errno == errno.EPERM
        again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)
        with pytest.raises(OSError, match="not permitted"):
            os.ftruncate(again, 0)
        os.close(again)
    finally:
        os.close(descriptor)


def test_it_is_two_hundred_bytes_on_either_architecture() -> None:
    assert [len(hop.program(machine)) for machine in ("x86_64", "aarch64")] == [231, 234]
