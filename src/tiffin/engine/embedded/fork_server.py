"""A process that has imported what a keeper does and forks them, for one that starts many containers in turn.

It is a child of the one that it works for, and ends with it. Each message on its standard input begins one keeper: its
plan, the file for its last words, and what it is handed (see `keepers`). It is answered when nothing of that is held
here any more. Standard library only.
"""

from __future__ import annotations

import json
import os
import socket

from tiffin.engine.embedded.begin import fork
from tiffin.engine.embedded.handing import received

_MOST = 253
"""Descriptors that the kernel takes in one message: SCM_MAX_FD."""


def main() -> None:
    """Fork keepers until nobody can ask for one any more."""
    channel = socket.socket(fileno=0)
    while descriptors := socket.recv_fds(channel, 1, _MOST)[1]:
        sheet, words, *rest = descriptors
        with open(sheet, "rb", closefd=False) as stream:
            plan = json.load(stream)
        fork(received(plan, rest), words)
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(b"1")
