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
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, ResponseError, SSLError

from tiffin.errors import ConfigError, DeniedError, NotFoundError, TiffinError, UnavailableError
from tiffin.oci.digest import CHUNK

_TEMPORARY = {408, 425, 429, 500, 502, 503, 504, 522}
_DENIED = {401, 403, 407}
_GONE = {404, 410}
_OK = 200
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
_REDIRECTS = urllib3.Retry(total=None, connect=0, read=0, redirect=10, status=0, other=0)


class BusyError(UnavailableError):
    """The server did not answer now; `pause` is how many seconds it asks to be left alone, where it says so."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        """Keep what happened and the pause asked for."""
        super().__init__(message, "check the network and the index's address, then try again")
        self.pause = pause


class Web:
    """Addresses to bytes; threads may share it, and share its connections."""

    def __init__(self, credentials: Sequence[str] = (), certificates: str = "") -> None:
        """Use the user names and passwords in these addresses for their hosts, and ~/.netrc for others.

        `certificates` is a file of authorities to trust in place of the system's.
        """
        self._certificates = certificates
        self._credentials = {
            _origin(parts): f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            for parts in map(urlsplit, credentials)
            if parts.username
        }
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
        response = self._pool(urlsplit(url)).request(
            method,
            url,
            headers={"Accept-Encoding": "identity", "User-Agent": "tiffin", **self._authorization(urlsplit(url))},
            preload_content=False,
            retries=_REDIRECTS,
            timeout=_TIMEOUT,
        )
        if response.status != _OK:
            response.close()  # its body is not read, so the connection is of no more use
            raise _refused(response, url)
        return response

    def _pool(self, parts: SplitResult) -> urllib3.PoolManager:
        """Return the connections by way of the proxy that the environment names for this address."""
        bypassed = urllib.request.proxy_bypass(parts.hostname or "")
        proxy = "" if bypassed else urllib.request.getproxies().get(parts.scheme, "")
        with self._making:
            if proxy not in self._pools:
                self._pools[proxy] = _connections(proxy, self._certificates)
            return self._pools[proxy]

    def _authorization(self, parts: SplitResult) -> dict[str, str]:
        """Credentials for this very host; urllib3 drops them when another host is redirected to."""
        known = self._credentials.get(_origin(parts)) or _netrc(parts.hostname or "")
        return urllib3.util.make_headers(basic_auth=known) if known else {}

    @contextlib.contextmanager
    def _translated(self, url: str) -> Iterator[None]:
        try:
            yield
        except HTTPError as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, SSLError):
                hint = "let SSL_CERT_FILE name the file with your network's certificates"
                raise DeniedError(f"{shown(url)}: its certificate is not trusted: {reason}", hint) from error
            if isinstance(reason, ResponseError):
                raise UnavailableError(f"{shown(url)}: {reason}", "check the index's address") from error
            raise BusyError(f"{shown(url)}: {reason}") from error


def local_path(url: str) -> Path | None:
    """Return the path that a file address means; None for any other address."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def shown(url: str) -> str:
    """Return an address for people: without credentials, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _read_file(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                yield data
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}", "put the file there, or lock again") from error


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, parts.hostname or "", parts.port


def _connections(proxy: str, certificates: str) -> urllib3.PoolManager:
    """Make a pool; the default context trusts the system's certificates, or those of SSL_CERT_FILE."""
    try:
        trusted = ssl.create_default_context(cafile=certificates or None)
    except OSError as error:
        hint = "name a file with certificates in PEM, by PIP_CERT or SSL_CERT_FILE"
        raise ConfigError(f"no certificates in {certificates}: {error.strerror}", hint) from error
    if not proxy:
        return urllib3.PoolManager(ssl_context=trusted, maxsize=8)
    user = urlsplit(proxy)
    login = f"{unquote(user.username)}:{unquote(user.password or '')}" if user.username else None
    headers = urllib3.util.make_headers(proxy_basic_auth=login) if login else None
    return urllib3.ProxyManager(proxy, ssl_context=trusted, proxy_headers=headers, maxsize=8)


def _netrc(host: str) -> str:
    try:
        known = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return ""
    return f"{known[0]}:{known[2] or ''}" if known else ""


def _refused(response: urllib3.BaseHTTPResponse, url: str) -> TiffinError:
    message = f"{shown(url)}: {response.status} {response.reason or ''}".rstrip()
    if response.status in _GONE:
        return NotFoundError(message, "run `tiffin lock` to look for it again")
    if response.status in _DENIED:
        return DeniedError(message, "put the credentials into the index's address or into ~/.netrc")
    if response.status in _TEMPORARY:
        return BusyError(message, _pause(response.headers.get("Retry-After", "")))
    return UnavailableError(message, "check the index's address")


def _pause(text: str) -> float | None:
    """Read a Retry-After: seconds, or a date (RFC 9110, 10.2.3)."""
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None
