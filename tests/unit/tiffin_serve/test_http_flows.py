"""Answers in parts, and clients that go."""

from __future__ import annotations

import pytest

from tiffin_serve.front.http.exchange import Exchange
from unit.tiffin_serve.desks import GET, Place, at_desk, until

PIECE = b"x" * 100_000
CHUNK = b"186a0\r\n" + PIECE + b"\r\n"


class Sender:
    """Sends so many pieces, and pauses when it is told to."""

    def __init__(self, pieces: int) -> None:
        self.left = pieces
        self.paused = 0
        self.most = 0
        self.exchange: Exchange | None = None
        self.abandoned = 0

    def serve(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.room = self.go_on
        exchange.abandoned = self.let_go
        exchange.begin(200, b"content-type: text/plain\r\n")
        self.go_on()

    def let_go(self) -> None:
        self.abandoned += 1

    def go_on(self) -> None:
        exchange = self.exchange
        assert exchange is not None
        while self.left and not exchange.full and not exchange.gone:
            exchange.send(PIECE)
            self.left -= 1
        if self.left:
            self.paused += 1
        elif not exchange.gone:
            exchange.end()


def test_a_sender_pauses_while_the_client_does_not_read_and_loses_nothing() -> None:
    sender = Sender(200)

    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(GET)
        await until(lambda: sender.paused, "paused")
        assert sender.left > 100
        answer = await client.until(b"\r\n0\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert body == CHUNK * 200 + b"0\r\n\r\n"
        assert sender.paused > 1

    at_desk(scenario, sender.serve)


def test_a_sender_whose_turn_has_not_come_pauses_too() -> None:
    sender = Sender(50)
    first: list[Exchange] = []

    def serve(exchange: Exchange) -> None:
        if first:
            sender.serve(exchange)
        else:
            first.append(exchange)

    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(GET * 2)
        await until(lambda: sender.paused, "paused")
        assert sender.left == 49
        first[0].answer(200, b"{}")
        answer = await client.until(b"\r\n0\r\n\r\n")
        assert answer.count(PIECE) == 50
        assert answer.count(b"HTTP/1.1 200 OK") == 2

    at_desk(scenario, serve)


def test_a_sender_that_does_not_pause_costs_the_client_the_connection_and_not_the_memory() -> None:
    sent = 0

    def serve(exchange: Exchange) -> None:
        nonlocal sent
        exchange.begin(200)
        while not exchange.gone and sent < 1000:
            exchange.send(PIECE)
            sent += 1

    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(GET)
        await until(lambda: not place.desk.connections, "gone")
        assert not (await client.all()).endswith(b"0\r\n\r\n")

    at_desk(scenario, serve, unsent_bytes=1_000_000)
    assert sent == 1000


def test_a_client_that_goes_is_noticed_once() -> None:
    sender = Sender(200)

    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(GET)
        await until(lambda: sender.paused, "paused")
        client.close()
        await until(lambda: sender.abandoned, "abandoned")
        assert sender.exchange is not None
        sender.exchange.send(PIECE)
        sender.exchange.end()
        sender.exchange.answer(200, b"")

    at_desk(scenario, sender.serve)
    assert sender.abandoned == 1


@pytest.mark.parametrize("answered", [True, False])
def test_a_client_that_ends_its_side_has_gone_but_gets_what_was_answered(answered: bool) -> None:  # noqa: FBT001 - pytest's
    asked: list[Exchange] = []
    abandoned: list[int] = []

    def serve(exchange: Exchange) -> None:
        asked.append(exchange)
        exchange.abandoned = lambda: abandoned.append(1)
        if answered:
            exchange.answer(200, b"{}")

    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(GET)
        client.finish()
        assert (await client.all()).endswith(b"{}" if answered else b"")
        await until(lambda: not place.desk.connections, "gone")

    at_desk(scenario, serve)
    assert abandoned == ([] if answered else [1])
    assert asked[0].gone


def test_an_old_client_gets_an_answer_in_parts_until_the_end_of_the_connection() -> None:
    sender = Sender(3)

    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head, _, body = (await client.all()).partition(b"\r\n\r\n")
        assert b"chunked" not in head
        assert b"connection: close" in head
        assert body == PIECE * 3

    at_desk(scenario, sender.serve)


def test_head_of_an_answer_in_parts_is_its_head() -> None:
    sender = Sender(3)

    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await client.all()
        assert answer.endswith(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in answer

    at_desk(scenario, sender.serve)
