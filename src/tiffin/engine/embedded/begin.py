"""The first and the last of a keeper as its starter sees them. Standard library only.

A keeper is a program of its own, which whoever starts it executes. Where the starter is one thread and has imported
little more than a keeper has, it forks instead: what a keeper begins with is there already (docs/adr/0023, 0053).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys

from tiffin.engine.embedded import keeper
from tiffin.engine.embedded.handing import handed

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from typing import NoReturn

_HANDLED = (signal.SIGINT, signal.SIGTERM)
_MESSAGE = 1 << 16
_SOURCES = os.path.abspath(f"{__file__}/../../../..")  # noqa: PTH100 - see `stage`


def fork(plan: keeper.Plan, words: int) -> None:
    """Fork a keeper that is nobody's child; what it dies of it says in `words`. For processes with one thread."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)  # until the keeper handles none as we do
    child = os.fork()
    if not child:
        _leave(plan, words, before)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.waitpid(child, 0)


def heard(lease: socket.socket) -> dict[str, object]:
    """What the keeper says of the start: "started", or why not; nothing where it died."""
    try:
        answer: dict[str, object] = json.loads(lease.recv(_MESSAGE) or b"{}")
    except OSError:
        return {}
    return answer


def reach(folder: int) -> socket.socket | None:
    """Talk to the keeper in an open folder, if there is one; its address must be short, so a descriptor leads there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{keeper.CONTROL}")
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def _leave(plan: keeper.Plan, words: int, mask: set[int]) -> NoReturn:
    """Become a keeper: in a session of its own, with nothing of the starter's but what it is given."""
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.chdir("/")
        _keep_only(words, {*handed(plan)})
        library = os.path.dirname(os.__file__)  # noqa: PTH120 - see `stage`
        sys.path[:] = [library, f"{library}/lib-dynload", _SOURCES]  # as `boot.python` has it; no folder of a user's
        keeper.keep(plan)
    except BaseException:  # noqa: BLE001 - it is said where a keeper's words are read
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(1)


def _keep_only(words: int, kept: set[int]) -> None:
    """Read nothing, write nowhere but what is said of a death, and hold no other descriptor."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number, descriptor in enumerate((nothing, nothing, words)):
        os.dup2(descriptor, number)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers
        if int(name) > 2 and int(name) not in kept:  # noqa: PLR2004 - the standard streams
            with contextlib.suppress(OSError):  # what has listed them
                os.close(int(name))
