"""One registry's API, asked with patience and with the right credentials: what reading and writing have in common."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from urllib.parse import urljoin, urlsplit

import msgspec
import urllib3

from tiffin.errors import DeniedError, TiffinError, UnavailableError
from tiffin.network import PATIENCE, Body, Connections, Hints, Patience, origin, refusal, shown
from tiffin.store.remote.address import Address, is_loopback, login_host
from tiffin.store.remote.auth import Authorizer, Scopes
from tiffin.store.remote.credentials import Credentials, find_credentials
from tiffin.store.remote.places import find_tls

HTTP_REGISTRIES = "TIFFIN_HTTP_REGISTRIES"
"""The variable that names registries, by commas, that are asked without TLS."""

_UNAUTHORIZED = 401
_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 10
_CHALLENGES = 2
"""How often one request may be told to authorize: with nothing, and with a token that has just ended."""
_SPEAKS = {200, 401, 403, 404, 429}
_SAID_LIMIT = 64 << 10
_SAID_SHOWN = 300
_DIRECT = {"http": "", "https": ""}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a registry; `path` begins with a slash, or is an address that the registry gave."""

    method: str
    path: str
    scopes: Scopes
    headers: Mapping[str, str] = {}
    body: Body = None
    expected: frozenset[int] = frozenset({200})
    seconds: float | None = None
    """How long the answer may take, where that is longer than any silence."""


class _Fault(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Faults(msgspec.Struct):
    errors: Sequence[_Fault] = ()


_SAID = msgspec.json.Decoder(_Faults)


class Registry:
    """The API of one registry; threads may share it, and share its connections."""

    def __init__(
        self,
        address: Address,
        environment: Mapping[str, str],
        patience: Patience = PATIENCE,
        known: Credentials | None = None,
        *,
        insecure: bool = False,
    ) -> None:
        """Speak to the host of `address`, as `known` or who the machine knows us to be; nothing is asked of it yet.

        One that is `insecure` may do without TLS, or have anybody's certificate.
        """
        self.host = address.host
        self.patience = patience
        self.connections = Connections(
            _hints(address), _DIRECT if is_loopback(self.host) else {}, silence=patience.silence
        )
        tls = find_tls(self.host, environment)
        self.connections.present(self.host, msgspec.structs.replace(tls, anybody=insecure))
        self._insecure = insecure
        self._plain = {name.strip() for name in environment.get(HTTP_REGISTRIES, "").split(",")} - {""}
        self._authorizer = Authorizer(
            self.host,
            lambda: known or find_credentials(address.keys(), environment),
            self.connections,
            patience,
            self._may_be_plain,
        )
        self._root = ""
        self._finding = threading.Lock()

    def ask(self, request: Request) -> urllib3.BaseHTTPResponse:
        """Ask once and return the answer, one of the expected; whoever reads its content closes it.

        Raises BusyError where asking again may help, NotFoundError, DeniedError, UnavailableError for any other answer.
        """
        url = urljoin(self._address(), request.path)
        response = self._authorized(url, request)
        for _ in range(_MOST_REDIRECTS):
            if response.status not in _REDIRECTS or request.method not in {"GET", "HEAD"}:
                break
            self._spent(response, url)
            url = self.follow(url, response.headers.get("Location", ""))
            response = self._authorized(url, request)
        if response.status not in request.expected:
            with closing(response):
                raise self._refusal(response, request, url)
        return response

    def _spent(self, response: urllib3.BaseHTTPResponse, url: str) -> None:
        """Let the connection be used again, where little is left to read: every range of a blob may be sent on."""
        with closing(response), suppress(TiffinError), self.connections.translated(url):
            response.read(_SAID_LIMIT)

    @property
    def asked_who(self) -> bool:
        """Say whether the registry has wanted to know who asks."""
        return self._authorizer.asked

    def _authorized(self, url: str, request: Request) -> urllib3.BaseHTTPResponse:
        """Ask one address; credentials are shown to the registry itself and to nobody it sends us to."""
        own = origin(url) == origin(self._address())
        for _ in range(_CHALLENGES):
            known = self._authorizer.header(request.scopes) if own else {}
            response = self._sent(url, request, known)
            if not own or response.status != _UNAUTHORIZED:
                return response
            response.close()
            self._authorizer.challenged(response, known, request.scopes)
        return self._sent(url, request, self._authorizer.header(request.scopes))

    def _sent(self, url: str, request: Request, known: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        headers = {**request.headers, **known}
        return self.connections.ask(request.method, url, headers, request.body, follow=False, seconds=request.seconds)

    def follow(self, asked: str, location: str) -> str:
        """Return the address that an answer to a path or an address means by a location, its query and all.

        Raises UnavailableError for one that is none, DeniedError for one that gives TLS up.
        """
        url = urljoin(self._address(), asked)
        target = urljoin(url, location)
        parts = urlsplit(target)
        if not location or parts.scheme not in {"http", "https"}:
            raise UnavailableError(f"{shown(url)} sends us to no address: {location[:200]!r}", self._hints.refused)
        if parts.scheme == "http" and urlsplit(url).scheme == "https" and not self._may_be_plain(parts.netloc):
            raise DeniedError(f"{shown(url)} sends us to {shown(target)}, without TLS", self._hints.refused)
        return target

    def _refusal(self, response: urllib3.BaseHTTPResponse, request: Request, url: str) -> TiffinError:
        if response.status in _REDIRECTS:
            return UnavailableError(f"{shown(url)} sends us on and on", self._hints.refused)
        return refusal(response, shown(url), self._hints, "" if request.method == "HEAD" else _said(response))

    @property
    def _hints(self) -> Hints:
        return self.connections.hints

    def _address(self) -> str:
        """The registry's root: by TLS, unless it is this machine's own or a named one and speaks without."""
        with self._finding:
            if not self._root:
                either = self._insecure or is_loopback(self.host)
                plain = self.host in self._plain or (either and self._speaks_plainly())
                self._root = f"{'http' if plain else 'https'}://{self.host}/v2/"
            return self._root

    def _speaks_plainly(self) -> bool:
        """Ask a registry that may have either, such as one on this machine, without TLS and without credentials."""
        try:
            with closing(self.connections.ask("GET", f"http://{self.host}/v2/", {}, follow=False)) as response:
                return response.status in _SPEAKS
        except UnavailableError:
            return False

    def _may_be_plain(self, host: str) -> bool:
        return is_loopback(host) or host in self._plain or (self._insecure and host == self.host)


def _said(response: urllib3.BaseHTTPResponse) -> str:
    """What a refusal says in the form that the distribution-spec gives errors; nothing for any other form."""
    try:
        faults = _SAID.decode(response.read(_SAID_LIMIT)).errors
    except (urllib3.exceptions.HTTPError, msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    text = "; ".join(": ".join(filter(None, (fault.code, fault.message))) for fault in faults)
    return text[:_SAID_SHOWN] if text.isprintable() else ""


def _hints(address: Address) -> Hints:
    return Hints(
        absent=f"check the name and the tag of {address.name}",
        denied=f"`tiffin login {login_host(address.host)}` keeps a name and a password that may",
        busy=f"check the network; a registry without TLS must be named: `{HTTP_REGISTRIES}={address.host}`",
        refused=f"check that {address.host} is a registry",
        changed="pull it again; if it stays so, the registry's storage or a proxy on the way is damaged",
    )
