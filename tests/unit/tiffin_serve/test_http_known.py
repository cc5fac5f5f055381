"""A head that was read before is read the same without the parser, however the bytes are cut."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tiffin_serve.front.http.desk import Desk
from tiffin_serve.front.http.exchange import Exchange, Flow
from tiffin_serve.front.http.known import LONGEST, MOST
from tiffin_serve.front.http.limits import Limits
from tiffin_serve.front.http.reader import RequestReader
from unit.tiffin_serve.desks import Place, at_desk, greet, until

REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a?b=c HTTP/1.1\r\nhost: x\r\nX-Request-Id: 7\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\r\n\r\n!",
    b"POST / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
    b"\r\n\r\nGET /crlf HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /wait HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n1",
    b"GET /old HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
    b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /up HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: two words\r\n\r\n",
    b"\r\n\r\n",
]


class Heard:
    """Who takes what a reader reads, and remembers it."""

    congested = False

    def __init__(self, desk: Desk) -> None:
        self.reader = RequestReader(desk, self)
        self.events: list[Any] = []

    def take(self, exchange: Exchange) -> None:
        told = (exchange.method, exchange.path, exchange.query, dict(exchange.headers), exchange.body)
        self.events.append((*told, exchange.old, exchange.close))

    def refuse(self, status: int, message: str, headers: bytes = b"") -> None:
        self.reader.stop()
        self.events.append((status, message, headers))

    def proceed(self) -> None:
        self.events.append("100")

    def flush(self) -> None: ...

    def bound(self, flow: Flow) -> None: ...


def make_desk() -> Desk:
    return Desk(greet, Limits())


def read(desk: Desk, pieces: list[bytes]) -> tuple[list[Any], bool]:
    heard = Heard(desk)
    for piece in pieces:
        heard.reader.feed(piece)
    return heard.events, heard.reader.reading


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(stream) + 1) for place in places} | {len(stream)})
    return [stream[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < end]


@given(
    st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4),
    st.lists(st.integers(0, 1000), max_size=5),
    st.lists(st.tuples(st.sampled_from(REQUESTS), st.integers(0, 1000)), max_size=8),
)
def test_known_heads_change_nothing(requests: list[bytes], places: list[int], before: list[tuple[bytes, int]]) -> None:
    pieces = cut(b"".join(requests), places)
    desk = make_desk()
    for request, place in before:
        read(desk, cut(request, [place]))
        read(desk, [request])
    assert read(desk, pieces) == read(make_desk(), [b"".join(requests)])


@given(st.lists(st.sampled_from(REQUESTS), min_size=2, max_size=4), st.sampled_from(REQUESTS))
def test_what_comes_behind_a_request_teaches_nothing_of_it(requests: list[bytes], last: bytes) -> None:
    desk = make_desk()
    for _ in range(2):
        read(desk, [b"".join(requests)])
    assert read(desk, [last]) == read(make_desk(), [last])


def test_a_usual_head_is_known_from_its_second_time_on() -> None:
    desk = make_desk()
    read(desk, [REQUESTS[0]])  # whose host is known from then on
    for request in REQUESTS[:5]:  # of which two have the same head
        read(desk, [request])
    assert len(desk.heads) == 4
    for request in REQUESTS[5:]:
        read(desk, [request])
    assert len(desk.heads) == 4


def test_heads_that_are_long_or_many_are_not_kept() -> None:
    desk = make_desk()
    for number in range(3 * MOST):
        read(desk, [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number])
        assert len(desk.heads) <= MOST
    desk.heads.clear()
    read(desk, [b"GET / HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % (b"x" * LONGEST)])
    assert not desk.heads


def test_a_client_that_sends_a_known_head_and_no_body_is_told_so_in_time() -> None:
    async def scenario(place: Place) -> None:
        client = await place.client()
        for _ in range(2):
            await client.send(REQUESTS[2])
            await client.until(b"hello")
        await client.send(REQUESTS[2][:-5])
        await until(lambda: all(connection.busy for connection in place.desk.connections), "reading")
        place.wait(12)
        assert (await client.all()).startswith(b"HTTP/1.1 408")

    at_desk(scenario, greet, header_seconds=10)
