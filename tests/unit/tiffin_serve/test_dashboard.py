"""The Grafana dashboard in examples: whole as a document, and every line of it drawn by a real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiffin.deploy.local.exporter import Address
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Replicas
from unit.deploy.local.stage import Play, service, supervised
from unit.tiffin_serve.fronts import DEADLINE, Serve, wait_for
from unit.tiffin_serve.test_drift import trained
from unit.tiffin_serve.test_prometheus import MONITORING, Prometheus, free_port

DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
PANELS = DASHBOARD["panels"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
COLUMNS = 24
"""How wide Grafana's grid is."""


def filled(expression: str) -> str:
    """Put in what Grafana would for a page that shows one model and one service."""
    return expression.replace("$__rate_interval", "1m").replace("$model", "iris").replace("$service", "iris")


def test_panels_have_numbers_and_titles_of_their_own() -> None:
    for key in ("id", "title"):
        assert len({panel[key] for panel in PANELS}) == len(PANELS) > 10
    assert all(isinstance(panel["id"], int) and panel["id"] > 0 for panel in PANELS)


def test_panels_lie_on_the_grid_beside_each_other() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    assert all(set(place) == {"x", "y", "w", "h"} and min(place.values()) >= 0 for place in places)
    assert all(place["w"] > 0 < place["h"] and place["x"] + place["w"] <= COLUMNS for place in places)
    for one, other in combinations(places, 2):
        apart = [one[at] + one[size] <= other[at] or other[at] + other[size] <= one[at] for at, size in ("xw", "yh")]
        assert any(apart), (one, other)


def test_the_page_says_which_grafana_it_is_for() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", DASHBOARD["uid"])
    assert "id" not in DASHBOARD, "an id belongs to one Grafana; with it, an import is refused"


def test_every_panel_asks_the_data_source_that_is_chosen() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert (variables["source"]["type"], variables["source"]["query"]) == ("datasource", "prometheus")
    assert next(iter(variables)) == "source", "what others depend on comes first"
    asked = [*PANELS, *[variable for variable in variables.values() if variable["type"] == "query"]]
    assert {json.dumps(one["datasource"]) for one in asked} == {'{"type": "prometheus", "uid": "${source}"}'}
    used = {name for _, target in TARGETS for name in re.findall(r"\$\{?(\w+)", target["expr"])}
    assert used <= {*variables, "__rate_interval"}
    assert "model" in used


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_lines_are_called_by_labels_that_they_have(panel: dict[str, Any]) -> None:
    targets = panel["targets"]
    assert len({target["refId"] for target in targets}) == len(targets) > 0
    for target in targets:
        named = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]))
        kept = re.match(r"\w+ by \(([^)]*)\)", target["expr"])
        assert target["legendFormat"]
        assert not kept or named == set(kept[1].split(", ")), target


@pytest.mark.program("promtool")
def test_every_expression_is_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": filled(target["expr"])} for number, (_, target) in enumerate(TARGETS)
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(TARGETS)} rules found" in done.stdout


@pytest.fixture
def prometheus(serve: Serve, tmp_path: Path) -> Iterator[Prometheus]:
    """One that scrapes a front which knows its training data and was asked for as many rows, and a supervisor."""
    server, rows = trained(serve, tmp_path)
    wait_for(
        lambda: (
            server.ask("POST", "/predict", rows.tolist())[0] == 200
            and any(name.startswith("tiffin_output_psi") for name in server.metrics())
        ),
        "drift is told",
    )
    play, port = Play(), free_port()
    with supervised(tmp_path / "data", play, Address(port=port)):
        target = LocalTarget(tmp_path / "data", play.engine)
        target.apply(service(replicas_=Replicas(least=1, most=3)))
        running = Prometheus(tmp_path, server.metrics_port, port)
        yield running
        running.process.terminate()
        running.process.wait(DEADLINE)
        target.delete("iris")


@pytest.mark.program("prometheus")
def test_every_line_of_the_dashboard_is_drawn(prometheus: Prometheus) -> None:
    for metric in ("tiffin_build_info", "tiffin_autoscaler_panic", "tiffin_requests_total{revision!=''}"):
        wait_for(partial(prometheus.ask, f"count_over_time({metric}[1m]) > 3"), "scraped several times")
    for title, target in TARGETS:
        wait_for(partial(prometheus.ask, filled(target["expr"])), f"{title}: {target['expr']}")
        lines = prometheus.ask(filled(target["expr"]))
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert all(label in labels for labels, _ in lines), (title, label)
    for variable in (one for one in DASHBOARD["templating"]["list"] if one["type"] == "query"):
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()  # type: ignore[union-attr]
        assert {labels[label] for labels, _ in prometheus.ask(metric)} == {"iris"}
