"""What is said of sharing follows from the samples, and the wire counts what clients send."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from benchmarks.measures import outcomes
from benchmarks.names import TIFFIN
from benchmarks.results import Results
from benchmarks.share import MARKS, MEASURES, rates
from benchmarks.starting import DOCKER, FIRST_BYTE, LIST
from benchmarks.table import replaced
from benchmarks.transfers import AGAIN, FORGETS, KEEPS, PULLED, PUSHED, SKOPEO, sent_again
from benchmarks.wire import wire

from faulty_registry import faulty_registry
from tiffin.oci.documents import LAYER, Descriptor
from tiffin.oci.reference import Reference
from tiffin.store.remote.store import RemoteStore

PAGE = Path(__file__).parents[3] / "docs" / "benchmarks.md"
SAMPLES = {
    (PUSHED, TIFFIN): 180e6,
    (PUSHED, SKOPEO): 200e6,
    (PULLED, TIFFIN): 100e6,
    (PULLED, SKOPEO): 200e6,
    (AGAIN, KEEPS): 40e6,
    (AGAIN, FORGETS): 200e6,
    (FIRST_BYTE, TIFFIN): 0.1,
    (FIRST_BYTE, DOCKER): 0.4,
    (LIST, TIFFIN): 0.2,
}


def test_every_promise_is_judged_by_its_samples() -> None:
    results = Results()
    for (what, who), value in SAMPLES.items():
        results.add(what, who, value)
    found = [(round(outcome.value, 3), outcome.reached) for outcome in outcomes(MEASURES, results)]
    assert found == [(0.9, True), (0.5, False), (10.0, False), (100.0, True), (4.0, True), (200.0, False)]
    assert "| push, MB/s | 180 | 200 | - |" in rates(results)


def test_the_page_has_room_for_the_figures() -> None:
    text = replaced(PAGE.read_text(), "figures", MARKS)
    assert f"{MARKS[0]}\nfigures\n{MARKS[1]}" in text
    assert replaced(text, "others", MARKS).count("figures: begin") == 1


def test_the_wire_counts_what_clients_send() -> None:
    data = bytes(100_000)
    blob = Descriptor.of(data, LAYER)
    with faulty_registry() as registry, wire(registry.host) as counted:
        store = RemoteStore.of(Reference.parse(f"{counted.address}/a"), {"HOME": "/nonexistent"}, writing=True)
        store.put(blob, io.BytesIO(data))
        assert registry.blobs == {blob.digest: data}
        assert len(data) < counted.sent < len(data) + 5000


@pytest.mark.program("docker-registry")
def test_a_killed_push_is_counted(tmp_path: Path) -> None:
    results = Results()
    sent_again(results, tmp_path, (24 << 20,) * 2)
    assert results.median(AGAIN, KEEPS) < 1 << 20
    assert results.median(AGAIN, FORGETS) > results.median(AGAIN, KEEPS)
