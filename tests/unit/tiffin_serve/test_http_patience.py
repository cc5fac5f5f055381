"""How long the server waits for whom, by a clock that the test moves."""

from __future__ import annotations

import pytest

from tiffin_serve.front.http.exchange import Exchange
from unit.tiffin_serve.desks import GET, Place, at_desk, greet, until

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
BIG = bytes(20_000_000)


def big(exchange: Exchange) -> None:
    exchange.answer(200, BIG)


async def gone(place: Place) -> None:
    await until(lambda: not place.desk.connections, "gone")


def test_a_client_that_says_nothing_is_let_go() -> None:
    async def scenario(place: Place) -> None:
        client = await place.client()
        place.wait(30)
        assert len(place.desk.connections) == 1
        place.wait(2)
        await gone(place)
        assert await client.all() == b""

    at_desk(scenario, greet)


def test_a_client_that_has_asked_may_be_idle_for_longer() -> None:
    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(GET)
        await client.until(b"GET /? ")
        place.wait(74)
        await client.send(GET)
        await client.until(b"GET /? ")
        place.wait(77)
        await gone(place)
        assert await client.all() == b""

    at_desk(scenario, greet)


@pytest.mark.parametrize("sent", [b"G", GET[:-2]])
def test_a_head_that_comes_byte_by_byte_is_given_up_on(sent: bytes) -> None:
    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(sent)
        for letter in b"X-Slow: yes":
            await until(lambda: place.desk.connections, "there")
            place.wait(1)
            if sent != b"G":
                await client.send(bytes([letter]))
        assert (await client.all()).startswith(b"HTTP/1.1 408 ")

    at_desk(scenario, greet)


def test_a_body_that_stops_is_given_up_on() -> None:
    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(POST + bytes(50_000))
        (connection,) = place.desk.connections
        await until(lambda: connection.busy, "reading")
        place.wait(12)
        assert (await client.all()).startswith(b"HTTP/1.1 408 ")

    at_desk(scenario, greet)


@pytest.mark.parametrize(("bytes_a_second", "status"), [(1, b"408"), (5_000, b"200")])
def test_a_body_must_come_at_a_least_rate(bytes_a_second: int, status: bytes) -> None:
    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(POST)
        (connection,) = place.desk.connections
        for _ in range(20):
            await client.send(bytes(bytes_a_second))
            await until(lambda: place.desk.now == _heard(connection) or not connection.busy, "read")
            place.wait(1)
        assert (await client.receive()).startswith(b"HTTP/1.1 " + status)

    at_desk(scenario, greet)


def _heard(connection: object) -> float:
    return float(connection._reader.heard)  # type: ignore[attr-defined]


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
def test_who_reads_nothing_of_an_answer_is_cut_off(close: bytes) -> None:
    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(GET[:-2] + close + b"\r\n")
        assert await client.receive(1) == b"H"
        place.wait(30)
        assert len(place.desk.connections) == 1
        place.wait(2)
        await gone(place)
        assert len(await client.all()) < len(BIG)

    at_desk(scenario, big)


def test_who_reads_a_byte_a_second_is_cut_off() -> None:
    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(GET)
        for _ in range(32):
            await client.receive(1)
            place.wait(1)
        await gone(place)

    at_desk(scenario, big)


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
def test_who_reads_slowly_gets_all_of_it(close: bytes) -> None:
    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(GET[:-2] + close + b"\r\n")
        got = 0
        while got < len(BIG):
            before = got
            while got < min(len(BIG), before + 200_000):
                got += len(await client.receive(1 << 20))
            place.wait(1)
        assert got >= len(BIG)

    at_desk(scenario, big)


def test_who_asks_and_does_not_read_is_not_read_either() -> None:
    async def scenario(place: Place) -> None:
        asked = 0

        def count(_: Exchange, __: int) -> None:
            nonlocal asked
            asked += 1

        place.desk.answered = count
        client = await place.client()
        await client.send(GET * 10)
        await until(lambda: asked == 10, "asked")
        (connection,) = place.desk.connections
        assert connection._paused  # type: ignore[attr-defined]
        place.wait(32)
        await gone(place)
        assert asked == 10

    at_desk(scenario, big)


def test_time_in_which_the_server_did_not_read_is_not_the_clients() -> None:
    waiting: list[Exchange] = []

    async def scenario(place: Place) -> None:
        client = await place.client()
        await client.send(GET * 2)
        await until(lambda: len(waiting) == 2, "asked")
        await client.send(POST)
        place.wait(1000)
        for exchange in waiting[:2]:
            exchange.answer(200, b"")
        (connection,) = place.desk.connections
        await until(lambda: connection.busy, "reading")
        place.wait(9)
        await client.send(bytes(100_000))
        await until(lambda: len(waiting) == 3, "asked")

    at_desk(scenario, waiting.append, pipelined=2)
