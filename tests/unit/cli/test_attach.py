"""`run`, `attach` and `exec` as a person types them at a terminal: what the keys, the window and signals do."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from contract.engine_fixtures import DEADLINE, busybox_image
from programs.waiting import until
from tiffin.oci.copy import copy
from tiffin.store.layout import LayoutStore


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder with an image of busybox called box."""
    stock(tmp_path)
    yield tmp_path
    for row in json.loads(said(tmp_path, "ps", "-a", "--json")):
        said(tmp_path, "rm", "-f", row["name"])


def stock(home: Path) -> None:
    """Put an image of busybox called box there."""
    store, image = busybox_image()
    layout = LayoutStore(home / "data")
    copy(store, layout, image.descriptor)
    layout.tag("box:latest", image.descriptor)


def environment(data: Path) -> dict[str, str]:
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    return {name: value for name, value in os.environ.items() if name != "TIFFIN_ENGINE"} | {
        "TIFFIN_HOME": str(data), "PYTHONPATH": paths, "TIFFIN_PROGRESS": "none",
    }  # fmt: skip


def argv(*words: str) -> list[str]:
    return [sys.executable, "-m", "tiffin", *words]


def said(data: Path, *words: str, **more: object) -> str:
    done = subprocess.run(argv(*words), env=environment(data), capture_output=True, check=True, text=True, **more)  # type: ignore[call-overload]
    return str(done.stdout)


class Terminal:
    """A terminal with one command line in it, as its session's leader."""

    def __init__(self, data: Path, *words: str, more: Mapping[str, str] = MappingProxyType({})) -> None:
        self.ours, self.theirs = os.openpty()
        termios.tcsetwinsize(self.theirs, (33, 101))
        self.before = termios.tcgetattr(self.theirs)
        self.seen = b""
        # Whoever started the tests may ignore SIGHUP, which everybody below would then do too.
        leads = "import os, sys, fcntl, signal, termios; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        leads += "os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        run = [sys.executable, "-c", leads + "os.execv(sys.argv[1], sys.argv[1:])", *argv(*words)]
        self.process = subprocess.Popen(
            run, stdin=self.theirs, stdout=self.theirs, stderr=self.theirs, env=environment(data) | dict(more)
        )

    def see(self, wanted: bytes) -> None:
        due = time.monotonic() + DEADLINE
        while wanted not in self.seen:
            assert select.select([self.ours], [], [], max(0.0, due - time.monotonic()))[0], self.seen
            self.seen += os.read(self.ours, 4096)

    def type(self, text: bytes) -> None:
        os.write(self.ours, text)

    def end(self) -> int:
        """Wait for the end; the terminal is as it was."""
        code = self.process.wait(DEADLINE)
        assert termios.tcgetattr(self.theirs) == self.before
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@contextmanager
def terminal(data: Path, *words: str, more: Mapping[str, str] = MappingProxyType({})) -> Iterator[Terminal]:
    opened = Terminal(data, *words, more=more)
    try:
        yield opened
    finally:
        opened.close()


def test_a_shell_is_run_and_forgotten(data: Path) -> None:
    with terminal(data, "run", "-it", "--rm", "box", "sh") as screen:
        screen.see(b"# ")
        screen.type(b"busybox stty size\r")
        screen.see(b"33 101")
        screen.type(b"exit 5\r")
        assert screen.end() == 5
    assert said(data, "ps", "-a", "--json").strip() == "[]"


def test_the_window_is_followed(data: Path) -> None:
    script = "trap 'busybox stty size' WINCH; echo waiting; while :; do sleep 0.05; done"
    with terminal(data, "run", "-it", "--rm", "--stop-timeout", "0", "box", "sh", "-c", script) as screen:
        screen.see(b"waiting")
        termios.tcsetwinsize(screen.theirs, (44, 120))
        screen.see(b"44 120")


def test_ctrl_c_is_the_programs_and_without_a_terminal_it_stops_the_container(data: Path) -> None:
    script = "trap 'echo stopped; exit 6' TERM; trap 'echo key; exit 4' INT; echo waiting; while :; do sleep 0.05; done"
    for options, code in (("-it", 4), ("-i", 6)):
        with terminal(data, "run", options, "--rm", "box", "sh", "-c", script) as screen:
            screen.see(b"waiting")
            screen.type(b"\x03")
            screen.see(b"key" if code == 4 else b"stopped")
            assert screen.end() == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("verb", ["attach", "exec"])
def test_a_terminal_is_restored_when_a_signal_ends_the_command_line(
    data: Path, number: signal.Signals, verb: str
) -> None:
    said(data, "run", "-dit", "--name", "one", "box", "sh")
    words = ["attach", "one"] if verb == "attach" else ["exec", "-it", "one", "sh"]
    with terminal(data, *words) as screen:
        until(lambda: termios.tcgetattr(screen.theirs) != screen.before)
        screen.process.send_signal(number)
        assert screen.end() == -number
    assert json.loads(said(data, "inspect", "one"))["state"]["status"] == "running"


def test_a_terminal_is_restored_when_the_container_is_killed(data: Path) -> None:
    with terminal(data, "run", "-it", "--name", "one", "box", "sh") as screen:
        screen.see(b"# ")
        said(data, "kill", "one")
        assert screen.end() == 137


def test_keys_of_ones_own_leave_a_container_which_goes_on(data: Path) -> None:
    with terminal(data, "run", "-it", "--rm", "--name", "one", "--detach-keys", "ctrl-a,d", "box", "sh") as screen:
        screen.see(b"# ")
        screen.type(b"\x01d")
        assert screen.end() == 0
    assert json.loads(said(data, "inspect", "one"))["state"]["status"] == "running"
    with terminal(data, "attach", "one") as screen:
        screen.type(b"exit 8\r")
        assert screen.end() == 8


def test_a_container_ends_with_the_command_line_that_runs_it(data: Path) -> None:
    with terminal(data, "run", "-it", "--name", "one", "--stop-timeout", "0", "box", "sh") as screen:
        screen.see(b"# ")
    until(lambda: json.loads(said(data, "inspect", "one"))["state"]["status"] == "exited")


def test_signals_are_passed_on_to_what_has_no_terminal_unless_it_is_said_otherwise(data: Path) -> None:
    script = "trap 'echo heard; exit 3' USR1; echo ready; while :; do sleep 0.05; done"
    said(data, "run", "-d", "--name", "one", "box", "sh", "-c", script)
    until(lambda: "ready" in said(data, "logs", "one"))
    with terminal(data, "attach", "--sig-proxy=false", "one") as screen:
        until(lambda: _sleeps(screen.process.pid))
        screen.process.send_signal(signal.SIGUSR1)
        assert screen.end() == -signal.SIGUSR1
    with terminal(data, "attach", "one") as screen:
        until(lambda: _handles(screen.process.pid, signal.SIGUSR1))
        screen.process.send_signal(signal.SIGUSR1)
        assert screen.end() == 3
        screen.see(b"heard")


def test_a_reader_that_leaves_ends_the_container(data: Path) -> None:
    run = argv("run", "--name", "one", "--stop-timeout", "0", "box", "busybox", "yes")
    with subprocess.Popen(run, env=environment(data), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout
        assert running.stdout.read(4) == b"y\ny\n"
        running.stdout.close()
        assert running.wait(DEADLINE) == 141
    until(lambda: json.loads(said(data, "inspect", "one"))["state"]["status"] == "exited")


def test_input_of_a_pipe_goes_through_a_container(data: Path) -> None:
    piped = said(data, "run", "-i", "--rm", "box", "wc", "-c", input="words\n")
    assert piped.strip() == "6"


def test_a_terminal_is_not_had_where_there_is_none(data: Path) -> None:
    done = subprocess.run(
        argv("run", "-it", "box", "sh"),
        env=environment(data),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    assert b"standard input is no terminal" in done.stderr
    assert said(data, "ps", "-a", "--json").strip() == "[]"


def _handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of a signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(line.split()[1] for line in lines if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def _sleeps(pid: int) -> bool:
    """Whether a process has threads, which one that is attached has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
