"""Run a further program in a container: what `join` is told, and the bytes between its streams and the caller's.

The program never has a descriptor of the caller's, only pipes or a terminal of its own: what it could do to a file or
terminal by opening it anew, it cannot do.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from functools import partial

import msgspec

from tiffin.engine.devices import Devices, find_devices, with_devices
from tiffin.engine.embedded import join
from tiffin.engine.embedded.argv import environment
from tiffin.engine.embedded.boot import paper, python
from tiffin.engine.embedded.ids import Identity, identity, several
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.embedded.seccomp import program
from tiffin.engine.plan import CAPABILITY_MASK, Accounts, absolute, checked, parse_user
from tiffin.engine.relay import copy
from tiffin.engine.screen import USUAL, raw, resizing, size
from tiffin.engine.spec import Command, ContainerSpec, Streams
from tiffin.errors import TiffinError, UnsupportedError

_SOCKETS = ("LISTEN_FDS", "LISTEN_FDNAMES")


def check(spec: ContainerSpec, command: Command) -> None:
    """Refuse what cannot be: a working directory or a variable that is none, another user than the container's."""
    checked(command.env)
    if command.cwd:
        absolute("working directory", command.cwd)
    own = "{}:{}".format(*spec.user)
    if command.user not in {"", own, own.partition(":")[0]} and not several(spec):
        raise UnsupportedError(
            f"{spec.name} has one user, {own}, and {command.user!r} is another", "leave `-u` out; it cannot be another"
        )


def run(pid: int, process: int, spec: ContainerSpec, command: Command, streams: Streams) -> int:
    """Run a program in the container whose first process has this number and this descriptor of /proc/PID."""
    machine = Machine.here()
    with contextlib.ExitStack() as opened:
        channel, theirs = (opened.enter_context(end) for end in socket.socketpair())
        lifeline, ours = os.pipe()
        for descriptor in (lifeline, ours):
            opened.callback(os.close, descriptor)
        who = _who(spec, command, machine)
        pipes = _Pipes(opened, who.host)
        handed = [process, lifeline, *([theirs.fileno()] if command.tty else [])]
        plan: join.Plan = {
            **_decide(spec, command, machine, who),
            "pid": pid,
            "process": process,
            "lifeline": lifeline,
            "begun": None,
            "terminal": theirs.fileno() if command.tty else None,
            "size": size(streams.stdin, streams.stdout),
        }
        helper = _spawn(plan, pipes, handed)
        opened.callback(_end, helper)
        theirs.close()
        pipes.handed_over()
        return _relay(helper, pipes, channel if command.tty else None, streams)


def leave(pid: int, process: int, spec: ContainerSpec, command: Command) -> int:
    """Run a program that is left to itself; return 0 when it has begun, else say why not and return the code."""
    machine = Machine.here()
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0) as words:
        plan: join.Plan = {
            **_decide(spec, command, machine, _who(spec, command, machine)),
            "pid": pid,
            "process": process,
            "lifeline": None,
            "begun": writing,
            "terminal": None,
            "size": USUAL,
        }
        try:
            _spawn(plan, _Streams(), [process, writing]).wait()
        finally:
            os.close(writing)
        code, said = json.loads(words.readall() or b'[0, ""]')
    os.write(2, said.encode())
    return int(code)


def _who(spec: ContainerSpec, command: Command, machine: Machine) -> Identity:
    """Who the program is: the container's user, or another of those it has."""
    who = identity(spec, machine.become, machine.ids)
    if not command.user or who.inside is None:
        return who
    inside = parse_user(command.user, Accounts())
    identity(msgspec.structs.replace(spec, user=inside), machine.become, machine.ids)
    return msgspec.structs.replace(who, inside=inside)


def _decide(spec: ContainerSpec, command: Command, machine: Machine, who: Identity) -> join.Program:
    """What is run and how it is confined: as the container is, but for what the command says."""
    host = who.host or (None, None)
    own = {"TERM": "xterm"} if command.tty else {}
    devices = _devices(spec)
    inherited = {key: value for key, value in environment(with_devices(spec, devices)).items() if key not in _SOCKETS}
    return {
        "become": host[0],
        "group": host[1],
        "groups": list(devices.groups),
        "user": list(who.inside) if who.inside else None,
        "capabilities": CAPABILITY_MASK if who.inside and who.inside[0] == 0 else 0,
        "argv": list(command.argv),
        "env": own | inherited | command.env,
        "cwd": command.cwd or spec.cwd,
        "seccomp": program(machine.architecture).hex(),
    }


class _Streams:
    """What a program has as standard streams; nothing is read here, and nobody hears it."""

    stdin = stdout = stderr = subprocess.DEVNULL


def _devices(spec: ContainerSpec) -> Devices:
    """What its devices set; one that has them keeps running though a spec went away, and so do its programs."""
    try:
        return find_devices(spec.devices)
    except TiffinError:
        return Devices()


class _Pipes(_Streams):
    """Three pipes to a program: our ends, and its own until they are handed over."""

    def __init__(self, opened: contextlib.ExitStack, owner: tuple[int, int] | None) -> None:
        self.stdin, self.to_program = os.pipe()
        self.from_stdout, self.stdout = os.pipe()
        self.from_stderr, self.stderr = os.pipe()
        self.theirs = [self.stdin, self.stdout, self.stderr]
        if owner is not None:
            for descriptor in self.theirs:  # so that a program may open /dev/stdout anew
                os.fchown(descriptor, *owner)
        opened.callback(self.handed_over)

    def handed_over(self) -> None:
        """Close the program's ends: it has them."""
        while self.theirs:
            os.close(self.theirs.pop())


def _spawn(plan: join.Plan, streams: _Streams, handed: list[int]) -> subprocess.Popen[bytes]:
    """Start the process that joins; what it is told is where no other user of the machine reads it."""
    with paper(plan) as descriptor:
        return subprocess.Popen(
            [*python("join"), str(descriptor)],
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            cwd="/",
            env={},
            pass_fds=(*handed, descriptor),
            start_new_session=True,
        )


def _relay(helper: subprocess.Popen[bytes], pipes: _Pipes, channel: socket.socket | None, streams: Streams) -> int:
    """Carry bytes until the program has ended and what it wrote is read."""
    done, over = os.pipe()
    master = _master(channel) if channel else None
    sinks = [(pipes.from_stderr, streams.stderr), (pipes.from_stdout, streams.stdout)]
    if master is not None:
        sinks.append((os.dup(master), streams.stdout))
    work: list[Callable[[], None]] = [partial(copy, *pair, done) for pair in sinks]
    work.append(partial(_feed, streams.stdin, pipes.to_program, master, done))
    threads = [threading.Thread(target=task) for task in work]
    with resizing(master, streams.stdin, streams.stdout), raw(streams.stdin, other=master):
        for thread in threads:
            thread.start()
        try:
            return helper.wait()
        finally:
            _end(helper)
            os.close(over)
            for thread in threads:
                thread.join()
            for descriptor in (done, *([] if master is None else [master])):
                os.close(descriptor)


def _feed(source: int | None, pipe: int, master: int | None, done: int) -> None:
    """Give the program what there is to read, and let it see the end of that."""
    if master is not None:
        os.close(pipe)
        if source is not None:
            copy(source, master, done, keep=True, drain=False)
        return
    try:
        if source is not None:
            copy(source, pipe, done, keep=True, drain=False)
    finally:
        os.close(pipe)


def _master(channel: socket.socket) -> int | None:
    """Get the terminal's master; none comes from a program that was never run."""
    _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    return descriptors[0] if descriptors else None


def _end(helper: subprocess.Popen[bytes]) -> None:
    """Let nothing go on that we do not wait for: the helper takes the program with it."""
    if helper.poll() is None:
        helper.kill()
        helper.wait()
