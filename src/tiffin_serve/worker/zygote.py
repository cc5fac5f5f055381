"""A worker that forks: it has loaded the model, has never predicted, and its children predict.

What no fork survives is another thread (its locks stay locked in the child) and a GPU, so that a process with either
never offers to fork. What else may break shows in the child's first answer, for which it has a deadline.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Set

from tiffin_serve.worker.frames import encode

STOPS = (signal.SIGTERM, signal.SIGINT)
"""What a worker is told to stop by."""
_HEAVY = ("torch", "tensorflow", "jax", "keras", "cupy", "onnxruntime")
"""What starts threads or a GPU's driver whenever it likes."""


def name_nest() -> str:
    """Give a name for this process as a zygote, or nothing where it must not fork."""
    return os.urandom(8).hex() if _is_clean() else ""


def _is_clean() -> bool:
    """Say whether a child would be whole: no other thread, no heavy framework, no connection to elsewhere."""
    if not hasattr(os, "fork") or any(name in sys.modules for name in _HEAVY):
        return False
    own = Path("/proc/self")
    try:
        descriptors = list((own / "fd").iterdir())
        return len(list((own / "task").iterdir())) == 1 and not any(map(_is_connection, descriptors))
    except OSError:
        return False


def _is_connection(descriptor: Path) -> bool:
    """Say whether two processes would speak on it at once; the standard three are made for that."""
    try:
        return descriptor.name not in {"0", "1", "2"} and os.readlink(descriptor).startswith("socket:")  # noqa: PTH115 - no path
    except OSError:  # the one that this folder was read by
        return False


class Zygote:
    """The children of this process, and its way to tell how they end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._children: Set[int] = set()
        self._stopped = False

    def fork(self, count: int, child: Callable[[], int]) -> None:
        """Have so many children run `child`, whose result is their exit status; none once it was stopped."""
        gc.freeze()  # a collection would write into every object, and what is written to is no longer shared
        signal.signal(signal.SIGCHLD, lambda *_: self._reap())
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # until a child has a connection of its own to end
        try:
            for _ in range(0 if self._stopped else count):  # a signal that came before has been heard by now
                pid = os.fork()
                if not pid:
                    _run(child)
                self._children.add(pid)
        except OSError as error:
            self._tell({"kind": "ended", "pid": 0, "status": 1, "message": "it cannot be forked: %s" % error})
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        self._reap()  # one may have ended before it was noted

    def stop(self, number: int) -> None:
        """Send every child a signal, and have no more."""
        self._stopped = True
        for pid in list(self._children):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                self._children.discard(pid)

    def disown(self) -> None:
        """End all children, for this process is to work itself."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # of their ends the front hears by their own connections
        self.stop(signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        """Wait for all children to end."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for pid in list(self._children):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._children.clear()

    def _reap(self) -> None:
        """See which children have ended: only ours, for the model may have processes of its own."""
        for pid in list(self._children):
            try:
                found, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if found:
                self._children.discard(pid)
                code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                self._tell({"kind": "ended", "pid": pid, "status": code})

    def _tell(self, frame: "Dict[str, Any]") -> None:
        try:
            self._connection.sendall(encode(frame))
        except OSError:
            return  # the front is gone, which the next read says as well


def _run(child: "Callable[[], int]") -> None:
    """Be a child: nothing of the parent's may run here, its ends and clean-ups included."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None:
            numpy_random.seed()  # as Python's own generator does: siblings that draw alike help nobody
        status = child()
    except BaseException as error:  # noqa: BLE001 - it must not go on as the parent
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
