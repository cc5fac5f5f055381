"""Who sends, takes or answers slowly is waited for as long as there is progress, and no longer."""

from __future__ import annotations

import io
import socket
import threading
from pathlib import Path

import pytest

from faulty_registry import Fault, FaultyRegistry
from tiffin.errors import UnavailableError
from tiffin.network import Patience
from tiffin.oci.copy import copy
from tiffin.oci.documents import LAYER_GZIP, Descriptor
from tiffin.oci.reference import Reference
from tiffin.store.layout import LayoutStore
from tiffin.store.remote.store import RemoteStore
from tiffin.store.remote.upload import SMALL

from .conftest import CONTENT

SILENCE = 0.3
PATIENCE = Patience(pause=lambda _: None, silence=SILENCE)
DRIP = 0.01
"""A byte in that time is never silence, and less than is borne."""
BIG = (CONTENT + CONTENT)[: SMALL + 1000]
BLOB = Descriptor.of(BIG, LAYER_GZIP)


def remote(registry: FaultyRegistry, *, writing: bool = False) -> RemoteStore:
    reference = Reference.parse(f"{registry.host}/team/iris")
    return RemoteStore.of(reference, {"HOME": "/nonexistent"}, PATIENCE, writing=writing)


def test_a_registry_that_drips_is_left_and_the_rest_is_asked_for(
    registry: FaultyRegistry, layer: Descriptor, tmp_path: Path
) -> None:
    registry.faults[layer.digest] = [Fault(drip=DRIP), Fault(drip=DRIP)]
    store, source = LayoutStore(tmp_path), remote(registry)
    copy(source, store, source.resolve("1"))
    assert store.exists(layer)
    assert len([asked for asked in registry.asked if layer.digest in asked.path]) == 3


def test_a_registry_that_always_drips_is_given_up_with_its_name_and_its_rate(
    registry: FaultyRegistry, layer: Descriptor
) -> None:
    registry.faults[layer.digest] = [Fault(drip=DRIP)] * PATIENCE.attempts
    with remote(registry).open(layer) as stream, pytest.raises(UnavailableError, match="next to nothing") as caught:
        stream.read()
    assert "team/iris" in caught.value.message
    assert "bytes in" in caught.value.message
    assert caught.value.hint
    assert registry.faults[layer.digest] == []


@pytest.mark.parametrize("path", ["manifests/1", "/token"])
def test_documents_and_heads_that_drip_are_asked_for_again(registry: FaultyRegistry, path: str) -> None:
    registry.scheme, registry.login = "bearer", ""
    registry.faults[path] = [Fault(drip_head=DRIP), Fault(drip=DRIP)]
    assert remote(registry).resolve("1")
    assert registry.faults[path] == []


def test_an_answer_may_take_longer_than_a_silence_once_everything_is_sent(registry: FaultyRegistry) -> None:
    registry.faults["/blobs/uploads/"] = [Fault(), Fault(think=3 * SILENCE), Fault(think=3 * SILENCE)]
    remote(registry, writing=True).put(BLOB, io.BytesIO(BIG))
    assert [asked.method for asked in registry.asked if "uploads" in asked.path] == ["POST", "PATCH", "PUT"]
    assert registry.blobs[BLOB.digest] == BIG


def test_a_registry_that_takes_slowly_is_sent_everything(registry: FaultyRegistry) -> None:
    registry.pace = 2 << 20  # a second and a half beyond what the sockets hold, and some of it within any silence
    remote(registry, writing=True).put(BLOB, io.BytesIO(BIG))
    assert registry.received == len(BIG)


def test_a_registry_that_takes_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        begun = b"HTTP/1.1 202 Accepted\r\nLocation: /v2/u\r\nContent-Length: 0\r\n\r\n"
        answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", begun]
        connections: list[socket.socket] = []

        def serve() -> None:
            connection = server.accept()[0]
            connections.append(connection)
            for answer in answers:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        patience = Patience(pause=lambda _: None, attempts=1, silence=SILENCE)
        store = RemoteStore.of(Reference.parse(f"{host}/team/iris"), {"HOME": "/nonexistent"}, patience, writing=True)
        data = bytes(32 << 20)
        with pytest.raises(UnavailableError, match=host):
            store.put(Descriptor.of(data, LAYER_GZIP), io.BytesIO(data))
        thread.join()
        for connection in connections:
            connection.close()


def test_bursts_of_failures_are_outlived_as_long_as_there_is_progress(
    registry: FaultyRegistry, layer: Descriptor, tmp_path: Path
) -> None:
    burst = [Fault(status=500)] * (PATIENCE.attempts - 1)
    registry.faults[layer.digest] = [*burst, Fault(cut=1_200_000), *burst[1:], Fault(cut=1_200_000), *burst[1:]]
    store, source = LayoutStore(tmp_path), remote(registry)
    copy(source, store, source.resolve("1"))
    assert store.exists(layer)
    assert registry.faults[layer.digest] == []
