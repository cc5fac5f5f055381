"""What is counted, as Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

from collections import Counter
from typing import Any


class Metrics:
    """Counters of one front."""

    def __init__(self, model: str) -> None:
        self._model = model
        self.codes: Counter[int] = Counter()
        self.batches = 0
        self.requests = 0
        self.rows = 0
        self.queue_seconds = 0.0
        self.rejections: Counter[str] = Counter()
        self.predict_seconds = 0.0

    def queued(self, seconds: float) -> None:
        """Count how long one request waited for a worker."""
        self.queue_seconds += seconds

    def rejected(self, reason: str) -> None:
        """Count a request that was refused before it reached the model: `queue`, `deadline`."""
        self.rejections[reason] += 1

    def predicted(self, requests: int, rows: int, seconds: float) -> None:
        """Count one batch of so many requests."""
        self.batches += 1
        self.requests += requests
        self.rows += rows
        self.predict_seconds += seconds

    def counted(self, protocol: str, code: int, seconds: float) -> None:
        """Count an answer in a protocol that is not HTTP; the code is the HTTP status that means the same."""
        del protocol, seconds
        self.codes[code] += 1

    def statistics(self) -> dict[str, Any]:
        """Give Triton's statistics of the model: counts, and times in nanoseconds."""
        took = {
            "success": {"count": self.requests, "ns": round((self.queue_seconds + self.predict_seconds) * 1e9)},
            "fail": {"count": sum(self.rejections.values()), "ns": 0},
            "queue": {"count": self.requests, "ns": round(self.queue_seconds * 1e9)},
            "compute_infer": {"count": self.batches, "ns": round(self.predict_seconds * 1e9)},
        }
        counts = {"last_inference": 0, "inference_count": self.rows, "execution_count": self.batches}
        return {**counts, "inference_stats": took, "batch_stats": []}

    def text(self, *, in_flight: int, queued: int, workers: int) -> str:
        """Write everything for a scraper."""
        label = f'model="{self._model}"'
        requests = [f'tiffin_requests_total{{{label},code="{code}"}} {n}' for code, n in sorted(self.codes.items())]
        return "\n".join(
            [
                *_head("tiffin_requests_total", "counter", "HTTP requests answered, by status code."),
                *requests,
                *_head("tiffin_in_flight_requests", "gauge", "HTTP requests not answered yet."),
                f"tiffin_in_flight_requests{{{label}}} {in_flight}",
                *_head("tiffin_queue_depth", "gauge", "Calls that wait for a worker."),
                f"tiffin_queue_depth{{{label}}} {queued}",
                *_head("tiffin_predict_duration_seconds", "summary", "Time of the model for a batch."),
                f"tiffin_predict_duration_seconds_sum{{{label}}} {self.predict_seconds:.6f}",
                f"tiffin_predict_duration_seconds_count{{{label}}} {self.batches}",
                *_head("tiffin_predicted_rows_total", "counter", "Rows the model has predicted."),
                f"tiffin_predicted_rows_total{{{label}}} {self.rows}",
                *_head("tiffin_model_ready", "gauge", "Whether a worker with the model is there."),
                f"tiffin_model_ready{{{label}}} {int(workers > 0)}",
                *_head("tiffin_workers", "gauge", "Workers that are connected and have the model."),
                f"tiffin_workers{{{label}}} {workers}",
                "",
            ]
        )


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"
