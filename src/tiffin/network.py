"""Asking servers over HTTP: this machine's certificates and proxies, patience, and errors as ours."""

from __future__ import annotations

import contextlib
import email.utils
import ipaddress
import socket
import ssl
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import unquote, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    ResponseError,
    SSLError,
)

from tiffin import __version__
from tiffin.errors import ConfigError, DeniedError, NotFoundError, TiffinError, UnavailableError
from tiffin.steady import Steady, TooSlowError
from tiffin.unanswered import plainly

T = TypeVar("T")
Body = bytes | Iterable[bytes] | None

_TEMPORARY = {408, 425, 429, 500, 502, 503, 504, 522}
_DENIED = {401, 403, 407}
_GONE = {404, 410}
_CONNECTIONS = 8
_CONNECT_SECONDS = 10
READ_SECONDS = 60.0
"""For how long a server may say nothing, take nothing of what is sent, or send less than `SLOWEST` allows."""
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = urllib3.Retry(total=None, connect=0, read=0, redirect=10, status=0, other=0)
_AS_IT_IS = urllib3.Retry(total=None, connect=0, read=0, redirect=False, status=0, other=0)
_UNREACHABLE = (NewConnectionError, ConnectTimeoutError, ProxyError)
_DISTRUST = "CERTIFICATE_VERIFY_FAILED"
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
    distrusted: str = "let SSL_CERT_FILE name the file with your network's certificates"
    """It has no certificate that we trust."""


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Certificates for one host: authorities besides the system's, and files with who we are and its key."""

    authorities: tuple[str, ...] = ()
    clients: tuple[tuple[str, str], ...] = ()
    anybody: bool = False
    """Whether anybody's certificate will do."""
    sole: str = ""
    """Authorities, in PEM, that take the place of the system's."""
    identity: str = ""
    """Who we are and its key, in PEM: what is in `clients`, for who has it in no file."""
    name: str = ""
    """Whom the certificate must be for, where that is not the host."""


class BusyError(UnavailableError):
    """The server did not answer now; `pause` is how many seconds it asks to be left alone, where it says so."""

    def __init__(self, message: str, hint: str, pause: float | None = None) -> None:
        """Keep what happened, what to do about it, and the pause asked for."""
        super().__init__(message, hint)
        self.pause = pause


class UnreachableError(BusyError):
    """No connection to the server or its proxy came about."""


class SilentError(BusyError):
    """The server accepted a connection, and said nothing on it."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How often a server is asked in all, and what waits some seconds in between."""

    attempts: int = 4
    unreachable: int = 4
    """How often where no connection comes about: less for who can ask somewhere else."""
    silent: int = 4
    """How often one that accepts and says nothing, which takes the whole `silence` each time."""
    pause: Callable[[float], object] = time.sleep
    silence: float = READ_SECONDS
    """Seconds without progress, in either direction, after which an attempt has failed."""

    def tried(self, attempt: Callable[[], T]) -> T:
        """Do it until the server is not busy; raises BusyError when the last attempt failed."""
        failed = 0
        while True:
            try:
                return attempt()
            except BusyError as error:
                failed += 1
                self.wait(error, failed)

    def wait(self, error: BusyError, failed: int) -> None:
        """Wait after the attempt that was the `failed`-th in a row to fail; raises its error where it was the last."""
        few = {UnreachableError: self.unreachable, SilentError: min(self.silent, self.attempts)}
        if failed >= few.get(type(error), self.attempts):
            raise error
        self.pause(_BACKOFF * 2 ** (failed - 1) if error.pause is None else min(error.pause, _LONGEST_PAUSE))


PATIENCE = Patience()


class Connections:
    """Connections to any server, by way of the machine's proxies; threads may share them."""

    def __init__(
        self, hints: Hints, proxies: Mapping[str, str] = {}, certificates: str = "", silence: float = READ_SECONDS
    ) -> None:
        """Use these proxies: see `choose_proxy`. `certificates` is a file to trust in place of the system's.

        `silence` is for how many seconds a server may make no progress.
        """
        self.hints = hints
        self._silence = silence
        self._proxies = proxies
        self._certificates = certificates
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._tls: dict[str, Tls] = {}
        self._making = threading.Lock()

    def present(self, host: str, tls: Tls) -> None:
        """Use these certificates with this `host[:port]`, and with nobody else."""
        self._tls[host] = tls

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body = None,
        *,
        follow: bool = True,
        seconds: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return the answer, whatever its status, before its content is read.

        Where redirects are followed, credentials stay with their host; `seconds` is how long the answer is waited for,
        where that is not as long as any silence. Read the content under `translated` too.
        """
        with self.translated(url):
            return self._pool(url).request(
                method,
                url,
                body=body,
                headers={"Accept-Encoding": "identity", "User-Agent": f"tiffin/{__version__}", **headers},
                preload_content=False,
                retries=_REDIRECTS if follow else _AS_IT_IS,
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds or self._silence),
            )

    @contextlib.contextmanager
    def translated(self, url: str) -> Iterator[None]:
        """Let what goes wrong between here and the server come out as an error of ours."""
        try:
            yield
        except HTTPError as error:
            raise _translate(error, shown(url), self.hints) from error

    def _pool(self, url: str) -> urllib3.PoolManager:
        proxy = choose_proxy(url, self._proxies)
        host = urlsplit(url).netloc
        host = host if self._tls.get(host, Tls()) != Tls() else ""
        with self._making:
            if (proxy, host) not in self._pools:
                tls = self._tls.get(host, Tls())
                self._pools[proxy, host] = _connections(
                    proxy, _trusted(self._certificates, tls), self._silence, tls.name
                )
            return self._pools[proxy, host]


def refusal(response: urllib3.BaseHTTPResponse, where: str, hints: Hints, said: str = "") -> TiffinError:
    """Return the error that an answer other than the expected means; `where` begins its message, `said` ends it."""
    message = f"{where}: {response.status} {response.reason or ''}".rstrip() + (f" ({said})" if said else "")
    if response.status in _GONE:
        return NotFoundError(message, hints.absent)
    if response.status in _DENIED:
        return DeniedError(message, hints.denied)
    if response.status in _TEMPORARY:
        return BusyError(message, hints.busy, retry_after(response))
    return UnavailableError(message, hints.refused)


def retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    """Read for how many seconds a server wants to be left alone, which it gives so, or as a date (RFC 9110, 10.2.3)."""
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None


def choose_proxy(url: str, told: Mapping[str, str]) -> str:
    """Return the proxy for an address, or nothing.

    What is told for its scheme comes first, were it nothing; then the machine's http_proxy, all_proxy and no_proxy.
    """
    parts = urlsplit(url)
    if parts.scheme in told:
        return told[parts.scheme]
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(parts.hostname or "") or _within(parts.hostname or "", proxies.get("no", "")):
        return ""
    return proxies.get(parts.scheme) or proxies.get("all", "")


def _within(host: str, networks: str) -> bool:
    """Whether a host is an address in one of the networks of a NO_PROXY, as clusters are: `10.0.0.0/8`."""
    for network in networks.split(","):
        with contextlib.suppress(ValueError):
            if "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network.strip(), strict=False):
                return True
    return False


def shown(url: str) -> str:
    """Return an address for people: without credentials, query and fragment."""
    return urlsplit(split_login(url)[0])._replace(query="", fragment="").geturl()


def split_login(url: str) -> tuple[str, str]:
    """Split an address into what may be sent on and `user:password`."""
    parts = urlsplit(url)
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), login


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port: the place that credentials are for."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


def _translate(error: HTTPError, where: str, hints: Hints) -> TiffinError:
    reason = getattr(error, "reason", error)
    if isinstance(reason, SSLError) and _DISTRUST in str(reason):
        return DeniedError(f"{where}: its certificate is not trusted: {reason}", hints.distrusted)
    if isinstance(reason.__cause__, TooSlowError):
        return BusyError(f"{where} sends next to nothing: {reason.__cause__}", hints.busy)
    message = f"{where} could not be read: {plainly(reason)}"
    if isinstance(reason, ResponseError):
        return UnavailableError(message, hints.refused)
    if isinstance(reason, ReadTimeoutError):
        return SilentError(message, hints.busy)
    return (UnreachableError if isinstance(reason, _UNREACHABLE) else BusyError)(message, hints.busy)


def _trusted(certificates: str, tls: Tls) -> ssl.SSLContext:
    """Trust the system's certificates, or those of SSL_CERT_FILE, and what one host has besides."""
    try:
        trusted = ssl.create_default_context(cafile=certificates or None, cadata=tls.sole or None)
    except OSError as error:
        hint = "name a file with certificates in PEM, by PIP_CERT or SSL_CERT_FILE"
        raise ConfigError(f"no certificates in {certificates}: {error.strerror}", hint) from error
    for path in (*tls.authorities, *tls.clients):
        try:
            trusted.load_verify_locations(path) if isinstance(path, str) else trusted.load_cert_chain(*path)
        except OSError as error:
            shown_path = path if isinstance(path, str) else path[0]
            raise ConfigError(f"cannot use {shown_path}: {error.strerror}", "put certificates in PEM there") from error
    if tls.sole:  # clusters' own authorities leave out what Python 3.13 insists on, and nobody else misses
        trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.identity:
        _identify(trusted, tls.identity)
    if tls.anybody:
        trusted.check_hostname, trusted.verify_mode = False, ssl.CERT_NONE
    return trusted


def _identify(trusted: ssl.SSLContext, identity: str) -> None:
    """Say who we are; OpenSSL, as Python has it, reads that from files alone."""
    with tempfile.NamedTemporaryFile("w", prefix="tiffin-", suffix=".pem") as file:
        file.write(identity)
        file.flush()
        try:
            trusted.load_cert_chain(file.name, password=lambda: "")  # rather than ask a terminal for it
        except OSError as error:
            hint = "it must be a certificate and the key that it is for, in PEM and without a passphrase"
            raise ConfigError(f"cannot use the client certificate: {error.strerror or error}", hint) from error


def _connections(proxy: str, trusted: ssl.SSLContext, silence: float, name: str) -> urllib3.PoolManager:
    """Make a pool, by way of a proxy where there is one."""
    if not proxy:
        pool = urllib3.PoolManager(ssl_context=trusted, maxsize=_CONNECTIONS, server_hostname=name or None)
    else:
        bare, login = split_login(proxy)
        headers = urllib3.util.make_headers(proxy_basic_auth=login) if login else None
        pool = urllib3.ProxyManager(
            bare, ssl_context=trusted, proxy_headers=headers, maxsize=_CONNECTIONS, server_hostname=name or None
        )
    pool.pool_classes_by_scheme = _steady_pools(silence)
    return pool


def _steady_pools(silence: float) -> dict[str, Any]:
    """The pools of urllib3, with sockets that notice what goes on and on."""

    class Plain(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = cast("socket.socket", Steady(self.sock, silence))

    class Secure(urllib3.connection.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            self.is_verified = True  # as far as was asked for: who takes anybody's certificate has said so in a file
            self.sock = cast("socket.socket", Steady(self.sock, silence))

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
