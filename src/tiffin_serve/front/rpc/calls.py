"""Which inference calls are open, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.protocol.errors import RequestError

GONE = 499
"""What is counted for a client that did not wait."""


class Whose:
    """Who counts a call."""

    __slots__ = ("metrics",)

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics


class Calls:
    """Counts calls by how they end; `in_flight` are the requests that are not answered yet, those of streams too."""

    def __init__(self) -> None:
        self.in_flight = 0

    @contextmanager
    def one(self, metrics: Metrics, requests: int) -> Iterator[Whose]:
        """Count a call that is so many requests from its beginning: a stream is none before it has asked.

        It counts to these metrics, unless it is found to be another's.
        """
        began, code, whose = monotonic(), 200, Whose(metrics)
        self.in_flight += requests
        try:
            yield whose
        except RequestError as error:
            code = error.status
            raise
        except Exception:
            code = 500
            raise
        except BaseException:
            code = GONE
            raise
        finally:
            self.in_flight -= requests
            whose.metrics.counted("grpc", code, monotonic() - began)
