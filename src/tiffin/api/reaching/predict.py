"""Ask a running service for predictions: of a few rows, or of a whole file of them."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from tiffin.api.reaching.addresses import address_of
from tiffin.errors import ConfigError, NotFoundError, TiffinError, UnavailableError
from tiffin.traffic.address import read_address
from tiffin.traffic.service import PREDICT, Service, words
from tiffin.traffic.wire import Answer

_ERRORS: dict[int, type[TiffinError]] = {404: NotFoundError, 429: UnavailableError, 503: UnavailableError}
_SERVER_ERROR, _TOO_LARGE, _BAD_REQUEST = 500, 413, 400
_PATIENCE_SECONDS = 60
"""How long a file waits for a service that is away or overloaded before it gives up, with all that it has kept."""


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file: rows that were predicted and, apart, rejected."""

    output: str
    rows: int
    rejected: int
    rejected_output: str = ""


def predict(target: str, body: bytes) -> str:
    """Return the answer, as JSON, of a container or URL to rows given as JSON.

    Raises ConfigError with the server's own words for rows it refuses, UnavailableError where nobody answers.
    """
    service = service_of(target)
    answer = service.ask("POST", PREDICT, body)
    if answer.status < _BAD_REQUEST:
        return answer.body.decode().rstrip()
    raise _error(service, answer)


def predict_file(
    target: str, source: Path, output: Path, *, kinds: tuple[str, str] = ("", ""), batch: int = 256
) -> Predicted:
    """Predict every row of a file (CSV, JSON lines, npy, Parquet) into another; run again, it goes on where it ended.

    Raises ConfigError, UnsupportedError or ConflictError where the files cannot be used, UnavailableError where nobody
    answers for a minute.
    """
    from tiffin.traffic import bulk

    job = bulk.plan(source, output, source_kind=kinds[0], target_kind=kinds[1], batch=batch)
    service = service_of(target)

    def ask(rows: object) -> bytes:
        answer = _patiently(service, msgspec.json.encode(rows, enc_hook=str))
        if answer.status < _BAD_REQUEST:
            return answer.body
        if answer.status < _SERVER_ERROR:
            raise bulk.RowError(words(answer))
        raise _error(service, answer)

    done = bulk.run(job, service.model().columns, ask)
    rejected = str(job.beside(".rejected.jsonl")) if done.rejected else ""
    return Predicted(
        output=str(output), rows=done.rows - done.rejected, rejected=done.rejected, rejected_output=rejected
    )


def service_of(target: str) -> Service:
    """The service of a container, a service, or a URL."""
    return Service(read_address(address_of(target)))


def _patiently(service: Service, body: bytes) -> Answer:
    """Ask until there is an answer, while the service is restarted or has too much to do."""
    deadline, pause = time.monotonic() + _PATIENCE_SECONDS, 0.1
    while True:
        try:
            answer = service.ask("POST", PREDICT, body)
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
        else:
            if not issubclass(_ERRORS.get(answer.status, TiffinError), UnavailableError) or time.monotonic() > deadline:
                return answer
        time.sleep(pause)
        pause = min(2 * pause, 5)


def _error(service: Service, answer: Answer) -> TiffinError:
    status, address = answer.status, service.address
    kind = _ERRORS.get(status, ConfigError if status < _SERVER_ERROR else TiffinError)
    return kind(f"{address} answered {status}: {words(answer)}", _hint(status, str(address)))


def _hint(status: int, url: str) -> str | None:
    """What to do about a refusal, where the server's own words do not say it."""
    if status == _TOO_LARGE:
        return "send fewer rows at a time, or raise `[serve] max-body-bytes` and build again"
    if status == _BAD_REQUEST:
        return f"`curl {url}/` names the address that tells which inputs the model takes"
    return "`tiffin logs NAME` shows what the server wrote" if status >= _SERVER_ERROR else None
