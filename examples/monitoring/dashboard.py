"""Write dashboard.json for Grafana: `python dashboard.py > dashboard.json`, or import the file that is there."""

from __future__ import annotations

import json
from typing import Any

MODEL = 'model=~"$model"'
ASKED = f'{MODEL}, protocol!="other"'
SERVICE = 'service=~"$service"'
WIDTH, HEIGHT = 8, 8

Query = tuple[str, str]
"""An expression, and how its lines are called."""


def quantiles(metric: str, labels: str = MODEL) -> list[Query]:
    """Median and tail of a histogram."""
    rate = f"sum by (le) (rate({metric}_bucket{{{labels}}}[$__rate_interval]))"
    return [(f"histogram_quantile({q}, {rate})", f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)]


def per_second(metric: str, by: str, labels: str = MODEL) -> list[Query]:
    """A counter's rate, a line for each value of a label."""
    return [(f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))", f"{{{{{by}}}}}")]


def mean(metric: str) -> str:
    """The mean of a histogram's observations."""
    total, count = (f"sum(rate({metric}_{part}{{{MODEL}}}[$__rate_interval]))" for part in ("sum", "count"))
    return f"{total} / {count}"


def gauge(metric: str, legend: str, by: str = "service") -> Query:
    """What is so at the moment, a line for each service, or each revision of one."""
    return f"sum by ({by}) ({metric}{{{SERVICE}}})", legend


def happened(metric: str, by: str) -> list[Query]:
    """How often something happened to services."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", "))
    return [(f"sum by ({by}) (increase({metric}{{{SERVICE}}}[$__rate_interval]))", legend)]


def of_revisions(metric: str, by: str = "service, revision", labels: str = "") -> str:
    """The rate of what is counted of requests, by revision."""
    return f'sum by ({by}) (rate({metric}{{{SERVICE}, protocol!="other"{labels}}}[$__rate_interval]))'


NAMED = "{{service}} {{revision}}"
FAILED = of_revisions("tiffin_requests_total", labels=', code=~"5.."')
TAIL = of_revisions("tiffin_request_duration_seconds_bucket", by="service, revision, le")
DRIFT = f"tiffin_input_psi{{{MODEL}}}"
ROWS: dict[str, list[tuple[str, str, list[Query]]]] = {
    "Requests": [
        ("Requests by protocol", "reqps", per_second("tiffin_requests_total", "protocol", ASKED)),
        ("Answers by code", "reqps", per_second("tiffin_requests_total", "code", ASKED)),
        ("Duration", "s", quantiles("tiffin_request_duration_seconds", ASKED)),
    ],
    "Where time goes": [
        ("Waiting for a worker", "s", quantiles("tiffin_queue_duration_seconds")),
        ("The model, a batch", "s", quantiles("tiffin_predict_duration_seconds")),
        ("Mean batch", "short", [(mean("tiffin_batch_size"), "rows"), (mean("tiffin_batch_requests"), "requests")]),
    ],
    "Load": [
        (
            "In flight and waiting",
            "short",
            [
                (f"sum({name}{{{MODEL}}})", word)
                for name, word in (("tiffin_in_flight_requests", "in flight"), ("tiffin_queue_depth", "waiting"))
            ],
        ),
        ("Turned away", "reqps", per_second("tiffin_rejected_total", "reason")),
        ("Failed", "reqps", per_second("tiffin_errors_total", "reason")),
    ],
    "Drift": [
        ("Inputs: population stability index", "short", [(f"topk(10, {DRIFT})", "{{feature}}")]),
        ("Outputs: population stability index", "short", [(f"tiffin_output_psi{{{MODEL}}}", "{{output}}")]),
        (
            "Predictions by class",
            "percentunit",
            [(f"avg by (category) (tiffin_output_share{{{MODEL}}})", "{{category}}")],
        ),
    ],
    "Processes": [
        (
            "Workers",
            "short",
            [
                (f"sum by (state) (tiffin_workers{{{MODEL}}})", "{{state}}"),
                *per_second("tiffin_worker_restarts_total", "reason"),
            ],
        ),
        (
            "CPU",
            "short",
            [
                ('sum(rate(process_cpu_seconds_total{job="tiffin"}[$__rate_interval]))', "front"),
                ("sum by (worker) (rate(tiffin_worker_cpu_seconds_total[$__rate_interval]))", "worker {{worker}}"),
            ],
        ),
        (
            "Memory",
            "bytes",
            [
                ('sum(process_resident_memory_bytes{job="tiffin"})', "front"),
                ("sum by (worker) (tiffin_worker_resident_memory_bytes)", "worker {{worker}}"),
            ],
        ),
    ],
    "Services of one machine": [
        (
            "Replicas",
            "short",
            [
                gauge("tiffin_service_wanted_replicas", "{{service}} wanted"),
                gauge("tiffin_service_ready_replicas", "{{service}} ready"),
                gauge("tiffin_service_starting_replicas", "{{service}} starting"),
            ],
        ),
        (
            "Autoscaler: requests at once",
            "short",
            [
                gauge("tiffin_autoscaler_concurrency", "{{service}} {{window}}", by="service, window"),
                gauge("tiffin_autoscaler_panic", "{{service}} panics"),
            ],
        ),
        (
            "Waiting for a replica",
            "short",
            [
                gauge("tiffin_service_waiting_requests", "{{service}} waiting"),
                gauge("tiffin_service_in_flight_requests", "{{service}} in flight"),
            ],
        ),
    ],
    "Revisions": [
        (
            "Share of requests by revision",
            "percentunit",
            [gauge("tiffin_revision_weight_ratio", NAMED, by="service, revision")],
        ),
        (
            "Errors by revision",
            "percentunit",
            [(f"{FAILED} / {of_revisions('tiffin_requests_total')}", NAMED)],
        ),
        ("Tail by revision", "s", [(f"histogram_quantile(0.99, {TAIL})", NAMED)]),
    ],
    "What was decided, and what happened": [
        ("Rollouts by outcome", "short", happened("tiffin_service_rollouts_total", "service, outcome")),
        ("Replicas lost by reason", "short", happened("tiffin_service_restarts_total", "service, reason")),
        ("Decisions by kind", "short", happened("tiffin_service_events_total", "service, kind")),
    ],
}


def panel(number: int, title: str, unit: str, queries: list[Query]) -> dict[str, Any]:
    """One graph; 0.25 is drawn where drift begins."""
    row, column = divmod(number, 24 // WIDTH)
    steps = [{"color": "green", "value": None}, *([{"color": "red", "value": 0.25}] if "stability" in title else [])]
    style = {"mode": "dashed"} if "stability" in title else {"mode": "off"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {"fillOpacity": 8, "showPoints": "never", "thresholdsStyle": style},
            },
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(queries)
        ],
    }


def variable(name: str, kind: str, query: str, **more: Any) -> dict[str, Any]:
    """A choice at the top of the page."""
    return {"name": name, "type": kind, "query": query, "refresh": 2, **more}


def dashboard() -> dict[str, Any]:
    """The whole page."""
    graphs = [graph for row in ROWS.values() for graph in row]
    source = {"type": "prometheus", "uid": "${source}"}
    all_: dict[str, Any] = {"datasource": source, "multi": True, "includeAll": True, "allValue": ".*"}
    all_["current"] = {"text": "All", "value": "$__all"}
    return {
        "uid": "tiffin",
        "title": "Models served by Tiffin",
        "schemaVersion": 39,
        "tags": ["tiffin"],
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "15s",
        "templating": {
            "list": [
                variable("source", "datasource", "prometheus"),
                variable("model", "query", "label_values(tiffin_build_info, model)", **all_),
                variable("service", "query", "label_values(tiffin_service_wanted_replicas, service)", **all_),
            ]
        },
        "panels": [panel(number, *graph) for number, graph in enumerate(graphs)],
    }


if __name__ == "__main__":
    print(json.dumps(dashboard(), indent=2))
