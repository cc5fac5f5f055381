"""Tiffin's autoscaler beside Knative's, over the same requests."""

from __future__ import annotations

import pytest
from benchmarks.scaling.__main__ import both
from benchmarks.scaling.traces import TRACES


@pytest.mark.parametrize("name", list(TRACES))
def test_requests_wait_no_longer_than_with_knative_at_no_greater_cost(name: str) -> None:
    ours, knative = both(TRACES[name], seed=0)
    assert ours.requests == knative.requests
    assert ours.mean_wait <= knative.mean_wait
    assert ours.p99_wait <= knative.p99_wait
    assert ours.replica_seconds <= knative.replica_seconds
