"""Reading addresses of packages: files and servers alike, with credentials for the hosts they are for."""

from __future__ import annotations

import contextlib
import netrc
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import urllib3

from tiffin.errors import NotFoundError, TiffinError
from tiffin.network import PATIENCE, Connections, Hints, Patience, origin, refusal, shown, split_login
from tiffin.oci.digest import CHUNK

_OK = 200


class Web:
    """Addresses to bytes; threads may share it, and share its connections."""

    def __init__(
        self,
        hints: Hints,
        credentials: Sequence[str] = (),
        proxies: Mapping[str, str] = {},
        certificates: str = "",
        patience: Patience = PATIENCE,
    ) -> None:
        """Use the logins in the addresses `credentials` for their hosts, and these proxies: see `choose_proxy`.

        `certificates` is a file of authorities to trust in place of the system's.
        """
        self.hints = hints
        self.patience = patience
        self._credentials = {origin(url): login for url, login in map(split_login, credentials) if login}
        self._connections = Connections(hints, proxies, certificates)

    def read(self, url: str) -> Iterator[bytes]:
        """Yield what an http, https or file address has; raises BusyError, NotFoundError or DeniedError."""
        if path := local_path(url):
            yield from _read_file(path)
            return
        with self._connections.translated(url), contextlib.closing(self._ask("GET", url)) as response:
            yield from response.stream(CHUNK, decode_content=False)

    def size(self, url: str) -> int | None:
        """Return how many bytes an address has, where its server says so without sending them."""
        try:
            if path := local_path(url):
                return path.stat().st_size
            with contextlib.closing(self._ask("HEAD", url)) as response:
                length = response.headers.get("Content-Length", "")
                return int(length) if length.isdigit() else None
        except (OSError, TiffinError):
            return None

    def _ask(self, method: str, url: str) -> urllib3.BaseHTTPResponse:
        bare, own = split_login(url)
        login = own or self._credentials.get(origin(bare)) or _netrc(urlsplit(bare).hostname or "")
        known = urllib3.util.make_headers(basic_auth=login) if login else {}  # urllib3 keeps it to this host
        response = self._connections.ask(method, bare, known)
        if response.status != _OK:
            response.close()  # its body is not read, so the connection is of no more use
            raise refusal(response, shown(url), self.hints)
        return response


def local_path(url: str) -> Path | None:
    """Return the path that a file address means; None for any other address."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _read_file(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                yield data
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}", "put the file there, or lock again") from error


def _netrc(host: str) -> str:
    try:
        known = netrc.netrc(os.environ.get("NETRC") or Path.home() / ".netrc").authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return ""
    return f"{known[0]}:{known[2] or ''}" if known else ""
