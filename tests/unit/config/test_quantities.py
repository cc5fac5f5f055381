"""Amounts as Kubernetes writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.config.quantities import parse_cpu, parse_memory, write_cpu, write_memory
from tiffin.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size"), [("1Gi", 1 << 30), ("1.5Gi", 3 << 29), ("2G", 2 * 10**9), ("512Ki", 1 << 19), ("4096", 4096)]
)
def test_memory_is_read_as_kubernetes_reads_it(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "1g", "1 Gi", "-1", "0", "Gi", "1GiB", "1m"])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no amount of memory"):
        parse_memory(text)


@pytest.mark.parametrize(("text", "cpus"), [("1", 1.0), ("0.5", 0.5), ("250m", 0.25), ("1500m", 1.5)])
def test_processors_are_read(text: str, cpus: float) -> None:
    assert parse_cpu(text) == cpus


@pytest.mark.parametrize("text", ["", "0", "m", "1c", "-1"])
def test_what_is_no_processor_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no number of processors"):
        parse_cpu(text)


@given(st.integers(1, 1 << 44))
def test_memory_that_is_written_is_read_the_same(size: int) -> None:
    assert parse_memory(write_memory(size)) == size


@given(st.integers(1, 64_000))
def test_processors_that_are_written_are_read_the_same(milli: int) -> None:
    assert parse_cpu(write_cpu(milli / 1000)) == milli / 1000
