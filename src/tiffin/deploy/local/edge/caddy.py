"""Caddy as a process of this machine, told over its admin socket; it goes on when the supervisor dies."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from tiffin.deploy.local.edge.config import CERTIFICATES, HTTP, HTTPS, UNPRIVILEGED, Ports, Route, document
from tiffin.deploy.local.fronts import Local
from tiffin.errors import ConfigError, TiffinError, UnavailableError, UnsupportedError

FOLDER, SOCKET, LOG = "edge", "admin.sock", "caddy.log"
START_SECONDS, ANSWER_SECONDS = 10.0, 30.0
LONGEST_LOG = 4 << 20
_PEER = struct.Struct("3i")
"""struct ucred: process, user, group (unix(7))."""
_HIGHEST = 65_535
_LOWEST = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def find_caddy() -> str:
    """Where Caddy is: beside this interpreter, where the extra puts it, or on PATH; raises UnsupportedError."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("caddy", path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if not found:
        raise UnsupportedError("the edge is Caddy's, which is not installed", "`pip install 'tiffin[edge]'`")
    return found


def default_ports() -> Ports:
    """Those that browsers ask, where this process may have them; else the usual others."""
    lowest = int(_LOWEST.read_text()) if _LOWEST.is_file() else 1024
    if os.geteuid() == 0 or lowest <= HTTP:
        return Ports(http=HTTP, https=HTTPS)
    return Ports(http=UNPRIVILEGED[0], https=UNPRIVILEGED[1])


def parse_ports(text: str) -> Ports:
    """Read `8080:8443`, for HTTP and for HTTPS; nothing gives the default ones. Raises ConfigError."""
    if not text:
        return default_ports()
    plain, colon, secure = text.partition(":")
    numbers = [int(one) for one in (plain, secure) if one.isdecimal() and 0 < int(one) <= _HIGHEST]
    if not colon or len(set(numbers)) != len((plain, secure)):
        raise ConfigError(f"not two ports: {text!r}", "write the one for HTTP and the one for HTTPS: `8080:8443`")
    return Ports(http=numbers[0], https=numbers[1])


class Edge:
    """Caddy in a folder of its own; nothing is remembered that cannot be pushed again."""

    def __init__(self, data: Path, ports: Ports, program: str = "") -> None:
        self._folder, self.ports = data / FOLDER, ports
        self._program = program or find_caddy()
        self._pushed: tuple[int, bytes] = (0, b"")
        self._process: subprocess.Popen[bytes] | None = None

    def keep(self, routes: list[Route]) -> None:
        """Have Caddy run and lead these hosts to their services; one that does so already is left alone.

        Without a host none is started. Raises UnavailableError where it does not start, ConfigError for what it
        refuses, a port that is taken included; what it had before stays.
        """
        if self._process:
            self._process.poll()  # so that one that has ended is no zombie
        pid = self.pid()
        if not pid and not routes:
            return
        if not pid:
            pid = self._start()
        told = msgspec.json.encode(document(routes, self.ports))
        if self._pushed != (pid, told):
            self._push(told)
            self._pushed = pid, told

    def pid(self) -> int:
        """The process that answers at the admin socket; 0 where none does."""
        try:
            connection = Local(self._folder / SOCKET, ANSWER_SECONDS)
            connection.connect()
            peer = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            connection.close()
        except OSError:
            return 0
        return int(_PEER.unpack(peer)[0])

    def end(self) -> None:
        """Let Caddy finish what it has, and go."""
        if self.pid():
            self._ask("POST", "/stop", b"")
        if self._process:
            self._process.wait(START_SECONDS)

    def authority(self) -> str:
        """The certificate of the edge's own authority, in PEM; empty where it has none yet."""
        path = self._folder / CERTIFICATES / "pki" / "authorities" / "local" / "root.crt"
        return path.read_text() if path.is_file() else ""

    def _start(self) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / SOCKET).unlink(missing_ok=True)
        begin = msgspec.json.encode(document([], self.ports))
        own = {name: str(self._folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        path = self._folder / LOG
        if path.is_file() and path.stat().st_size > LONGEST_LOG:
            path.unlink()
        with path.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "run", "--config", "-"],
                cwd=self._folder,
                env={"PATH": os.environ.get("PATH", os.defpath), **own},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self._process.stdin:
            with self._process.stdin as stdin:
                stdin.write(begin)
        return self._awaited(self._process)

    def _awaited(self, process: subprocess.Popen[bytes]) -> int:
        due = time.monotonic() + START_SECONDS
        while time.monotonic() < due and process.poll() is None:
            if pid := self.pid():
                return pid
            time.sleep(0.02)
        raise UnavailableError("Caddy does not start", f"`tail {self._folder / LOG}` says why")

    def _push(self, told: bytes) -> None:
        status, answer = self._ask("POST", "/load", told)
        if status != http.client.OK:
            raise _refusal(answer)

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        connection = Local(self._folder / SOCKET, ANSWER_SECONDS)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError(f"Caddy does not answer: {error}", f"`tail {self._folder / LOG}`") from error
        finally:
            connection.close()


def _refusal(answer: bytes) -> TiffinError:
    try:
        found: dict[str, Any] = msgspec.json.decode(answer)
        why = str(found["error"])
    except (msgspec.MsgspecError, KeyError):
        why = answer.decode(errors="replace")
    if "bind:" in why:
        return ConfigError(f"the edge cannot listen: {why.rpartition('listen ')[2]}", "`tiffin up --edge 8080:8443`")
    return ConfigError(f"Caddy does not take its configuration: {why}", "look at `[deploy] host` of the services")
