"""`attach` and `run` in the foreground: this process's streams become those of a container."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from tiffin.api.containers.foreground import ENDING, handling, stand_by
from tiffin.api.containers.verbs import engine_of
from tiffin.engine.keys import parse_keys
from tiffin.engine.spec import CanAttach, Container, ContainerSpec, Streams
from tiffin.errors import ConfigError, ConflictError, UnsupportedError

_PROXIED = (*ENDING, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def attach(name: str, *, detach_keys: str, stdin: bool, proxy: bool) -> int:
    """Attach to a container that runs and return its exit code, or 0 when it was left by the keys.

    `proxy` passes signals on to a container that has no terminal.
    """
    container = engine_of().find(name)
    attachable = _attachable(container)
    _check_terminal(container.spec, stdin=stdin)
    with contextlib.ExitStack() as handled:
        if proxy and not container.spec.tty:
            handled.enter_context(handling(_PROXIED, lambda number: _pass_on(container, number)))
        return attachable.attach(_streams(container.spec, stdin=stdin), detach_keys) or 0


def foreground(container: Container, detach_keys: str, *, started: Callable[[], None]) -> int | None:
    """Run a container with this process's streams until it ends, or None when it was left and goes on by itself.

    Ctrl-C and SIGTERM stop it. One that could not be started is forgotten; `started` is called for one that was.
    """

    def run(begun: Callable[[], None]) -> int | None:
        def begin() -> None:
            begun()
            started()

        return _attachable(container).run(_streams(container.spec, stdin=True), detach_keys, begin)

    return stand_by(run, container.stop, lambda: container.remove(force=True))


def check(*, stdin: bool, tty: bool, detach_keys: str) -> None:
    """Refuse what cannot be, before there is a container: a terminal where there is none, keys that are none."""
    parse_keys(detach_keys)
    if tty and stdin and not os.isatty(0):
        raise ConfigError("standard input is no terminal", "leave `-t` out: `-i` alone passes input on")


def _check_terminal(spec: ContainerSpec, *, stdin: bool) -> None:
    if spec.tty and spec.stdin and stdin and not os.isatty(0):
        raise ConfigError(
            f"{spec.name} has a terminal, and standard input is none", "leave input out: `tiffin attach --no-stdin …`"
        )


def _attachable(container: Container) -> CanAttach:
    if not isinstance(container, CanAttach):
        raise UnsupportedError(f"{container.spec.name} is of an engine that cannot attach", "`tiffin logs -f` shows it")
    return container


def _streams(spec: ContainerSpec, *, stdin: bool) -> Streams:
    """This process's; input is read only for a container that has one."""
    return Streams(stdin=0 if spec.stdin and stdin else None, stdout=1, stderr=2)


def _pass_on(container: Container, number: int) -> None:
    with contextlib.suppress(ConflictError):  # it has just ended
        container.kill(signal.Signals(number).name)
