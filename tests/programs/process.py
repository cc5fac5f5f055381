"""Other people's programs as processes: started, waited for until they are ready, and stopped by their process id."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .waiting import DEADLINE_SECONDS, until

PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def run(*argv: str, env: Mapping[str, str] | None = None, seconds: float = 600) -> str:
    """Run a program to its end and return what it printed; raises AssertionError with its own words."""
    done = subprocess.run(
        argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"`{' '.join(argv)}` exited with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


@contextmanager
def started(argv: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """Keep a program running while the block runs; it dies with this process, however that ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: process.poll() is not None or ready(), lambda: f"{argv[0]} is ready\n{log.read_text()}")
        assert process.poll() is None, f"{argv[0]} exited with {process.returncode}:\n{log.read_text()}"
        yield
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def unmount(folder: Path) -> None:
    """Unmount whatever a program left mounted under its folder, deepest first."""
    points = [Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((point for point in points if point.is_relative_to(folder)), reverse=True):
        run("umount", "--lazy", str(point))
