"""What a front of several revisions answers on its metrics port: `/metrics`, `/drift` and `/table`."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

import msgspec

from tiffin_serve.front.http.exchange import JSON, Exchange
from tiffin_serve.front.metrics.exposition import Family, Sample, together
from tiffin_serve.front.metrics.processes import processes
from tiffin_serve.front.rest.scraping import answer_families, answer_packed, gauges_of
from tiffin_serve.front.routing.router import Router


class AdminApi:
    """The routes for scrapers, and for who writes the table: `told` says how it is, `reread` does as it says now."""

    def __init__(self, router: Router, told: Callable[[], dict[str, object]], reread: Callable[[], None]) -> None:
        self._router = router
        self._told = told
        self._do_reread = reread
        self._routes = {
            b"/metrics": {b"GET": self._scrape, b"HEAD": self._scrape},
            b"/drift": {b"GET": self._drift, b"HEAD": self._drift},
            b"/table": {b"GET": self._tell, b"HEAD": self._tell, b"POST": self._reread},
        }

    def serve(self, exchange: Exchange) -> None:
        """Answer a question."""
        methods = self._routes.get(exchange.path)
        if methods is None:
            exchange.refuse(404, "there are only /metrics, /drift and /table here")
        elif exchange.method not in methods:
            allowed = b", ".join(methods)
            message = f"{exchange.path.decode()} takes {allowed.decode()}"
            exchange.refuse(405, message, b"allow: %b\r\n" % allowed)
        else:
            methods[exchange.method](exchange)

    def _scrape(self, exchange: Exchange) -> None:
        router = self._router
        seats = sorted(router.seats.values(), key=lambda seat: int(seat.number))
        each = [
            (
                {"revision": seat.number},
                seat.revision.metrics.families(gauges_of(seat.revision.workers, seat.in_flight)),
            )
            for seat in seats
        ]
        parked = Family(
            "tiffin_parked_requests",
            "gauge",
            "Requests that wait until any worker is there.",
            [Sample({}, len(router.parking))],
        )
        answer_families(exchange, [*together(each), parked, *processes()])

    def _drift(self, exchange: Exchange) -> None:
        router = self._router
        number = parse_qs(exchange.query.decode("latin-1")).get("revision", [router.main.number])[-1]
        seat = router.seats.get(number)
        if seat is None:
            exchange.refuse(404, f"there is no revision '{number[:40]}'; there is {', '.join(router.seats)}")
        else:
            answer_packed(exchange, msgspec.json.encode(seat.revision.metrics.drift.document()), JSON)

    def _tell(self, exchange: Exchange) -> None:
        answer_packed(exchange, msgspec.json.encode(self._told()), JSON)

    def _reread(self, exchange: Exchange) -> None:
        """Do as the table says now, and tell how it is then."""
        try:
            self._do_reread()
        except (OSError, ValueError) as error:
            exchange.refuse(400, str(error))
        else:
            self._tell(exchange)
