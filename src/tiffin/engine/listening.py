"""Whether a program listens on a port of its own network, asked of the kernel and not of the program."""

from __future__ import annotations

from pathlib import Path

_LISTEN = "0A"
"""TCP_LISTEN, as /proc/net/tcp says it (proc_net_tcp in the kernel's Documentation/networking)."""


def listens(pid: int, port: int) -> bool:
    """Say whether anybody listens on a TCP port where this process is; where it cannot be told, they do."""
    if not pid:
        return False  # between two runs
    try:
        texts = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    except OSError:  # an engine on another machine, or a process that has just ended
        return True
    return any(is_listening(text, port) for text in texts)


def is_listening(table: str, port: int) -> bool:
    """Look for a listening socket of a port in /proc/net/tcp or tcp6."""
    rows = (line.split() for line in table.splitlines()[1:])
    return any(row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port for row in rows)
