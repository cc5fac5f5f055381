"""What stands beside a container: its map of ids, the relay of its ports, its way to the outside.

bubblewrap has made the container's namespaces and waits while they are seen to. Standard library only (see `keeper`).
"""

from __future__ import annotations

import fcntl
import os
import signal

from tiffin.engine.embedded import linux, mapping, stage

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from collections.abc import Callable

_PROC_NET = "/proc/{}/ns/net"


class Beside:
    """One run of a container, seen from beside it."""

    def __init__(self, launch: stage.Launch, listeners: list[int]) -> None:
        """Sort the listening sockets: those that are handed in, and those that are relayed."""
        pairs = list(zip(listeners, launch["relays"], strict=True))
        self._launch = launch
        self._relayed = [(listener, port) for listener, port in pairs if port]
        self.handed = [listener for listener, port in pairs if not port]
        self._needed = bool(launch["maps"] or self._relayed or launch["outside"])
        if self._needed:
            self._info, self._block = os.pipe(), os.pipe()
        self._processes: list[int] = []

    def give(self, descriptors: list[int]) -> None:
        """Let the container's user open its streams anew, where it is another than the keeper's."""
        if user := self._launch["user"]:
            for descriptor in descriptors:
                os.fchown(descriptor, *user)

    def options(self) -> dict[str, int]:
        """What bubblewrap is told so that it waits; called in the process that becomes it."""
        if not self._needed:
            return {}
        os.close(self._info[0])
        os.close(self._block[1])
        waiting = {"--userns-block-fd": self._block[0]} if self._launch["maps"] else {}
        return {"--info-fd": self._info[1], **waiting}

    def stand(self, child: Callable[[], int]) -> None:
        """Wait until bubblewrap's child is there, give it its ids, and start what stands beside it."""
        if not self._needed:
            return
        if self._relayed:  # now: whom we become may not read what is ours
            from tiffin.engine.embedded import forward  # noqa: PLC0415 - few containers need it

            self._forward = forward
        os.close(self._info[1])
        os.close(self._block[0])
        try:
            if os.read(self._info[0], 1):
                self._see_to(child())
        finally:
            os.close(self._block[1])

    def _see_to(self, process: int) -> None:
        if not process:  # it has just died
            return
        maps = self._launch["maps"]
        if maps:
            mapping.write(process, maps)
        if self._relayed:
            self._start(lambda: self._relay(process))
        if self._launch["outside"]:
            self._start(lambda: self._connect(process))
        if maps:
            os.write(self._block[1], b"1")

    def end(self) -> None:
        """End what stands beside a container that has ended."""
        for process in self._processes:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        self._processes.clear()
        if self._needed:
            os.close(self._info[0])  # not before: bubblewrap may write more than was read

    def _start(self, work: Callable[[], None]) -> None:
        """Fork a process, and wait until it says that it is ready, or ends.

        It is in the process namespace whose first process is bubblewrap, and so ends with the container at the latest.
        """
        self._ready, said = os.pipe()
        process = os.fork()
        if process:
            os.close(said)
            os.read(self._ready, 1)
            os.close(self._ready)
            self._processes.append(process)
            return
        try:
            self._said = said
            launch = self._launch
            stage.become(launch["become"], launch["group"])
            work()
        finally:
            os._exit(1)

    def _relay(self, process: int) -> None:
        """Become the relay: listening outside, connecting inside."""
        _keep_only([self._said, *(listener for listener, _ in self._relayed)])
        network = enter_network(process)
        self._forward.allow_low_ports()
        linux.bound_capabilities()
        linux.drop_capabilities()
        os.close(network)
        os.close(self._said)
        self._forward.relay(self._relayed)

    def _connect(self, process: int) -> None:
        """Become the program that connects the container's network with the outside."""
        network = os.open(_PROC_NET.format(process), os.O_RDONLY)
        owner = fcntl.ioctl(network, linux.NS_GET_USERNS)
        _keep_only([self._said, network, owner])
        for descriptor in (self._said, network, owner):
            os.set_inheritable(descriptor, True)
        places = {"NETWORK": f"/proc/self/fd/{network}", "OWNER": f"/proc/self/fd/{owner}", "READY": str(self._said)}
        command = [places.get(word, word) for word in self._launch["outside"]]
        os.execve(command[0], command, {"PATH": mapping.PATH})  # noqa: S606 - the keeper imports no subprocess


def enter_network(process: int) -> int:
    """Enter the network of a process and the user namespace that owns it; returns the network's descriptor."""
    network = os.open(_PROC_NET.format(process), os.O_RDONLY | os.O_CLOEXEC)
    linux.setns(fcntl.ioctl(network, linux.NS_GET_USERNS))
    linux.setns(network)
    return network


def _keep_only(kept: list[int]) -> None:
    """Close everything but these descriptors and the standard streams."""
    at = 3
    for descriptor in sorted(kept):
        os.closerange(at, descriptor)
        at = descriptor + 1
    os.closerange(at, 1 << 16)
