"""Reading addresses: the machine's CA store and proxies, credentials for the hosts they are for, errors as ours."""

from __future__ import annotations

import contextlib
import email.utils
import netrc
import os
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError, ResponseError, SSLError

from tiffin import __version__
from tiffin.errors import ConfigError, DeniedError, NotFoundError, TiffinError, UnavailableError
from tiffin.oci.digest import CHUNK

T = TypeVar("T")

_TEMPORARY = {408, 425, 429, 500, 502, 503, 504, 522}
_DENIED = {401, 403, 407}
_GONE = {404, 410}
_OK = 200
_CONNECTIONS = 8
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_REDIRECTS = urllib3.Retry(total=None, connect=0, read=0, redirect=10, status=0, other=0)
_UNREACHABLE = (NewConnectionError, ConnectTimeoutError, ProxyError)
_BACKOFF = 0.5
"""Seconds before the second attempt; doubled before each further one."""
_LONGEST_PAUSE = 60.0
"""Seconds for which a server's wish to be left alone is obeyed at most."""


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """What to advise, in the words for the kind of place that is asked."""

    absent: str
    """It has no such file."""
    denied: str
    """It does not give the file to us."""
    busy: str
    """It did not answer, or not now."""
    refused: str
    """It answered with what makes no sense there."""
    changed: str
    """It gave other bytes than those expected."""


class BusyError(UnavailableError):
    """The server did not answer now; `pause` is how many seconds it asks to be left alone, where it says so."""

    def __init__(self, message: str, hint: str, pause: float | None = None) -> None:
        """Keep what happened, what to do about it, and the pause asked for."""
        super().__init__(message, hint)
        self.pause = pause


class UnreachableError(BusyError):
    """No connection to the server or its proxy came about."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How often a server is asked in all, and what waits some seconds in between."""

    attempts: int = 4
    unreachable: int = 4
    """How often where no connection comes about: less for who can ask somewhere else."""
    pause: Callable[[float], object] = time.sleep

    def tried(self, attempt: Callable[[], T]) -> T:
        """Do it until the server is not busy; raises BusyError when the last attempt failed."""
        failed = 0
        while True:
            try:
                return attempt()
            except BusyError as error:
                failed += 1
                if failed >= (self.unreachable if isinstance(error, UnreachableError) else self.attempts):
                    raise
                self.pause(_BACKOFF * 2 ** (failed - 1) if error.pause is None else min(error.pause, _LONGEST_PAUSE))


PATIENCE = Patience()


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
        self._credentials = {_origin(url): login for url, login in map(_split_login, credentials) if login}
        self._proxies = proxies
        self._certificates = certificates
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._making = threading.Lock()

    def read(self, url: str) -> Iterator[bytes]:
        """Yield what an http, https or file address has; raises BusyError, NotFoundError or DeniedError."""
        if path := local_path(url):
            yield from _read_file(path)
            return
        with self._translated(url), contextlib.closing(self._ask("GET", url)) as response:
            yield from response.stream(CHUNK, decode_content=False)

    def size(self, url: str) -> int | None:
        """Return how many bytes an address has, where its server says so without sending them."""
        try:
            if path := local_path(url):
                return path.stat().st_size
            with self._translated(url), contextlib.closing(self._ask("HEAD", url)) as response:
                length = response.headers.get("Content-Length", "")
                return int(length) if length.isdigit() else None
        except (OSError, TiffinError):
            return None

    def _ask(self, method: str, url: str) -> urllib3.BaseHTTPResponse:
        bare, own = _split_login(url)
        login = own or self._credentials.get(_origin(bare)) or _netrc(urlsplit(bare).hostname or "")
        known = urllib3.util.make_headers(basic_auth=login) if login else {}  # urllib3 keeps it to this host
        response = self._pool(bare).request(
            method,
            bare,
            headers={"Accept-Encoding": "identity", "User-Agent": f"tiffin/{__version__}", **known},
            preload_content=False,
            retries=_REDIRECTS,
            timeout=_TIMEOUT,
        )
        if response.status != _OK:
            response.close()  # its body is not read, so the connection is of no more use
            raise _refusal(response, shown(url), self.hints)
        return response

    def _pool(self, url: str) -> urllib3.PoolManager:
        proxy = choose_proxy(url, self._proxies)
        with self._making:
            if proxy not in self._pools:
                self._pools[proxy] = _connections(proxy, self._certificates)
            return self._pools[proxy]

    @contextlib.contextmanager
    def _translated(self, url: str) -> Iterator[None]:
        try:
            yield
        except HTTPError as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, SSLError):
                hint = "let SSL_CERT_FILE name the file with your network's certificates"
                raise DeniedError(f"{shown(url)}: its certificate is not trusted: {reason}", hint) from error
            message = f"{shown(url)} could not be read: {reason}"
            if isinstance(reason, ResponseError):
                raise UnavailableError(message, self.hints.refused) from error
            kind = UnreachableError if isinstance(reason, _UNREACHABLE) else BusyError
            raise kind(message, self.hints.busy) from error


def choose_proxy(url: str, told: Mapping[str, str]) -> str:
    """Return the proxy for an address, or nothing.

    What is told for its scheme comes first, were it nothing; then the machine's http_proxy, all_proxy and no_proxy.
    """
    parts = urlsplit(url)
    if parts.scheme in told:
        return told[parts.scheme]
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all", "")


def local_path(url: str) -> Path | None:
    """Return the path that a file address means; None for any other address."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def shown(url: str) -> str:
    """Return an address for people: without credentials, query and fragment."""
    return urlsplit(_split_login(url)[0])._replace(query="", fragment="").geturl()


def _read_file(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                yield data
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}", "put the file there, or lock again") from error


def _split_login(url: str) -> tuple[str, str]:
    """Split an address into what may be sent on and `user:password`."""
    parts = urlsplit(url)
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), login


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port


def _connections(proxy: str, certificates: str) -> urllib3.PoolManager:
    """Make a pool; the default context trusts the system's certificates, or those of SSL_CERT_FILE."""
    try:
        trusted = ssl.create_default_context(cafile=certificates or None)
    except OSError as error:
        hint = "name a file with certificates in PEM, by PIP_CERT or SSL_CERT_FILE"
        raise ConfigError(f"no certificates in {certificates}: {error.strerror}", hint) from error
    if not proxy:
        return urllib3.PoolManager(ssl_context=trusted, maxsize=_CONNECTIONS)
    bare, login = _split_login(proxy)
    headers = urllib3.util.make_headers(proxy_basic_auth=login) if login else None
    return urllib3.ProxyManager(bare, ssl_context=trusted, proxy_headers=headers, maxsize=_CONNECTIONS)


def _netrc(host: str) -> str:
    try:
        known = netrc.netrc(os.environ.get("NETRC") or Path.home() / ".netrc").authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return ""
    return f"{known[0]}:{known[2] or ''}" if known else ""


def _refusal(response: urllib3.BaseHTTPResponse, where: str, hints: Hints) -> TiffinError:
    message = f"{where}: {response.status} {response.reason or ''}".rstrip()
    if response.status in _GONE:
        return NotFoundError(message, hints.absent)
    if response.status in _DENIED:
        return DeniedError(message, hints.denied)
    if response.status in _TEMPORARY:
        return BusyError(message, hints.busy, _pause(response.headers.get("Retry-After", "")))
    return UnavailableError(message, hints.refused)


def _pause(text: str) -> float | None:
    """Read a Retry-After: seconds, or a date (RFC 9110, 10.2.3)."""
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None
