"""Ask a running service for predictions, with plain rows."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import msgspec

from tiffin.api.containers import url_of
from tiffin.errors import ConfigError, NotFoundError, TiffinError, UnavailableError

_TIMEOUT_SECONDS = 300
_ERRORS: dict[int, type[TiffinError]] = {404: NotFoundError, 429: UnavailableError, 503: UnavailableError}


def predict(target: str, body: bytes) -> str:
    """Return the answer, as JSON, of a container or URL to rows given as JSON.

    Raises ConfigError with the server's own words for rows it refuses, UnavailableError where nobody answers.
    """
    url = target if target.startswith(("http://", "https://")) else url_of(target)
    status, answer = _post(url.rstrip("/") + "/predict", body)
    if status == http.HTTPStatus.OK:
        return answer.decode().rstrip()
    kind = _ERRORS.get(status, ConfigError if status < http.HTTPStatus.INTERNAL_SERVER_ERROR else TiffinError)
    raise kind(f"{url} answered {status}: {_words(answer)}", _hint(status, url))


def _post(url: str, body: bytes) -> tuple[int, bytes]:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or error
        raise UnavailableError(f"{url} does not answer: {why}", "`tiffin ps` lists what runs") from error
    finally:
        connection.close()


def _hint(status: int, url: str) -> str | None:
    """What to do about a refusal, where the server's own words do not say it."""
    if status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return "send fewer rows at a time, or raise `[serve] max-body-bytes` and build again"
    if status == http.HTTPStatus.BAD_REQUEST:
        return f"`curl {url}/` names the address that tells which inputs the model takes"
    return "`tiffin logs NAME` shows what the server wrote" if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else None


def _words(answer: bytes) -> str:
    try:
        return str(msgspec.json.decode(answer, type=dict[str, str])["error"])
    except (msgspec.MsgspecError, KeyError):
        return answer[:200].decode(errors="replace")
