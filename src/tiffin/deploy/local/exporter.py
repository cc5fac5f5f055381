"""The metrics by TCP, for a Prometheus that reads no Unix sockets: what is watched can be asked there, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import socket

import msgspec

from tiffin.deploy.local.watching import Reply
from tiffin.errors import ConfigError, ConflictError

LOOPBACK, LOCALHOST = "127.0.0.1", "localhost"
PORTS = range(1, 1 << 16)
HINT = "write it as `127.0.0.1:9464`, or `[::1]:9464`"
_ADDRESS = re.compile(r"(?:(?P<host>localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\]):)?(?P<port>[0-9]{1,5})")


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen: an address of this machine and a port; loopback where nothing else is said."""

    host: str = LOOPBACK
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `HOST:PORT`, `[HOST]:PORT` or `PORT`; raises ConfigError."""
        found = _ADDRESS.fullmatch(text)
        if not found or int(found["port"]) not in PORTS:
            raise ConfigError(f"not an address to listen on: {text!r}", HINT)
        host = (found["host"] or LOCALHOST).replace(LOCALHOST, LOOPBACK).strip("[]")
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ConfigError(f"not an address to listen on: {text!r}", HINT) from None
        return cls(host=host, port=int(found["port"]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def listen(self) -> socket.socket:
        """Listen there; raises ConflictError for a port that is taken, or an address that is not this machine's."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family)
        except OSError as error:
            raise ConflictError(
                f"cannot listen on {self} for metrics: {os.strerror(error.errno or 0)}",
                f"`ss -ltnp sport = :{self.port}` says who does; choose another with `--metrics`",
            ) from error


async def write(writer: asyncio.StreamWriter, reply: Reply) -> None:
    """Write an answer, and close; who has gone is not missed."""
    head = [
        f"HTTP/1.1 {reply.status} -",
        f"content-type: {reply.kind}",
        f"content-length: {len(reply.body)}",
        *reply.more,
        "connection: close",
    ]
    with contextlib.suppress(OSError):
        writer.write("\r\n".join([*head, "", ""]).encode() + reply.body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
