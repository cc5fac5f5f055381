"""Each fault of the corpus is answered as its item says, its twin succeeds, and others are not harmed."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any

import pytest

from unit.tiffin_serve.fronts import DEADLINE, Server
from unit.tiffin_serve.http_corpus import CORPUS, PING, Item

LAST = PING.replace(b"Host: x", b"Host: x\r\nConnection: close")


def exchange(server: Server, sent: bytes) -> bytes:
    """Send all of it, whether the server still reads or not, and read until it closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
        received = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has read enough
            client.sendall(sent)
        while True:
            try:
                piece = client.recv(65536)
            except ConnectionResetError:
                return received
            if not piece:
                return received
            received += piece


def answers(data: bytes) -> list[tuple[int, bool, Any]]:
    """Take answers apart: status, whether it is the last, and the document."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        size = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
        found.append((int(head.split(b" ")[1]), b"connection: close" in head, json.loads(data[:size] or b"null")))
        data = data[size:]
    return found


@pytest.mark.parametrize("item", CORPUS, ids=lambda item: item.name)
def test_a_fault_is_answered_as_it_should_be(iris: Server, item: Item) -> None:
    found = answers(exchange(iris, item.sent + LAST))
    statuses = [status for status, _, _ in found]
    assert statuses == [*item.answers, *([] if item.closes else [200])]
    assert [last for _, last, _ in found] == [*[False] * (len(found) - 1), True]
    for status, _, document in found:
        assert status == 200 or list(document) == ["error"]
        assert "Traceback" not in str(document)


@pytest.mark.parametrize("item", CORPUS, ids=lambda item: item.name)
def test_its_twin_without_the_fault_succeeds(iris: Server, item: Item) -> None:
    found = answers(exchange(iris, item.twin + LAST))
    assert [status for status, _, _ in found] == [*item.twin_answers, 200], found


def test_the_names_of_the_items_are_unique() -> None:
    assert len({item.name for item in CORPUS}) == len(CORPUS) > 100


@pytest.mark.parametrize("item", [item for item in CORPUS if len(item.sent) < 2_000], ids=lambda item: item.name)
def test_a_fault_that_comes_byte_by_byte_is_answered_alike(iris: Server, item: Item) -> None:
    with socket.create_connection(("127.0.0.1", iris.port), timeout=DEADLINE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has read enough
            for letter in item.sent + LAST:
                client.send(bytes([letter]))
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(65536):
                received += piece
    assert tuple(status for status, _, _ in answers(received)) == item.answers + (() if item.closes else (200,))


def test_no_fault_was_worth_a_traceback(iris: Server) -> None:
    assert "Traceback" not in iris.log
    assert "could not be" not in iris.log
