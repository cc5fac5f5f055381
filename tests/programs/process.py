"""Other people's programs as processes: started, waited for until they are ready, and stopped by their process id."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

DEADLINE_SECONDS = 60
STEP_SECONDS = 0.02
PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def run(*argv: str, env: Mapping[str, str] | None = None, seconds: float = 600) -> str:
    """Run a program to its end and return what it printed; raises AssertionError with its own words."""
    done = subprocess.run(
        argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"`{' '.join(argv)}` exited with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def wait_until(holds: Callable[[], bool], what: Callable[[], str], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition; raises AssertionError that says `what` was the matter when the deadline has passed."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"still not so after {seconds:g} s: {what()}"
        time.sleep(STEP_SECONDS)


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
        wait_until(lambda: process.poll() is not None or ready(), lambda: f"{argv[0]} is ready\n{log.read_text()}")
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
