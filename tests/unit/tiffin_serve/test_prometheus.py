"""Debian's Prometheus scrapes a front and answers questions about it; rules and dashboard of examples/monitoring."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiffin.deploy.local import exposition, metrics
from unit.deploy.local.watched import SERVICES
from unit.tiffin_serve.fronts import DEADLINE, ROWS, Server, wait_for

MONITORING = Path(__file__).parents[3] / "examples" / "monitoring"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Prometheus:
    """A Prometheus that scrapes one front five times a second, and what a supervisor says where there is one."""

    def __init__(self, folder: Path, scraped: int, supervisor: int = 0) -> None:
        config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
        config["rule_files"] = [str(MONITORING / "rules.yml")]
        front, services = config["scrape_configs"]
        front["static_configs"] = [{"targets": [f"127.0.0.1:{scraped}"]}]
        (discovery,) = services["http_sd_configs"]
        discovery |= {"url": f"http://127.0.0.1:{supervisor}/discovery", "refresh_interval": "200ms"}
        config["scrape_configs"] = [front, *([services] if supervisor else [])]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._port = free_port()
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=log,
            )

    def get(self, path: str, **query: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        try:
            connection.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
            return json.loads(connection.getresponse().read())["data"]
        except (ConnectionRefusedError, json.JSONDecodeError):
            assert self.process.poll() is None, self._log.read_text()
            return None
        finally:
            connection.close()

    def ask(self, expression: str) -> list[tuple[dict[str, str], float]]:
        data = self.get("query", query=expression) or {"result": []}
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture
def prometheus(tmp_path: Path, iris: Server) -> Iterator[Prometheus]:
    running = Prometheus(tmp_path, iris.metrics_port)
    yield running
    running.process.terminate()
    running.process.wait(DEADLINE)


@pytest.mark.program("prometheus")
def test_prometheus_scrapes_a_front_and_answers(iris: Server, prometheus: Prometheus) -> None:
    assert iris.ask("POST", "/predict", ROWS)[0] == 200
    asked = 'tiffin_requests_total{protocol="predict", code="200"}'
    ((labels, count),) = wait_for(lambda: prometheus.ask(asked), "scraped")
    assert (labels["model"], labels["version"], labels["job"]) == ("iris", "1", "tiffin")
    assert count >= 1
    assert prometheus.ask("up") == [
        ({"__name__": "up", "instance": f"127.0.0.1:{iris.metrics_port}", "job": "tiffin"}, 1)
    ]
    (target,) = prometheus.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    median = "histogram_quantile(0.5, sum by (le) (tiffin_request_duration_seconds_bucket))"
    assert 0 < prometheus.ask(median)[0][1] < 30
    kinds = {name: found[0]["type"] for name, found in prometheus.get("metadata").items()}
    assert kinds["tiffin_request_duration_seconds"] == "histogram"
    groups = wait_for(lambda: prometheus.get("rules")["groups"], "rules")
    evaluated = wait_for(
        lambda: all(rule["health"] == "ok" for group in prometheus.get("rules")["groups"] for rule in group["rules"]),
        "evaluated",
    )
    assert evaluated
    assert {rule["state"] for rule in groups[0]["rules"] if rule["type"] == "alerting"} == {"inactive"}


@pytest.mark.program("promtool")
def test_what_a_front_writes_is_clean_in_promtools_eyes(iris: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", iris.metrics_port, timeout=DEADLINE)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read()
    connection.close()
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.program("promtool")
@pytest.mark.parametrize("check", [["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]])
def test_the_rules_fire_when_they_should(check: list[str]) -> None:
    done = subprocess.run(["promtool", *check], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    tests = (MONITORING / "rules_test.yml").read_text()
    for alert in (rule["alert"] for rule in rules() if "alert" in rule):
        fires = f'alertname="{alert}", alertstate="firing"' in tests
        assert fires or re.search(rf"alertname: {alert}\n\s+exp_alerts:\n", tests), alert


def test_the_dashboard_is_what_its_script_writes() -> None:
    written = subprocess.run([sys.executable, MONITORING / "dashboard.py"], capture_output=True, text=True, check=True)
    assert written.stdout == (MONITORING / "dashboard.json").read_text()


def test_dashboard_and_rules_ask_for_metrics_that_there_are(iris: Server) -> None:
    """Drift's are in the text of a front with a baseline only, so its names are looked for in the sources."""
    iris.ask("POST", "/predict", ROWS)
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = set(
        re.findall(r"(?<![:\w])(?:tiffin|process)_\w+", " ".join([*expressions, *(one["expr"] for one in rules())]))
    )
    there = {name.partition("{")[0] for name in iris.metrics()}
    told = exposition.text(metrics.families(SERVICES))
    there |= {re.split("[{ ]", line)[0] for line in told.splitlines() if not line.startswith("#")}
    drift = {"tiffin_input_psi", "tiffin_output_psi"}
    assert asked - there <= drift, asked - there
    assert len(asked) > 15
