"""What runs in pods and listens there, by WebSocket: `exec` and `portforward`, as kubelets and containerd speak them.

Programs are real ones of this machine; a port of a pod is one of this machine. Written after `wsstream`,
`remotecommand` and `portforward` of Kubernetes 1.33 to 1.37: a program's end is a `Status` on channel 3, and forwarded
channels begin with their port.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pty
import socket
import struct
import subprocess
import termios
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong
from wsproto.utilities import LocalProtocolError

from apiserver.refusal import Refusal

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PIECE = 1 << 15
_CLOSES = 255


@dataclass
class Pods:
    """What they have, and what goes wrong in them."""

    protocols: tuple[str, ...] = ("v5.channel.k8s.io", "v4.channel.k8s.io")
    ports: dict[int, int] = field(default_factory=dict)
    """Ports of this machine by those of pods."""
    path: str = os.environ.get("PATH", "")
    """Where a pod finds its programs."""
    folder: str = "/"
    cut: int | None = None
    """The connection breaks after so many bytes were sent."""
    early: bool = False
    """The first message comes together with the answer."""
    ran: list[tuple[str, list[str]]] = field(default_factory=list)
    """Containers, and what was run in them."""

    def serve(self, asked: BaseHTTPRequestHandler, pod: dict[str, Any], part: str) -> None:
        """Answer a request to go on by WebSocket."""
        query = parse_qs(urlsplit(asked.path).query)
        offered = [one.strip() for one in asked.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        spoken = [one for one in offered if one in (self.protocols if part == "exec" else ("v4.channel.k8s.io",))]
        if asked.headers.get("Upgrade", "").lower() != "websocket":
            raise Refusal(400, "BadRequest", "Upgrade request required")
        if not spoken:
            raise Refusal(403, "Forbidden", "websocket: bad protocol")
        if part == "exec":
            names = [one["name"] for one in pod["spec"]["containers"]]
            container = query.get("container", names[:1])[0]
            if container not in names:
                raise Refusal(
                    400, "BadRequest", f"container {container} is not valid for pod {pod['metadata']['name']}"
                )
            self.ran.append((container, query["command"]))
        socket_ = Socket(asked, spoken[0], self)
        with contextlib.suppress(OSError):
            Program(socket_, query, self).run() if part == "exec" else self._forward(socket_, int(query["ports"][0]))
        socket_.close()

    def _forward(self, client: Socket, port: int) -> None:
        for channel in (0, 1):
            client.send(channel, struct.pack("<H", port))
        try:
            server = socket.create_connection(("127.0.0.1", self.ports.get(port, 1)), timeout=10)
        except OSError:
            client.send(1, f"error forwarding port {port} to pod x, uid : failed to connect: refused".encode())
            return
        server.settimeout(None)

        def back() -> None:
            with contextlib.suppress(OSError):
                while data := server.recv(_PIECE):
                    client.send(0, data)
                client.close()

        threading.Thread(target=back, daemon=True).start()
        for channel, data in client.messages():
            if channel == 0:
                server.sendall(data)
        server.close()


class Socket:
    """The server's end."""

    def __init__(self, asked: BaseHTTPRequestHandler, protocol: str, pods: Pods) -> None:
        key = asked.headers["Sec-WebSocket-Key"].encode()
        accepted = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        self.protocol, self._frames = protocol, Connection(ConnectionType.SERVER)
        self._connection, self._pods, self._sent = asked.connection, pods, 0
        self._sending = threading.Lock()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {accepted.decode()}", f"Sec-WebSocket-Protocol: {protocol}", "", ""]
        first = self._frames.send(BytesMessage(data=b"\x01")) if pods.early else b""
        self._connection.sendall("\r\n".join(lines).encode() + first)

    def send(self, channel: int, data: bytes) -> None:
        """Send on a channel."""
        with self._sending:
            try:
                framed = self._frames.send(BytesMessage(data=bytes([channel]) + data))
            except LocalProtocolError as error:
                raise BrokenPipeError(str(error)) from error
            self._write(framed)

    def _write(self, data: bytes) -> None:
        self._sent += len(data)
        if self._pods.cut is not None and self._sent > self._pods.cut:
            self._connection.shutdown(socket.SHUT_RDWR)
            raise OSError("cut")
        self._connection.sendall(data)

    def messages(self) -> Any:
        """What comes, by channel, until the client is gone."""
        begun = bytearray()
        while data := self._received():
            self._frames.receive_data(data)
            for event in self._frames.events():
                if isinstance(event, BytesMessage):
                    begun += event.data
                    if event.message_finished:
                        yield begun[0], bytes(begun[1:])
                        begun.clear()
                elif isinstance(event, Ping):
                    with self._sending:
                        self._write(self._frames.send(Pong(payload=event.payload)))
                elif isinstance(event, CloseConnection):
                    return

    def _received(self) -> bytes:
        try:
            return self._connection.recv(_PIECE)
        except OSError:
            return b""

    def close(self) -> None:
        """Say that it is over."""
        with self._sending, contextlib.suppress(Exception):
            self._connection.sendall(self._frames.send(CloseConnection(code=1000)))
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)


class Program:
    """A program that a client runs."""

    def __init__(self, client: Socket, query: dict[str, list[str]], pods: Pods) -> None:
        self._client, self._query, self._pods = client, query, pods
        self._terminal = -1

    def run(self) -> None:
        """Run it, and say how it ended."""
        try:
            process = self._start()
        except OSError as error:
            name = self._query["command"][0]
            words = "executable file not found in $PATH" if isinstance(error, FileNotFoundError) else error.strerror
            said = f'exec failed: unable to start container process: exec: "{name}": {words}: unknown'
            self._end(
                {"status": "Failure", "reason": "InternalError", "code": 500, "message": f"failed to exec: {said}"}
            )
            return
        readers = [
            threading.Thread(target=self._read, args=(channel, descriptor), daemon=True)
            for channel, descriptor in self._outputs(process)
        ]
        for one in (*readers, threading.Thread(target=self._feed, args=(process,), daemon=True)):
            one.start()
        status = process.wait()
        for reader in readers:
            reader.join()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._terminal >= 0:
            os.close(self._terminal)
        self._verdict(status if status >= 0 else 128 - status)

    def _start(self) -> subprocess.Popen[bytes]:
        command, env = self._query["command"], {"PATH": self._pods.path, "LANG": "C.UTF-8"}
        options: dict[str, Any] = {"cwd": self._pods.folder, "env": env, "start_new_session": True}
        if "tty" in self._query:
            self._terminal, theirs = pty.openpty()
            with os.fdopen(theirs, "rb+", 0) as end:
                return subprocess.Popen(command, stdin=end, stdout=end, stderr=end, **options)
        stdin = subprocess.PIPE if "stdin" in self._query else subprocess.DEVNULL
        return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def _outputs(self, process: subprocess.Popen[bytes]) -> list[tuple[int, int]]:
        if self._terminal >= 0:
            return [(1, self._terminal)]
        assert process.stdout
        assert process.stderr
        return [(1, process.stdout.fileno()), (2, process.stderr.fileno())]

    def _read(self, channel: int, descriptor: int) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(descriptor, _PIECE):
                self._client.send(channel, data)

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        """What the client types, sizes of its terminal, and the end of its input."""
        for channel, data in self._client.messages():
            if channel == 0:
                with contextlib.suppress(OSError, ValueError):
                    self._type(process, data)
            elif channel == 4:
                size = json.loads(data)
                packed = struct.pack("HHHH", size["Height"], size["Width"], 0, 0)
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, packed)
            elif channel == _CLOSES and self._client.protocol.startswith("v5") and process.stdin:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        with contextlib.suppress(OSError, ValueError):
            process.kill()

    def _type(self, process: subprocess.Popen[bytes], data: bytes) -> None:
        if self._terminal >= 0:
            os.write(self._terminal, data)
        elif process.stdin:
            process.stdin.write(data)
            process.stdin.flush()

    def _verdict(self, status: int) -> None:
        if not status:
            self._end({"status": "Success"})
            return
        causes = [{"reason": "ExitCode", "message": str(status)}]
        words = f"command terminated with non-zero exit code: exit status {status}"
        details = {"causes": causes}
        self._end({"status": "Failure", "reason": "NonZeroExitCode", "message": words, "details": details})

    def _end(self, status: dict[str, Any]) -> None:
        self._client.send(3, json.dumps({"metadata": {}, **status}).encode())
