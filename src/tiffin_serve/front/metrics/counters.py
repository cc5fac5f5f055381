"""What one front counts and times, and how that reads: families for a scraper, Triton's statistics for a client."""

from __future__ import annotations

import sys
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any, NamedTuple, Protocol

from tiffin_serve import __version__
from tiffin_serve.front.metrics.drift import Drift
from tiffin_serve.front.metrics.exposition import Family, Labels, Sample
from tiffin_serve.front.metrics.histogram import SECONDS, SIZES, Histogram, merged
from tiffin_serve.protocol.call import Call

INFERENCE = ("oip", "predict", "tensorflow", "mlflow", "grpc")
"""Protocols in which a model is asked; `other` is health, metadata and whatever does not exist."""

ENDS = (b"/infer", b"/infer_stream", b"/generate", b"/generate_stream")
MOST_PATHS = 256
MOST_SIZES = 1024
MOST_SECONDS = 1e6
"""What a batch may have taken, where a worker is to be believed."""


class Asked(Protocol):
    """A request: its path, and when it was read, in seconds of the monotonic clock."""

    path: bytes
    began: float


class Sent(Protocol):
    """A request that goes to a worker, and when it was queued, in seconds of the monotonic clock."""

    @property
    def call(self) -> Call:
        """What the model is asked."""
        ...

    @property
    def arrived(self) -> float:
        """When it was queued."""
        ...


class Gauges(NamedTuple):
    """What is so at the moment of a scrape, which others know."""

    in_flight: int
    queued: int
    workers: dict[str, int]
    ready: bool


class Limits(NamedTuple):
    """What a front may do to a request: let it wait for so many seconds, among so many others."""

    deadline_seconds: float
    queue: int


class Series(Histogram):
    """The requests of one protocol: how long they took, and their codes."""

    __slots__ = ("codes", "failed_seconds", "protocol")

    def __init__(self, protocol: str) -> None:
        super().__init__()
        self.protocol = protocol
        self.codes: defaultdict[int, int] = defaultdict(int)
        self.failed_seconds = 0.0

    def answer(self, code: int, seconds: float) -> None:
        """Count one answer."""
        self.codes[code] += 1
        self.observe(seconds)
        if code >= 400:  # noqa: PLR2004 - HTTP's number
            self.failed_seconds += seconds


def protocol_of(path: bytes) -> str:
    """Say in which protocol a path asks a model, or `other`."""
    if path == b"/predict":
        return "predict"
    if path == b"/invocations":
        return "mlflow"
    if path.startswith(b"/v2/models/") and path.endswith(ENDS):
        return "oip"
    if path.startswith(b"/v1/models/") and path.endswith(b":predict"):
        return "tensorflow"
    return "other"


class Metrics:
    """Counters of one front; its methods are called where things happen, and cost less than 0.5 µs each."""

    def __init__(self, model: str, version: str = "1", image: str = "", limits: Limits | None = None) -> None:
        self._labels: Labels = {"model": model}
        self._version = version
        self._image = image
        self._limits = limits
        self._before: tuple[Histogram, int] | None = None
        self._series: dict[str, Series] = {}
        self._paths: dict[bytes, Series] = {}
        self._queue = Histogram()
        self._batch_rows = Histogram(SIZES)
        self._batch_requests = Histogram(SIZES)
        self._predict = Histogram()
        self._request_seconds = 0.0
        self._sizes: dict[int, list[float]] = {}
        self._last = 0.0
        self.rejections = Counter({"queue": 0, "deadline": 0, "late": 0})  # a rate needs the 0 that it began with
        self._errors = Counter({"input": 0, "model": 0, "worker": 0, "answer": 0})
        self._restarts = Counter({"crash": 0, "deadline": 0, "memory": 0})
        self._false_times = 0
        self._load_seconds: float | None = None
        self.drift = Drift()

    # --- what happens

    def answered(self, asked: Asked, code: int) -> None:
        """Count an answer to an HTTP request."""
        seconds = monotonic() - asked.began
        path = asked.path
        series = self._paths.get(path) or self._find(path)
        series.codes[code] += 1  # `Series.answer`, written out: this happens to every request
        series.counts[bisect_left(SECONDS, seconds)] += 1
        series.total += seconds
        if code >= 400:  # noqa: PLR2004 - HTTP's number
            series.failed_seconds += seconds

    def counted(self, protocol: str, code: int, seconds: float) -> None:
        """Count an answer in a protocol that is not HTTP; the code is the HTTP status that means the same."""
        self._of(protocol).answer(code, seconds)

    def sent(self, jobs: Sequence[Sent], rows: int, now: float) -> None:
        """Count how long the requests of a batch of so many rows have waited for a worker, and look at some rows."""
        queue = self._queue
        counts, total = queue.counts, 0.0
        for job in jobs:
            seconds = now - job.arrived
            counts[bisect_left(SECONDS, seconds)] += 1
            total += seconds
        queue.total += total
        if self.drift.wants(rows):
            self.drift.asked([job.call for job in jobs])

    def asked(self) -> dict[str, object]:
        """Sum up how the model was asked: how often, how many answers were our fault, and the p99 in seconds.

        `durations` are the counts by upper bound, None for what is above every bound, without those that are 0.
        """
        whole, errors = self._asked()
        if self._before is not None:
            whole, errors = whole.since(self._before[0]), errors - self._before[1]
        durations = [pair for pair in zip((*whole.bounds, None), whole.counts, strict=True) if pair[1]]
        return {"requests": whole.count, "errors": errors, "p99": whole.quantile(0.99), "durations": durations}

    def begin_again(self) -> None:
        """Let `asked` count from now on: how a revision did before says nothing of one that comes back."""
        self._before = self._asked()

    def _asked(self) -> tuple[Histogram, int]:
        series = [self._series[name] for name in INFERENCE if name in self._series]
        errors = sum(count for one in series for code, count in one.codes.items() if code >= 500)  # noqa: PLR2004 - HTTP's
        return merged(series), errors

    @property
    def restarts(self) -> dict[str, int]:
        """The workers that ended unasked, by reason."""
        return dict(self._restarts)

    def rejected(self, reason: str) -> None:
        """Count a request that was refused or given up: `queue` is full, `deadline` out of reach, `late` by now."""
        self.rejections[reason] += 1

    def failed(self, reason: str) -> None:
        """Count a request that the model or its worker failed: `input`, `model`, `worker`, `answer`."""
        self._errors[reason] += 1

    def predicted(self, requests: int, rows: int, seconds: float) -> None:
        """Count one batch of so many requests; seconds that cannot be are none."""
        if not 0 <= seconds <= MOST_SECONDS:
            self._false_times += 1
            seconds = 0.0
        self._batch_requests.observe(requests)
        self._batch_rows.observe(rows)
        self._predict.observe(seconds)
        self._request_seconds += requests * seconds
        self._last = time.time()
        size = self._sizes.get(rows)
        if size is not None:
            size[0] += 1
            size[1] += seconds
        elif len(self._sizes) < MOST_SIZES:
            self._sizes[rows] = [1, seconds]

    def restarted(self, reason: str) -> None:
        """Count a worker that ended unasked: `crash`, `deadline`, `memory`."""
        self._restarts[reason] += 1

    def loaded(self, seconds: float) -> None:
        """Note how long the model took to load."""
        self._load_seconds = seconds

    def _of(self, protocol: str) -> Series:
        series = self._series.get(protocol)
        if series is None:
            series = self._series[protocol] = Series(protocol)
        return series

    def _find(self, path: bytes) -> Series:
        """Find a path's series and remember it, but not every path that strangers may think of."""
        series = self._of(protocol_of(path))
        if len(self._paths) < MOST_PATHS:
            self._paths[path] = series
        return series

    # --- how it reads

    def families(self, gauges: Gauges) -> Iterator[Family]:
        """Give everything for a scraper."""
        yield from self._requests(gauges)
        yield from self._model(gauges)
        yield from self.drift.families(self._labels)

    def _requests(self, gauges: Gauges) -> Iterator[Family]:
        series = sorted(self._series.values(), key=lambda series: series.protocol)
        each = [(one, {**self._labels, "version": self._version, "protocol": one.protocol}) for one in series]
        answers = [
            Sample({**labels, "code": str(code)}, count)
            for one, labels in each
            for code, count in sorted(one.codes.items())
        ]
        yield Family("tiffin_requests_total", "counter", "Requests answered, by protocol and status code.", answers)
        yield Family(
            "tiffin_request_duration_seconds",
            "histogram",
            "Time from the whole of a request to its answer.",
            [Sample(labels, one) for one, labels in each],
        )
        yield self._by_reason("tiffin_errors_total", "Requests that the model or its worker failed.", self._errors)
        yield self._by_reason("tiffin_rejected_total", "Requests refused before the model saw them.", self.rejections)
        yield self._one("tiffin_in_flight_requests", "gauge", "HTTP requests not answered yet.", gauges.in_flight)
        yield self._one("tiffin_queue_depth", "gauge", "Calls that wait for a worker.", gauges.queued)
        if self._limits is not None:
            yield self._one("tiffin_queue_limit", "gauge", "Calls that may wait at most.", self._limits.queue)
            seconds = self._limits.deadline_seconds
            yield self._one("tiffin_deadline_seconds", "gauge", "How long a request may take.", seconds)

    def _model(self, gauges: Gauges) -> Iterator[Family]:
        one = self._one
        yield one("tiffin_queue_duration_seconds", "histogram", "Time a call waited for a worker.", self._queue)
        yield one("tiffin_batch_size", "histogram", "Rows that the model was given at once.", self._batch_rows)
        yield one("tiffin_batch_requests", "histogram", "Requests that went together.", self._batch_requests)
        yield one("tiffin_predict_duration_seconds", "histogram", "Time of the model for a batch.", self._predict)
        rows = int(self._batch_rows.total)
        yield one("tiffin_predicted_rows_total", "counter", "Rows the model has predicted.", rows)
        yield one("tiffin_model_ready", "gauge", "Whether a worker with the model is there.", int(gauges.ready))
        if self._load_seconds is not None:
            yield one("tiffin_model_load_seconds", "gauge", "How long the model took to load.", self._load_seconds)
        states = [Sample({**self._labels, "state": state}, count) for state, count in gauges.workers.items()]
        yield Family("tiffin_workers", "gauge", "Workers by what they do.", states)
        yield self._by_reason("tiffin_worker_restarts_total", "Workers that ended unasked.", self._restarts)
        false = "Batches of which a worker told a time that cannot be; it counts as 0."
        yield one("tiffin_worker_false_times_total", "counter", false, self._false_times)
        build = {"tiffin": __version__, **self._labels, "version": self._version, "image": self._image}
        build["python"] = ".".join(map(str, sys.version_info[:3]))
        yield Family("tiffin_build_info", "gauge", "What runs here.", [Sample(build, 1)])

    def _one(self, name: str, kind: str, meaning: str, value: float | Histogram) -> Family:
        return Family(name, kind, meaning, [Sample(self._labels, value)])

    def _by_reason(self, name: str, meaning: str, counts: Counter[str]) -> Family:
        samples = [Sample({**self._labels, "reason": reason}, count) for reason, count in sorted(counts.items())]
        return Family(name, "counter", meaning, samples)

    def statistics(self) -> dict[str, Any]:
        """Give Triton's statistics of the model (protocol/extension_statistics.md): counts, and times in nanoseconds.

        As there, a request is charged with the whole time of its batch. Reading inputs and writing outputs is not told
        apart from the model's own time.
        """
        asked = [series for series in self._series.values() if series.protocol in INFERENCE]
        failed = sum(count for series in asked for code, count in series.codes.items() if code >= 400)  # noqa: PLR2004
        whole = merged(asked)
        failed_seconds = sum(series.failed_seconds for series in asked)
        requests = int(self._batch_requests.total)
        return {
            "name": self._labels["model"],
            "version": self._version,
            "last_inference": int(self._last * 1000),
            "inference_count": int(self._batch_rows.total),
            "execution_count": self._predict.count,
            "inference_stats": {
                "success": _took(whole.count - failed, max(whole.total - failed_seconds, 0.0)),
                "fail": _took(failed, failed_seconds),
                "queue": _took(self._queue.count, self._queue.total),
                "compute_input": _took(requests, 0.0),
                "compute_infer": _took(requests, self._request_seconds),
                "compute_output": _took(requests, 0.0),
                "cache_hit": _took(0, 0.0),
                "cache_miss": _took(0, 0.0),
            },
            "response_stats": {},
            "batch_stats": [
                {
                    "batch_size": rows,
                    "compute_input": _took(int(count), 0.0),
                    "compute_infer": _took(int(count), seconds),
                    "compute_output": _took(int(count), 0.0),
                }
                for rows, (count, seconds) in sorted(self._sizes.items())
            ],
            "memory_usage": [],
        }


def _took(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}
