"""The right to be answered: challenges, and the tokens they ask for.

Sources: RFC 9110, 11; RFC 7617 (Basic); distribution, "Token Authentication Specification" and "OAuth2 Token".
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3

from tiffin.errors import DeniedError, IntegrityError, UnsupportedError
from tiffin.network import Connections, Patience, refusal, shown
from tiffin.store.remote.address import is_loopback
from tiffin.store.remote.credentials import Credentials

Scopes = tuple[str, ...]
"""What is asked for, such as `repository:team/iris:pull`."""

_OK = 200
_CLIENT = "tiffin"
_ANSWER_LIMIT = 1 << 20
_SECONDS = 60
"""For how long a token counts that does not say so."""
_MARGIN_SECONDS = 5
_CHALLENGE = re.compile(r"\s*([A-Za-z]+)(?:\s+(.*))?", re.DOTALL)
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """How a registry wants to be asked: `basic`, or `bearer` with a token that the realm gives for the service."""

    scheme: str
    realm: str = ""
    service: str = ""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A bearer token and when it ends, by the monotonic clock in seconds."""

    text: str
    ends: float


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    token: str = ""
    access_token: str = ""
    expires_in: float | None = None


_ANSWERS = msgspec.json.Decoder(_Answer)


def parse_challenges(values: Sequence[str]) -> list[Challenge]:
    """Read WWW-Authenticate headers; schemes that are not spoken here are left out."""
    found = []
    for value in values:
        if (parts := _CHALLENGE.fullmatch(value)) and parts[1].lower() in {"basic", "bearer"}:
            said = {key.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare
                    for key, quoted, bare in _PARAMETER.findall(parts[2] or "")}  # fmt: skip
            found.append(
                Challenge(scheme=parts[1].lower(), realm=said.get("realm", ""), service=said.get("service", ""))
            )
    return found


class Authorizer:
    """Finds the Authorization header of each request to one registry; threads may share it."""

    def __init__(
        self,
        host: str,
        find: Callable[[], Credentials | None],
        connections: Connections,
        patience: Patience,
        plain: Callable[[str], bool] = is_loopback,
    ) -> None:
        """Serve requests to `host`; credentials are looked for when it first asks for some.

        `plain` says of which hosts tokens may be bought without TLS.
        """
        self.host = host
        self._find = find
        self._connections = connections
        self._patience = patience
        self._plain = plain
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._credentials: Credentials | None = None
        self._tokens: dict[Scopes, Token] = {}

    @property
    def asked(self) -> bool:
        """Say whether the registry has asked for credentials."""
        return self._challenge is not None

    def header(self, scopes: Scopes) -> dict[str, str]:
        """Return the header for a request in need of these scopes; none before the registry has asked for one."""
        with self._lock:
            return self._header(scopes)

    def challenged(self, response: urllib3.BaseHTTPResponse, used: dict[str, str], scopes: Scopes) -> None:
        """Take a refusal of the header `used`: afterwards `header` gives another.

        Raises DeniedError where there is none left to try, UnsupportedError for a challenge nobody here understands.
        """
        challenges = parse_challenges(response.headers.getlist("WWW-Authenticate"))
        if not challenges:
            asked = response.headers.get("WWW-Authenticate", "nothing")
            raise UnsupportedError(f"{self.host} wants to know who asks, by {asked[:100]!r}", "Basic or Bearer is done")
        with self._lock:
            if self._challenge and used != self._header(scopes):
                return  # another thread was refused and faster
            if self._challenge is None:
                self._credentials = self._find()
            self._challenge = max(challenges, key=lambda challenge: challenge.scheme == "bearer")
            self._tokens.pop(scopes, None)
            if self._header(scopes) in ({}, used):
                who = f"as {self._credentials.username}" if self._credentials else "without credentials"
                raise DeniedError(f"{self.host} does not let us in {who}", self._connections.hints.denied)

    def _header(self, scopes: Scopes) -> dict[str, str]:
        known = self._credentials
        if self._challenge is None:
            return {}
        if self._challenge.scheme == "basic":
            return {"Authorization": known.basic} if known else {}
        if known and known.registry_token:
            return {"Authorization": f"Bearer {known.registry_token}"}
        token = self._tokens.get(scopes)
        if token is None or token.ends <= time.monotonic():
            token = self._tokens[scopes] = self._patience.tried(lambda: self._fetch(scopes))
        return {"Authorization": f"Bearer {token.text}"}

    def _fetch(self, scopes: Scopes) -> Token:
        """Buy a token of the realm: with an identity token by OAuth 2, else by name and password, or for nothing."""
        challenge, known = self._challenge or Challenge(scheme="bearer"), self._credentials
        realm = urlsplit(challenge.realm)
        if not realm.netloc or not (realm.scheme == "https" or (realm.scheme == "http" and self._plain(realm.netloc))):
            raise DeniedError(
                f"{self.host} sends us for a token to {challenge.realm[:200]!r}, which is no https address",
                "tell the registry's owner: passwords would be read by anybody on the way",
            )
        asked = [("service", challenge.service)] if challenge.service else []
        if known and known.identity_token:
            form = [("grant_type", "refresh_token"), ("refresh_token", known.identity_token), ("client_id", _CLIENT)]
            body = urlencode([*form, *asked, ("scope", " ".join(scopes))]).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._token("POST", challenge.realm, headers, body)
        query = urlencode([*asked, *(("scope", scope) for scope in scopes)])
        url = f"{challenge.realm}{'&' if '?' in challenge.realm else '?'}{query}"
        return self._token("GET", url, {"Authorization": known.basic} if known else {}, None)

    def _token(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Token:
        began = time.monotonic()
        with closing(self._connections.ask(method, url, headers, body)) as response:
            if response.status != _OK:
                raise refusal(response, f"{shown(url)} (for a token of {self.host})", self._connections.hints)
            with self._connections.translated(url):
                data = response.read(_ANSWER_LIMIT)
        try:
            answer = _ANSWERS.decode(data)
        except msgspec.MsgspecError as error:
            raise IntegrityError(f"{shown(url)} gave what is no token: {error}") from error
        text = answer.token or answer.access_token
        if not text.isascii() or not text.isprintable() or not text:
            raise IntegrityError(f"{shown(url)} gave an answer without a token")
        lasts = _SECONDS if answer.expires_in is None else answer.expires_in
        return Token(text=text, ends=began + max(lasts - _MARGIN_SECONDS, lasts / 2))
