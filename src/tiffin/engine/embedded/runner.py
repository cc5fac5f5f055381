"""Run one program of an image for its output, and end as it does; nobody of it outlives whoever started this.

As in a keeper's container, bubblewrap is the first process of a pid namespace: whatever ends it, whenever, the kernel
ends all that came of it (docs/adr/0034). Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from tiffin.engine.embedded import linux, stage

_NOT_PREPARED = 125
_SIGNAL = 128
"""What is added to the number of the signal that ended it, as bubblewrap does for the program's."""


def main() -> None:
    """Read from the command line whose child this is and what to launch; standard streams go through."""
    starter = int(sys.argv[1])
    launch: stage.Launch = json.loads(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends this, and with it all the rest, without a word
    try:
        if launch["become"] is None:
            stage.enter_user_namespace()
        linux.die_with_parent(signal.SIGKILL)
        if os.getppid() != starter:  # it died before we asked to die with it
            os._exit(_NOT_PREPARED)
        code = os.waitstatus_to_exitcode(os.waitpid(_start(launch), 0)[1])
    except OSError as error:
        os.write(2, f"tiffin: cannot prepare the container: {error}\n".encode())
        os._exit(_NOT_PREPARED)
    os._exit(code if code >= 0 else _SIGNAL - code)


def _start(launch: stage.Launch) -> int:
    """Start a process in a pid namespace of its own that becomes bubblewrap; returns its number."""
    lifeline, ours = os.pipe()
    child = linux.clone(linux.CLONE_NEWPID)
    if not child:
        os.close(ours)
        stage.build(launch)
        stage.become(launch["become"])
        stage.exec_bubblewrap(launch, [0, 1, 2], [], stage.Tail([], lifeline))
    os.close(lifeline)
    return child
