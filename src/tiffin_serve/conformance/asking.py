"""Asking a server, one connection a question, and what a check finds."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

SECONDS = 30.0
SHOWN = 200


class Failed(Exception):  # noqa: N818 - it is a finding, not an error
    """The server does not keep to the protocol here; the message says what it did instead."""


class Skipped(Exception):  # noqa: N818 - as above
    """The check says nothing about this server; the message says why."""


class Answer(NamedTuple):
    """What a server answered; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON, or find that it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Failed(f"the body is not JSON: {self.shown}") from error

    @property
    def shown(self) -> str:
        """Give the beginning of the body for a person to read."""
        return self.body[:SHOWN].decode("utf-8", "replace").replace("\n", " ")


class Asking:
    """The way to one server."""

    def __init__(self, url: str, token: str = "") -> None:
        """Take `http://host[:port][/prefix]`; raises ValueError where it is no such address."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"'{url}' is not the address of a server; give http://HOST:PORT")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Answer:
        """Read a path."""
        return self.ask("GET", path)

    def post(self, path: str, document: Any) -> Answer:
        """Send a document as JSON."""
        return self.ask("POST", path, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """Ask; raises OSError where there is no server, Failed where its answer is not HTTP."""
        connection = self._connect()
        try:
            connection.request(method, self._prefix + path, body, {**self._headers, **(headers or {})})
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read())
        except http.client.HTTPException as error:
            raise Failed(f"the answer is not HTTP: {error!r}") from error
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=SECONDS, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)


def model_path(name: str, version: str = "") -> str:
    """Give the path of a model."""
    path = f"/v2/models/{quote(name, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def want(condition: object, message: str) -> None:
    """Find a failure unless the condition holds."""
    if not condition:
        raise Failed(message)


def want_ok(answer: Answer) -> Any:
    """Want success; returns the document."""
    want(answer.status == 200, f"answered {answer.status}: {answer.shown}")  # noqa: PLR2004 - HTTP's number
    return answer.json()


def want_error(answer: Answer) -> str:
    """Want the protocol's error form, which says what is wrong and nothing of the server's inside."""
    want(400 <= answer.status < 500, f"answered {answer.status}, not 4xx: {answer.shown}")  # noqa: PLR2004 - HTTP's numbers
    document = answer.json()
    sentence = document.get("error") if isinstance(document, dict) else None
    want(isinstance(sentence, str) and sentence, f'the body is not {{"error": "..."}}: {answer.shown}')
    want("Traceback (most recent call last)" not in str(sentence), "the error is a traceback")
    return str(sentence)
