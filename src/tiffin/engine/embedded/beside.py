"""What stands beside a container: its map of ids, the relay of its ports, its way to the outside.

bubblewrap has made the container's namespaces and waits while they are seen to. Standard library only (see `keeper`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time

from tiffin.engine.embedded import linux, mapping, stage

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[int, int, int], None]
    """What an attendant does for a process; the descriptor that it writes to when it is at work, and holds as long as
    it is; and one that ends when it is wanted no more."""

_LONGEST = 32
_PAUSE = 0.001


class Beside:
    """One run of a container, seen from beside it."""

    def __init__(self, launch: stage.Launch, listeners: list[int]) -> None:
        """Sort the listening sockets, handed in or relayed, and fork what will be needed while it is root or you."""
        pairs = list(zip(listeners, launch["relays"], strict=True))
        relayed = [(listener, port) for listener, port in pairs if port]
        self.handed = [listener for listener, port in pairs if not port]
        self._launch = launch
        self._early, self._late = list[Attendant](), list[Attendant]()
        if relayed:
            from tiffin.engine.embedded import forward  # noqa: PLC0415 - few containers need it, and later may be denied

            kept = [listener for listener, _ in relayed]
            self._early.append(
                Attendant(launch, lambda process, say, told: forward.serve(process, say, told, relayed), kept)
            )
        if command := launch["outside"]:
            self._late.append(Attendant(launch, lambda process, say, _: connect(process, say, command), []))
        self._needed = bool(launch["maps"] or self._early or self._late)
        if self._needed:
            self._info = os.pipe()

    def options(self, gate: int) -> dict[str, int]:
        """What bubblewrap is told so that it waits at the gate; called in the process that becomes it.

        It waits there for the map, and closes the gate when it waits there again, for the program's start: any other
        descriptor that it waits at for its map it would leave to the program.
        """
        if not self._needed:
            return {}
        os.close(self._info[0])
        waiting = {"--userns-block-fd": gate} if self._launch["maps"] else {}
        return {"--info-fd": self._info[1], **waiting}

    def stand(self, bubblewrap: int, gate: int) -> None:
        """Wait until bubblewrap's child is there, give it its ids, and start what stands beside it; raises Refused."""
        if not self._needed:
            return
        os.close(self._info[1])
        process = linux.child_of(bubblewrap) if os.read(self._info[0], 1) else 0
        try:
            if process:
                self._see_to(process, gate)
        except (BrokenPipeError, FileNotFoundError, ProcessLookupError):  # it has just died, and its exit says why
            return

    def _see_to(self, process: int, gate: int) -> None:
        maps = self._launch["maps"]
        if maps:
            mapping.write(process, maps)
        for attendant in self._early:
            attendant.begin(process)
        if maps:
            os.write(gate, b"1")
        for attendant in self._late:  # bubblewrap sets the loopback up, and wants to find it untouched
            attendant.begin(process)

    def end(self) -> None:
        """End what stands beside a container that has ended."""
        for attendant in (*self._early, *self._late):
            attendant.end()
        self._early, self._late = [], []
        if self._needed:
            os.close(self._info[0])  # not before: bubblewrap may write more than was read
            self._needed = False


class Attendant:
    """A process beside a container: forked outside its process namespace, and told later which it is."""

    def __init__(self, launch: stage.Launch, work: Work, kept: list[int]) -> None:
        """Fork it; it has nothing open but the descriptors that it keeps."""
        keeper = os.getpid()
        told, self._tell = os.pipe()
        self._said, say = os.pipe()
        self._process = os.fork()
        if self._process:
            os.close(told)
            os.close(say)
            return
        try:
            keep_only([told, say, *kept])
            process = int(os.read(told, _LONGEST) or b"0")
            stage.become(launch["become"], launch["group"])
            linux.die_with_parent(signal.SIGKILL)
            if process and os.getppid() == keeper:
                work(process, say, told)
        finally:
            os._exit(1)  # whatever it was, it shows in what was not said

    def begin(self, process: int) -> None:
        """Tell it which process is the container's, and wait until it is at work; raises Refused if it ends."""
        os.write(self._tell, str(process).encode())
        if not os.read(self._said, 1):
            raise stage.Refused(
                "command", "its way to the network could not be made", "run it without `-p`, or try again"
            )

    def end(self) -> None:
        """End it, and those that it has made, and wait for them: they hold the listening sockets."""
        os.close(self._tell)
        os.kill(self._process, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):  # most have no group of their own
            os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        while os.read(self._said, _LONGEST):
            pass
        os.close(self._said)


def connect(process: int, said: int, command: list[str]) -> None:
    """Become the program that connects the container's network with the outside, once its loopback is up."""
    while not _loopback(process):
        time.sleep(_PAUSE)
    network = linux.open_network(process)
    owner = fcntl.ioctl(network, linux.NS_GET_USERNS)
    for descriptor in (said, network, owner):
        os.set_inheritable(descriptor, True)
    places = {"NETWORK": f"/proc/self/fd/{network}", "OWNER": f"/proc/self/fd/{owner}", "READY": str(said)}
    filled = [places.get(word, word) for word in command]
    os.execve(filled[0], filled, {"PATH": mapping.PATH})  # noqa: S606 - the keeper imports no subprocess


def _loopback(process: int) -> bool:
    """Say whether the loopback of a process is up; one that has died is not worth waiting for."""
    try:
        with open(f"/proc/{process}/net/fib_trie") as stream:  # noqa: PTH123 - see `stage`
            return "127.0.0.1" in stream.read()
    except OSError:
        return True


def keep_only(kept: list[int]) -> None:
    """Close everything but these descriptors and the standard streams."""
    at = 3
    for descriptor in sorted(kept):
        os.closerange(at, descriptor)
        at = descriptor + 1
    os.closerange(at, 1 << 16)
