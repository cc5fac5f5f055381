"""A project is released for real: built, tested, scanned, signed, pushed, deployed, and killed in between."""

from __future__ import annotations

import http.server
import json
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from apiserver.controller import Controller
from apiserver.served import DEPLOYMENTS
from apiserver.server import ApiServer
from end_to_end.small import Downloads, environment, run_tiffin, tiffin, write_project
from end_to_end.test_deploy_folder import kubeconfig
from programs.registry import registry
from tiffin.packages.lock import FILENAME

pytestmark = pytest.mark.program("docker-registry")
REQUEST = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["two words"]}]}
ANSWER = {"outputs": [{"name": "words", "datatype": "INT64", "shape": [1], "data": [2]}]}
STEPS = [
    "check",
    "lock",
    "build",
    "test",
    "scan",
    "attest",
    "sign",
    "push",
    "tag",
    "deploy-staging",
    "deploy-production",
]
TABLES = """
[[check]]
request = "request.json"
expect = "answer.json"
[deploy]
memory = "256Mi"
cpu = "500m"
[deploy.rollout]
progress-seconds = 30
[release]
push = "{registry}/team/small"
tags = ["latest", "{{version}}", "{{model}}-{{digest}}"]
sign = {{ key = "team.key" }}
environments = ["staging", "production"]
[environment.staging]
name = "small-staging"
[environment.production]
approval = true
"""
NO_DEPLOY = ("--skip", "deploy-staging", "--skip", "deploy-production")
KILLED_AT = """
import os, signal, sys
from tiffin.progress import Finished, Started

at = sys.argv.pop(1)
import tiffin.progress as progress
real = progress.step

import contextlib
@contextlib.contextmanager
def step(name, detail="", **more):
    with real(name, detail, **more) as running:
        yield running
    if name == at:
        os.kill(os.getpid(), signal.SIGKILL)

import tiffin.api.containers.run
import tiffin.release.run
tiffin.release.run.progress = tiffin.api.containers.run.step = step
from tiffin.cli import main
main()
"""
"""A command line that dies when a step of the release, or the start of a container, has ended and nobody knows it."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A home of its own with the downloads, the project, and a registry."""

    home: Path
    project: Path
    registry: str

    def release(self, *words: object) -> subprocess.CompletedProcess[str]:
        return run_tiffin(self.home, "release", self.project, *words)

    def told(self, *words: object) -> tuple[int, dict[str, Any]]:
        """Release, and return the exit status and what `--json` prints."""
        done = self.release("--json", *words)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def tags(self) -> list[str]:
        done = run_tiffin(self.home, "tags", f"{self.registry}/team/small")
        return done.stdout.split()

    def running(self, service: str) -> str:
        """The image that a service runs."""
        status = json.loads(tiffin(self.home, "status", service, "--to", "local", "--json"))
        return next(one["image"] for one in status["revisions"] if one["weight"])


def states(told: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in told["steps"]}


@pytest.fixture(scope="module")
def running_registry() -> Iterator[str]:
    with registry() as address:
        yield address


@pytest.fixture
def place(downloads: Downloads, tmp_path: Path, running_registry: str) -> Place:
    home, project = downloads.copy(tmp_path / "home"), write_project(tmp_path / "project")
    repository = f"{running_registry}/{tmp_path.name.replace('_', '-').strip('-')}"
    (project / "request.json").write_text(json.dumps(REQUEST))
    (project / "answer.json").write_text(json.dumps(ANSWER))
    with (project / "tiffin.toml").open("a") as file:
        file.write(TABLES.format(registry=repository))
    (project / FILENAME).write_bytes(downloads.lock.read_bytes())
    tiffin(home, "sign", "--generate-key", project / "team")
    return Place(home=home, project=project, registry=repository)


@contextmanager
def supervised(home: Path) -> Iterator[None]:
    """Keep the services of a home while the block runs; they go with it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tiffin", "up"], env=environment(home), stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr
        assert "keeping" in process.stderr.readline()
        yield
        for service in json.loads(tiffin(home, "status", "--json")):
            tiffin(home, "delete", service["name"], "--to", "local")
    finally:
        process.kill()
        process.communicate()


def test_a_release_stops_at_the_gate_goes_on_when_it_is_approved_and_does_nothing_twice(place: Place) -> None:
    with supervised(place.home):
        status, told = place.told()
        assert status == 5
        assert states(told) == dict.fromkeys(STEPS[:-1], "done") | {"deploy-production": "waiting"}
        digest = told["image"]
        assert told["reference"] == f"{place.registry}/team/small@{digest}"
        assert sorted(place.tags()) == sorted(["latest", f"1-{digest.removeprefix('sha256:')[:12]}"])
        assert place.running("small-staging") == told["reference"]
        waits = place.release()
        assert f"`tiffin release {place.project} --approve production` goes on" in waits.stderr
        reports = place.project / "junit.xml", place.project / "scan.sarif"
        status, told = place.told("--approve", "production", "--junit", reports[0], "--sarif", reports[1])
        assert status == 0
        already = ("test", "scan", "push", "tag", "deploy-staging")
        assert {name for name, state in states(told).items() if state == "already"} == set(already)
        assert place.running("small") == told["reference"]
        assert_reports(*reports)
        status, told = place.told()
        assert status == 0, "what runs needs no approval"
        assert states(told)["deploy-production"] == "already"
        assert tiffin(place.home, "release", place.project).strip() == told["reference"]
        verified = tiffin(place.home, "verify", told["reference"], "--key", place.project / "team.pub")
        assert digest in verified


def assert_reports(junit: Path, sarif: Path) -> None:
    suite = ET.fromstring(junit.read_text()).find("testsuite")  # noqa: S314 - written a moment ago by what is tested
    assert suite is not None
    cases = [(case.get("classname"), case.get("name")) for case in suite]
    assert [name for where, name in cases if where == "release.small"] == STEPS
    assert ("release.small.test", "request.json") in cases
    assert suite.get("failures") == "0"
    assert suite.get("tests") == str(len(cases))
    document = json.loads(sarif.read_text())
    assert document["version"] == "2.1.0"
    assert document["runs"][0]["invocations"] == [{"executionSuccessful": True}]


def test_what_staging_runs_is_promoted_by_its_digest_and_nothing_else_is(place: Place) -> None:
    with supervised(place.home):
        place.release("--approve", "production")
        first = place.running("small")
        (place.project / "parts" / "words.py").write_text("def count(text):\n    return len(text.split())\n")
        (place.project / "predict.py").write_text((place.project / "predict.py").read_text() + "\n# another\n")
        status, told = place.told()
        assert status == 5
        assert place.running("small") == first
        second = told["reference"]
        assert second != first
        tagged = run_in(place, "release", "--to", "production", f"{place.registry}/team/small:latest")
        assert tagged.returncode == 3
        assert "by its digest" in tagged.stderr
        waits = run_in(place, "release", "--to", "production")
        assert waits.returncode == 5
        done = run_in(place, "release", "--to", "production", "--approve", "production", second)
        assert done.stdout.strip() == second, done.stderr
        assert place.running("small") == second
        other = run_in(place, "release", "--to", "production", "--approve", "production", first)
        assert other.returncode == 10
        assert "staging, which comes before, runs another image" in other.stderr
        assert place.running("small") == second


def run_in(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tiffin", *words],
        env=environment(place.home),
        cwd=place.project,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_check_that_is_answered_wrongly_stops_before_anything_is_pushed(place: Place, tmp_path: Path) -> None:
    (place.project / "answer.json").write_text(json.dumps(ANSWER).replace("[2]", "[3]"))
    junit = tmp_path / "junit.xml"
    status, told = place.told(*NO_DEPLOY, "--junit", junit)
    assert status == 10
    assert states(told)["test"] == "failed"
    assert {state for name, state in states(told).items() if 3 < STEPS.index(name) < 9} == {"not-reached"}
    assert "expected 3 but got 2" in told["steps"][3]["message"]
    assert told["command"] == f"tiffin release {' '.join(NO_DEPLOY)} {place.project}"
    assert place.tags() == []
    assert 'failures="2"' in junit.read_text()
    assert tiffin(place.home, "ps", "--all").count("\n") == 0, "nothing of the test is left"


def test_a_key_that_cannot_be_read_is_refused_before_any_work(place: Place) -> None:
    (place.project / "team.key").write_text("-----BEGIN NONSENSE-----\n")
    done = place.release()
    assert done.returncode == 3
    assert "stopped at check" in done.stderr
    assert "team.key is no private key" in done.stderr
    assert tiffin(place.home, "images", "--json") == "[]"
    assert place.told("--only", "scan")[0] == 0, "what a step does not need is not looked at"


def test_an_environment_that_nobody_keeps_is_refused_before_any_work(place: Place) -> None:
    done = place.release()
    assert done.returncode == 7
    assert "stopped at check: nobody keeps services on this machine" in done.stderr
    assert "`tiffin up` starts one" in done.stderr
    assert tiffin(place.home, "images", "--json") == "[]"


def test_a_stale_lock_is_refused_before_any_work(place: Place) -> None:
    text = (place.project / "tiffin.toml").read_text()
    (place.project / "tiffin.toml").write_text(text.replace("six==1.17.0", "six==1.16.0"))
    done = place.release(*NO_DEPLOY)
    assert done.returncode == 3
    assert "stopped at lock" in done.stderr
    assert "`tiffin lock" in done.stderr


def test_a_key_among_the_code_stops_before_anything_is_pushed(place: Place, tmp_path: Path) -> None:
    (place.project / "parts" / "secret.py").write_text(f"KEY = '''{(place.project / 'team.key').read_text()}'''\n")
    sarif = tmp_path / "scan.sarif"
    status, told = place.told(*NO_DEPLOY, "--sarif", sarif)
    assert (status, states(told)["scan"], states(told)["push"]) == (10, "failed", "not-reached")
    [finding] = told["steps"][4]["findings"]
    assert (finding["rule"], finding["layer"], finding["path"]) == ("private-key", "code", "app/parts/secret.py")
    [result] = json.loads(sarif.read_text())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "app/parts/secret.py"
    with (place.project / "tiffin.toml").open("a") as file:
        file.write('[[release.allow]]\nrule = "private-key"\npath = "app/parts/*"\nreason = "a key of the tests"\n')
    status, told = place.told("--only", "scan")
    assert (status, states(told)["scan"]) == (0, "done")
    assert told["steps"][3]["findings"][0]["accepted"] == "a key of the tests"


def test_a_release_that_is_killed_after_each_step_in_turn_goes_on(place: Place) -> None:
    with supervised(place.home):
        for step in ("build", "start", *STEPS[3:]):  # `start` leaves the container of the test behind
            killed = subprocess.run(
                [sys.executable, "-c", KILLED_AT, step, "release", str(place.project), "--approve", "production"],
                env=environment(place.home),
                capture_output=True,
                check=False,
                timeout=120,
            )
            assert killed.returncode == -signal.SIGKILL, killed.stderr
        status, told = place.told("--approve", "production")
        assert status == 0
        assert set(states(told).values()) <= {"done", "already"}
        assert "release-small" not in tiffin(place.home, "ps", "--all")
        assert place.running("small") == place.running("small-staging") == told["reference"]


def test_a_deploy_that_fails_is_taken_back_and_told(place: Place) -> None:
    with supervised(place.home):
        _, told = place.told()
        first = place.running("small-staging")
        text = (place.project / "tiffin.toml").read_text()
        breaks = "def load(self, path):\n        import os\n        assert not os.environ.get('BREAK')"
        predictor = (place.project / "predict.py").read_text()
        (place.project / "predict.py").write_text(predictor.replace("def load(self, path):", breaks))
        (place.project / "tiffin.toml").write_text(
            text.replace('name = "small-staging"', 'name = "small-staging"\nenv = { BREAK = "yes" }')
        )
        status, told = place.told()
        assert (status, states(told)["deploy-staging"]) == (10, "failed")
        assert "back to revision" in told["steps"][STEPS.index("deploy-staging")]["message"]
        assert states(told)["deploy-production"] == "not-reached"
        assert place.running("small-staging") == first


class _Answers(http.server.BaseHTTPRequestHandler):
    """Stands for the pods of a cluster: answers every request with what the test says."""

    said: ClassVar[bytes] = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.said)))
        self.end_headers()
        self.wfile.write(self.said)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def cluster(place: Place) -> Iterator[ApiServer]:
    """An API server whose pods answer, and environments in two of its namespaces."""
    text = (place.project / "tiffin.toml").read_text().partition("[environment.staging]")[0]
    environments = "".join(
        f'[environment.{name}]\ntarget = "kubernetes"\nnamespace = "{name}"\n' for name in ("staging", "production")
    )
    (place.project / "tiffin.toml").write_text(text + environments)
    with (
        ApiServer().running() as server,
        Controller(server).running(),
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as pods,
    ):
        threading.Thread(target=pods.serve_forever, args=(0.02,), daemon=True).start()
        server.pods.ports[8080] = pods.server_address[1]
        kubeconfig(place.home / "kubeconfig", server.url)
        yield server
        pods.shutdown()


def test_a_cluster_gets_the_image_by_digest_once_the_environment_before_answers_its_checks(place: Place) -> None:
    with cluster(place) as server:
        _Answers.said = json.dumps(ANSWER).replace("[2]", "[7]").encode()
        done = run_tiffin(place.home, "release", place.project, KUBECONFIG=str(place.home / "kubeconfig"))
        assert done.returncode == 10
        assert "staging, which comes before, answers wrongly: request.json: $.outputs[0].data[0] is 7" in done.stderr
        [deployment] = server.store.of(DEPLOYMENTS)
        assert deployment["metadata"]["namespace"] == "staging"
        _Answers.said = json.dumps(ANSWER).encode()
        done = run_tiffin(place.home, "release", place.project, KUBECONFIG=str(place.home / "kubeconfig"))
        assert done.returncode == 0, done.stderr
        assert "deploy-staging" in done.stderr
        images = {
            one["metadata"]["namespace"]: one["spec"]["template"]["spec"]["containers"][0]["image"]
            for one in server.store.of(DEPLOYMENTS)
        }
        assert images == dict.fromkeys(("staging", "production"), done.stdout.strip())
