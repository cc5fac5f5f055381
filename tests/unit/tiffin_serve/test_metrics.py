"""What is counted reads as it was counted: by Prometheus' own parser, in both formats."""

from __future__ import annotations

import gzip
import http.client
import os
import subprocess
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from tiffin_serve.front.metrics.counters import Gauges, Limits, Metrics, protocol_of
from tiffin_serve.front.metrics.exposition import (
    Family,
    Sample,
    prefers_openmetrics,
    takes_gzip,
    text,
)
from tiffin_serve.front.metrics.histogram import SECONDS, Histogram, merged
from tiffin_serve.front.metrics.processes import below, processes, usage
from tiffin_serve.protocol.call import Call, Tensor, make_call
from unit.tiffin_serve.fronts import DEADLINE, ROWS, Server, wait_for

GAUGES = Gauges(in_flight=3, queued=2, workers={"busy": 1, "idle": 1}, ready=True)
OPENMETRICS = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75"
MODEL = '{model="iris"}'
PROMETHEUS = f"{OPENMETRICS},text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


class Waiting(NamedTuple):
    call: Call
    arrived: float


class Asked:
    def __init__(self, path: bytes) -> None:
        self.path = path
        self.began = 0.0


def busy_metrics() -> Metrics:
    metrics = Metrics("iris", "7", "sha256:abc", Limits(30.0, 100))
    metrics.counted("oip", 200, 0.004)
    metrics.counted("oip", 500, 0.5)
    metrics.counted("grpc", 200, 0.00005)
    call = make_call((Tensor("x", "FP64", (1,), bytes(8)),), batches=True)
    metrics.sent([Waiting(call, 10.0)], 1, 10.0002)
    metrics.rejected("queue")
    metrics.failed("model")
    metrics.predicted(2, 5, 0.003)
    metrics.predicted(1, 5, 0.001)
    metrics.restarted("signal")
    metrics.loaded(1.5)
    return metrics


@pytest.mark.parametrize("seconds", [-0.5, 1e300, float("inf"), float("nan")])
def test_a_time_that_cannot_be_is_none_and_is_counted(seconds: float) -> None:
    metrics = busy_metrics()
    before = samples(metrics, openmetrics=False)
    metrics.predicted(1, 5, seconds)
    after = samples(metrics, openmetrics=False)
    labels = (("model", "iris"),)
    assert before["tiffin_worker_false_times_total", labels] == 0
    assert after["tiffin_worker_false_times_total", labels] == 1
    for name in ("tiffin_predict_duration_seconds_sum", "tiffin_predict_duration_seconds_count"):
        assert after[name, labels] - before[name, labels] == name.endswith("count"), name
    assert metrics.statistics()["inference_stats"]["compute_infer"]["ns"] == 7_000_000


def samples(metrics: Metrics, *, openmetrics: bool) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    written = text([*metrics.families(GAUGES), *processes()], openmetrics=openmetrics)
    families = (read_openmetrics if openmetrics else read_plain)(written)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize("openmetrics", [False, True])
def test_prometheus_own_parser_reads_what_was_counted(*, openmetrics: bool) -> None:
    found = samples(busy_metrics(), openmetrics=openmetrics)

    def one(name: str, **labels: str) -> float:
        return found[name, tuple(sorted({"model": "iris", **labels}.items()))]

    assert one("tiffin_requests_total", version="7", protocol="oip", code="200") == 1
    assert one("tiffin_request_duration_seconds_bucket", version="7", protocol="grpc", le="0.0001") == 1
    assert one("tiffin_request_duration_seconds_bucket", version="7", protocol="oip", le="0.005") == 1
    assert one("tiffin_request_duration_seconds_bucket", version="7", protocol="oip", le="+Inf") == 2
    assert one("tiffin_errors_total", reason="model") == 1
    assert one("tiffin_rejected_total", reason="queue") == 1
    assert one("tiffin_queue_duration_seconds_sum") == pytest.approx(0.0002)
    assert (one("tiffin_batch_size_sum"), one("tiffin_batch_requests_sum"), one("tiffin_batch_size_count")) == (
        10,
        3,
        2,
    )
    assert one("tiffin_predict_duration_seconds_sum") == pytest.approx(0.004)
    assert one("tiffin_predicted_rows_total") == 10
    assert (one("tiffin_in_flight_requests"), one("tiffin_queue_depth"), one("tiffin_model_ready")) == (3, 2, 1)
    assert (one("tiffin_workers", state="busy"), one("tiffin_worker_restarts_total", reason="signal")) == (1, 1)
    assert (one("tiffin_model_load_seconds"), one("tiffin_deadline_seconds"), one("tiffin_queue_limit")) == (
        1.5,
        30,
        100,
    )
    assert found["process_cpu_seconds_total", ()] > 0
    assert found["process_open_fds", ()] > 2
    builds = [dict(labels) for name, labels in found if name == "tiffin_build_info"]
    assert [(build["version"], build["image"]) for build in builds] == [("7", "sha256:abc")]


def test_both_formats_say_the_same() -> None:
    metrics = busy_metrics()
    plain, openmetrics = (samples(metrics, openmetrics=form) for form in (False, True))
    unsteady = ("process_", "tiffin_worker_")
    assert {key: value for key, value in plain.items() if not key[0].startswith(unsteady)} == {
        key: value for key, value in openmetrics.items() if not key[0].startswith(unsteady)
    }


@given(st.text(max_size=50))
def test_a_label_may_hold_any_text(label: str) -> None:
    family = Family("tiffin_things", "gauge", "Things.", [Sample({"feature": label}, 1)])
    label = label.encode("utf-8", "replace").decode()
    for read, openmetrics in ((read_plain, False), (read_openmetrics, True)):
        written = text([family._replace(samples=[Sample({"feature": label}, 1)])], openmetrics=openmetrics)
        (found,) = read(written)
        assert [sample.labels for sample in found.samples] == [{"feature": label}]


@given(st.lists(st.floats(min_value=0, max_value=100)), st.lists(st.floats(min_value=0, max_value=100)))
def test_a_histogram_counts_every_observation_once_below_its_bound(one: list[float], other: list[float]) -> None:
    histograms = [Histogram(), Histogram()]
    for histogram, values in zip(histograms, (one, other), strict=True):
        for value in values:
            histogram.observe(value)
    whole, values = merged(histograms), one + other
    assert whole.cumulative() == [sum(value <= bound for value in values) for bound in (*SECONDS, inf)]
    assert whole.count == len(values)
    assert whole.total == pytest.approx(sum(values))


def test_the_statistics_are_tritons() -> None:
    statistics = busy_metrics().statistics()
    assert (statistics["name"], statistics["version"]) == ("iris", "7")
    assert (statistics["inference_count"], statistics["execution_count"]) == (10, 2)
    parts = statistics["inference_stats"]
    assert parts["success"]["count"] == 2
    assert parts["success"]["ns"] == pytest.approx(4_050_000)
    assert parts["fail"] == {"count": 1, "ns": 500_000_000}
    assert parts["queue"]["count"] == 1
    assert parts["queue"]["ns"] == pytest.approx(200_000, rel=1e-3)
    assert parts["compute_infer"] == {"count": 3, "ns": 7_000_000}
    assert [(batch["batch_size"], batch["compute_infer"]) for batch in statistics["batch_stats"]] == [
        (5, {"count": 2, "ns": 4_000_000})
    ]
    assert statistics["last_inference"] > 0


def test_strangers_who_think_of_paths_fill_no_memory() -> None:
    metrics = Metrics("iris")
    for number in range(5_000):
        metrics.answered(Asked(b"/%d" % number), 404)
    assert len(metrics._paths) <= 256
    assert samples(metrics, openmetrics=False)[
        "tiffin_requests_total", (("code", "404"), ("model", "iris"), ("protocol", "other"), ("version", "1"))
    ] == 5_000  # fmt: skip


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        (b"/predict", "predict"),
        (b"/v2/models/iris/infer", "oip"),
        (b"/v2/models/iris/versions/1/infer", "oip"),
        (b"/v1/models/iris:predict", "tensorflow"),
        (b"/invocations", "mlflow"),
        (b"/v2/models/iris", "other"),
        (b"/v2/health/ready", "other"),
        (b"", "other"),
    ],
)
def test_a_path_tells_the_protocol(path: bytes, protocol: str) -> None:
    assert protocol_of(path) == protocol


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        (PROMETHEUS, True),
        ("text/plain", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.5", False),
        ("application/openmetrics-text;q=nonsense, text/plain", False),
    ],
)
def test_a_scraper_says_which_format_it_wants(accept: str, *, openmetrics: bool) -> None:
    assert prefers_openmetrics(accept.encode()) is openmetrics


@pytest.mark.parametrize(
    ("accept", "takes"), [("", False), ("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("*", True)]
)
def test_a_scraper_says_whether_it_reads_gzip(accept: str, *, takes: bool) -> None:
    assert takes_gzip(accept.encode()) is takes


def test_processes_below_are_found_and_measured() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in below(os.getpid())
        wait_for(lambda: (used := usage(child.pid)) is not None and used.resident_bytes > 100_000, "it has begun")
        used = usage(child.pid)
        assert used is not None
        assert used.start_seconds > 1e9
        child.kill()
    assert usage(child.pid) is None


def test_where_there_is_no_proc_nothing_is_said(tmp_path: Path) -> None:
    assert usage(os.getpid(), tmp_path) is None
    assert below(os.getpid(), tmp_path) == []


def scrape(server: Server, **headers: str) -> tuple[dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.metrics_port, timeout=DEADLINE)
    try:
        connection.request("GET", "/metrics", headers=headers)
        response = connection.getresponse()
        return dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_a_front_answers_as_the_scraper_asks(iris: Server) -> None:
    headers, body = scrape(iris)
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert list(read_plain(body.decode()))
    headers, body = scrape(iris, **{"Accept": PROMETHEUS, "Accept-Encoding": "gzip"})
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body).endswith(b"# EOF\n")
    families = {family.name: family for family in read_openmetrics(gzip.decompress(body).decode())}
    assert families["tiffin_requests"].type == "counter"
    assert [sample.labels["worker"] for sample in families["tiffin_worker_cpu_seconds"].samples][:1] == ["0"]


def test_requests_are_timed_by_protocol(iris: Server) -> None:
    path = "/v2/models/iris/infer"
    count = 'tiffin_request_duration_seconds_count{model="iris",version="1",protocol="oip"}'
    before = iris.metrics()
    rows = [{"name": "input", "shape": [3, 4], "datatype": "FP64", "data": ROWS}]
    status, _ = iris.ask("POST", path, {"inputs": rows})
    after = iris.metrics()
    assert after[count] - before.get(count, 0) == 1
    assert status == 200
    waited = after["tiffin_queue_duration_seconds_sum" + MODEL] - before["tiffin_queue_duration_seconds_sum" + MODEL]
    assert waited > 0
    assert waited * 1000 != pytest.approx(round(waited * 1000), abs=1e-9), "told in whole milliseconds"


def test_errors_and_restarts_are_counted_by_reason(predictor: Callable[..., Server]) -> None:
    source = (
        "import os\n"
        "class Predictor:\n"
        "    def predict(self, inputs):\n"
        "        if inputs['input'][0] == 1: raise RuntimeError('no')\n"
        "        if inputs['input'][0] == 2: os._exit(3)\n"
        "        return inputs['input']\n"
    )
    server = predictor(source).ready()
    assert server.ask("POST", "/predict", [1])[0] == 500
    assert server.metrics()['tiffin_errors_total{model="iris",reason="model"}'] == 1
    server.ask("POST", "/predict", [2])

    def reasons() -> Any:
        found = server.metrics()
        return [
            found.get('tiffin_errors_total{model="iris",reason="worker"}'),
            found.get('tiffin_worker_restarts_total{model="iris",reason="crash"}'),
        ] == [1, 2]

    wait_for(reasons, "counted")
