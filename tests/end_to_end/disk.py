"""A small disk: a file system in memory that only the processes of one mount namespace see. Needs root."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from end_to_end.small import environment
from tiffin.errors import FullError

MEGABYTE = 1_000_000


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A file system in memory that only the processes of one mount namespace see."""

    path: Path
    holder: int

    @property
    def seen(self) -> Path:
        """Where it is, seen from here."""
        return Path(f"/proc/{self.holder}/root{self.path}")

    def resize(self, size: float) -> None:
        """Let it hold so many megabytes."""
        options = f"remount,size={int(size * MEGABYTE)}"
        subprocess.run([*self._inside(), "mount", "-o", options, self.path], check=True)

    def used(self) -> float:
        """Megabytes in use."""
        found = os.statvfs(self.seen)
        return (found.f_blocks - found.f_bfree) * found.f_frsize / MEGABYTE

    def tiffin(self, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        """Run tiffin with its home on this disk."""
        return subprocess.run(
            [*self._inside(), sys.executable, "-m", "tiffin", *map(str, arguments)],
            env=environment(self.path, **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _inside(self) -> list[str]:
        return ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt"]


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[Disk]:
    """Have an empty disk at a path while the block runs."""
    path.mkdir()
    script = f"mount -t tmpfs -o mode=0755,size={megabytes}m tmpfs {path} && echo && exec cat"
    holding = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdin
        assert holder.stdout.readline(), "no disk"
        yield Disk(path=path, holder=holder.pid)
        holder.stdin.close()


def assert_full(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    """The error is ours, names a place in the folder and says what to do."""
    assert done.returncode == FullError.exit_status, done.stderr
    assert f"{folder}" in done.stderr
    assert "error: " in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
