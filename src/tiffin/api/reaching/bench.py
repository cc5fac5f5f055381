"""Put a load on a running service and say how it answered."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from tiffin.api.reaching.addresses import address_of
from tiffin.errors import ConfigError
from tiffin.traffic.address import Address, Question, read_address
from tiffin.traffic.report import Report
from tiffin.traffic.schedule import Load
from tiffin.traffic.service import PREDICT, Service, failed, words


def bench(
    target: str, body: bytes | None, load: Load, *, headers: Mapping[str, str] | None = None, same: bool = True
) -> Report:
    """Ask a container or a URL as the load says.

    A URL with a path is asked there; else `body` are rows for `/predict`, and without any a row is made up of what the
    model says it takes. With `same`, an answer that says something else than the first one counts as wrong.

    Raises ConfigError where the service refuses the request itself, UnavailableError where nobody answers.
    """
    from tiffin.traffic.judge import SameAs
    from tiffin.traffic.load import measure
    from tiffin.traffic.report import make_report

    load.check()
    address, path = _split(address_of(target))
    service = Service(address, headers=headers, seconds=load.time_out)
    if not path:
        path, body = PREDICT, body if body is not None else msgspec.json.encode([service.model().example_row()])
    question = Question(method="GET" if body is None else "POST", path=path, headers=headers or {}, body=body or b"")
    first = service.ask(question.method, path, body)
    if failed(first):
        raise ConfigError(f"{address}{path} answered {first.status}: {words(first)}", "give a body that it takes")
    measured = measure(address, question, load, SameAs(first.body) if same else lambda _: True)
    return make_report(f"{address}{path}", load, measured)


def _split(url: str) -> tuple[Address, str]:
    """Part a URL into the service and the path that is asked, which is empty where none is named."""
    address, parts = read_address(url), urlsplit(url)
    path = parts.path if parts.path.strip("/") else ""
    if path and parts.query:
        path += f"?{parts.query}"
    return msgspec.structs.replace(address, base=""), path
