"""Where a service answers, and the bytes of a request to it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from tiffin.errors import ConfigError

PORTS = {"http": 80, "https": 443}


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A service by host and port; `base` is the path that all of its paths begin with, without a slash at its end."""

    host: str
    port: int
    secure: bool = False
    base: str = ""

    def __str__(self) -> str:
        """Write it as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.base}"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is asked again and again."""

    method: str = "POST"
    path: str = "/"
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def encode(self, address: Address) -> bytes:
        """Write it as HTTP/1.1 on a connection that is kept (RFC 9112)."""
        default = PORTS["https" if address.secure else "http"]
        host = f"[{address.host}]" if ":" in address.host else address.host
        lines = {
            "Host": host if address.port == default else f"{host}:{address.port}",
            "User-Agent": "tiffin-bench",
            **({"Content-Type": "application/json"} if self.body else {}),
            **self.headers,
            **({"Content-Length": str(len(self.body))} if self.body or self.method not in {"GET", "HEAD"} else {}),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"{self.method} {address.base}{self.path} HTTP/1.1\r\n{head}\r\n".encode() + self.body


def read_address(url: str) -> Address:
    """Read a URL of a service; raises ConfigError."""
    parts = urlsplit(url)
    try:
        port = parts.port or PORTS[parts.scheme]
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{url} is no address of a service", "it is like http://127.0.0.1:8080") from error
    if not parts.hostname:
        raise ConfigError(f"{url} names no host", "it is like http://127.0.0.1:8080")
    return Address(host=parts.hostname, port=port, secure=parts.scheme == "https", base=parts.path.rstrip("/"))
