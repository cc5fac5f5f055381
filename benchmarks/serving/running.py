"""Starting a server, waiting for its first right answer, and ending it with everything that it started."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import Command
from benchmarks.memory import family
from tiffin.traffic.address import Address, Question

from .peer import Job, Launch
from .processes import of_session

STEP_SECONDS = 0.005
START_SECONDS = 90
END_SECONDS = 15
LOG = "log.txt"


@dataclass(frozen=True)
class Running:
    """A server that has answered right; `first` are the seconds from its start until then."""

    process: subprocess.Popen[bytes]
    address: Address
    first: float


def post(address: Address, question: Question) -> bytes:
    """Ask once; raises OSError or ValueError where the answer is no success."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=30)
    try:
        headers = {"Content-Type": "application/json", **question.headers}
        connection.request(question.method, question.path, question.body, headers)
        response = connection.getresponse()
        body = response.read()
        if response.status >= 300:
            raise ValueError(f"{response.status}: {body[:300].decode(errors='replace')}")
    except http.client.HTTPException as error:
        raise ValueError(repr(error)) from error
    else:
        return body
    finally:
        connection.close()


@contextmanager
def running(
    job: Job, launch: Launch, question: Question, right: Callable[[bytes], bool], *, gently: bool = True
) -> Iterator[Running]:
    """Run a server for the time of a `with`; raises AssertionError with its last words when it never answers right.

    Where nobody looks at how it ends, it need not end `gently`, which takes some of them seconds.
    """
    environment = _lay(job, launch)
    address = Address(host="127.0.0.1", port=job.port)
    with (job.folder / LOG).open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            launch.argv,
            env=environment,
            cwd=job.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(process, job, address, question, right)
        yield Running(process, address, time.perf_counter() - began)
    finally:
        end(process, END_SECONDS if gently else 0)


def _lay(job: Job, launch: Launch) -> dict[str, str]:
    job.folder.mkdir(parents=True, exist_ok=True)
    for name, text in launch.files.items():
        (job.folder / name).write_text(text)
    given = {"PATH": f"{job.programs}:/usr/bin:/bin", "HOME": str(job.folder), "LANG": "C.UTF-8"}
    environment = {**given, **launch.environment}
    if launch.before:
        Command(launch.before, environment, job.folder).run()
    return environment


def _wait(
    process: subprocess.Popen[bytes], job: Job, address: Address, question: Question, right: Callable[[bytes], bool]
) -> None:
    deadline, said = time.monotonic() + START_SECONDS, ""
    while True:
        try:
            body = post(address, question)
        except (OSError, ValueError) as error:
            said = str(error)
        else:
            assert right(body), f"it answers wrong: {body[:300].decode(errors='replace')}"
            return
        if process.poll() is not None or time.monotonic() > deadline:
            words = (job.folder / LOG).read_text(errors="replace")[-2000:]
            raise AssertionError(f"{words}\n{' '.join(process.args)} never answered right: {said}")  # type: ignore[arg-type]  # a list of text
        time.sleep(STEP_SECONDS)


def end(process: subprocess.Popen[bytes], patience: float = END_SECONDS) -> None:
    """End a server and everything that it started; it has so many seconds to do so by itself."""
    everyone = list(family([process.pid]))
    if patience and process.poll() is None:
        process.send_signal(signal.SIGTERM)
    if patience:
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    for pid in {*everyone, *of_session(process.pid)}:
        if pid != process.pid or process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def forget(folder: Path) -> None:
    """Remove what a server left."""
    shutil.rmtree(folder, ignore_errors=True)
