"""Requests to an API server: who asks and by which way, patience with a busy one, its refusals as errors of ours."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3

from tiffin.deploy.kubernetes.client.login import Identity, Login
from tiffin.deploy.kubernetes.client.refusals import read_status, read_warnings, refused
from tiffin.errors import NotFoundError
from tiffin.network import BusyError, Connections, Hints, Patience, Tls, retry_after, shown
from tiffin.progress import note

PATIENCE = Patience(attempts=7, silent=2, silence=40.0)
"""Half a minute: what a restart of the only API server may take. One that hangs is given up after a minute and a half:
an answer takes as long as an admission webhook may, which is half a minute.
"""
_STRANGERS = 3
"""How often one who has never answered is tried to be reached."""
_EVER = 86400.0
_PIECE = 1 << 16
_SWITCHING, _UNAUTHORIZED = 101, 401
_HINTS = Hints(
    absent="see what is there with `kubectl get all`",
    denied="let the kubeconfig name one who may do this",
    busy="see whether the cluster's API server runs, and whether the kubeconfig names its address",
    refused="see whether the kubeconfig names the address of a Kubernetes API server",
    changed="ask again",
    distrusted="let the kubeconfig's cluster have its `certificate-authority`, or `tls-server-name` where names differ",
)


def is_near(host: str) -> bool:
    """Whether it is this machine, which no proxy of the environment's is asked for, and where nobody listens in."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an API server is, and by which way: `proxy` is empty for the machine's own."""

    url: str
    tls: Tls = Tls()
    proxy: str = ""
    headers: dict[str, str] = {}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request: `body` is what is sent as JSON of this `media_type`."""

    method: str = "GET"
    path: str
    query: Mapping[str, str | Sequence[str]] = {}
    headers: Mapping[str, str] = {}
    body: Any = None
    media_type: str = "application/json"
    accept: str = "application/json"
    once: bool = False
    """Whether asking twice would do it twice."""


class Asking:
    """Asks one API server; threads may share it."""

    def __init__(self, place: Place, login: Login, patience: Patience = PATIENCE) -> None:
        """Ask there as whom `login` knows."""
        self.patience = patience
        self._place, self._login = place, login
        self._reached = False
        self._warned: set[str] = set()
        self._words = Connections(_HINTS)
        self._made: dict[tuple[str, bool], Connections] = {}
        self._making = threading.Lock()

    def ask(self, question: Question) -> Any:
        """Return what the server answers, asked again while it is busy."""
        asked = 0

        def attempt() -> Any:
            nonlocal asked
            asked += 1
            try:
                return self._whole(question)
            except NotFoundError:
                if question.method == "DELETE" and asked > 1:  # it was deleted, and the answer lost
                    return {}
                raise

        return self._patience(question).tried(attempt)

    @contextlib.contextmanager
    def stream(self, question: Question, silence: float) -> Iterator[Iterator[bytes]]:
        """Return what the server answers as it comes, asked once; it may say nothing for so many seconds."""
        response = self._answer(question, silence)
        try:
            yield self._pieces(response, question)
        finally:
            response.close()

    def upgrade(self, question: Question) -> urllib3.BaseHTTPResponse:
        """Ask for another protocol on the connection, and return the answer, whose connection is then the caller's."""
        return self._patience(question).tried(lambda: self._answer(question, self.patience.silence))

    def shown(self, question: Question) -> str:
        """Say in an error what was asked."""
        return f"{question.method} {shown(self._url(question))}"

    def _patience(self, question: Question) -> Patience:
        """Be more patient with a server that has answered before: an address that is wrong never will."""
        attempts = 1 if question.once else self.patience.attempts
        unreachable = self.patience.attempts if self._reached else min(_STRANGERS, self.patience.attempts)
        return msgspec.structs.replace(self.patience, attempts=attempts, unreachable=unreachable)

    def _whole(self, question: Question) -> Any:
        response = self._answer(question)
        body = self._read(response, question)
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise BusyError(f"{self.shown(question)}: the answer is no JSON: {error}", _HINTS.refused) from error

    def _read(self, response: urllib3.BaseHTTPResponse, question: Question) -> bytes:
        try:
            with self._words.translated(self.shown(question)):
                return response.read()
        finally:
            response.release_conn()

    def _pieces(self, response: urllib3.BaseHTTPResponse, question: Question) -> Iterator[bytes]:
        with self._words.translated(self.shown(question)):
            if response.headers.get("Transfer-Encoding", "").lower() == "chunked":
                yield from response.stream(_PIECE)
            else:
                yield from iter(lambda: response.read1(_PIECE), b"")

    def _answer(self, question: Question, silence: float | None = None) -> urllib3.BaseHTTPResponse:
        """Ask, once more where the server no longer knows who asks; raises what a refusal means."""
        identity = self._login.identity()
        response = self._send(question, identity, silence)
        if response.status == _UNAUTHORIZED and self._login.refresh(identity):
            response.close()
            response = self._send(question, self._login.identity(), silence)
        self._reached = True
        self._pass_on(response)
        if response.status == _SWITCHING or response.status in range(200, 300):
            return response
        said = read_status(self._read(response, question))
        raise refused(response.status, said, self.shown(question), retry_after(response))

    def _pass_on(self, response: urllib3.BaseHTTPResponse) -> None:
        """Tell what the cluster warns of (`299 - "…"`), such as of kinds that will go: each thing once."""
        for words in read_warnings(response.headers.getlist("Warning")):
            if words not in self._warned:
                self._warned.add(words)
                note(f"the cluster warns: {words}")

    def _send(self, question: Question, identity: Identity, silence: float | None) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": question.accept, **self._place.headers, **question.headers}
        body = None if question.body is None else msgspec.json.encode(question.body)
        if identity.token:
            headers["Authorization"] = f"Bearer {identity.token}"
        if body is not None:
            headers["Content-Type"] = question.media_type
        connections = self._connections(identity.certificate, streams=silence is not None)
        return connections.ask(question.method, self._url(question), headers, body, follow=False, seconds=silence)

    def _connections(self, certificate: str, *, streams: bool) -> Connections:
        """Connections on which this certificate is shown; those of streams may be as slow as they like."""
        with self._making:
            if (certificate, streams) not in self._made:
                place = self._place
                told = place.proxy or is_near(urlsplit(place.url).hostname or "")
                proxies = dict.fromkeys(("http", "https"), place.proxy) if told else {}
                made = Connections(_HINTS, proxies, silence=_EVER if streams else self.patience.silence)
                made.present(urlsplit(place.url).netloc, msgspec.structs.replace(place.tls, identity=certificate))
                self._made[certificate, streams] = made
            return self._made[certificate, streams]

    def _url(self, question: Question) -> str:
        query = f"?{urlencode(question.query, doseq=True)}" if question.query else ""
        return f"{self._place.url.rstrip('/')}{question.path}{query}"
