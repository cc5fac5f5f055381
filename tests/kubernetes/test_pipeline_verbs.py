"""`tiffin pipeline watch --to kubernetes` as a person types it, and a run whose turn a Lease says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from apiserver.controller import Controller
from apiserver.served import CRON_JOBS, JOBS
from apiserver.server import ApiServer
from faulty_registry import faulty_registry
from kubernetes_fixtures import client
from tiffin.api.machine.home import Home
from tiffin.api.pipelines import scheduled
from tiffin.cli.verbs import cli
from tiffin.deploy.kubernetes.client.kinds import LEASE
from tiffin.errors import TiffinError
from tiffin.oci.documents import ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image
from tiffin.pipeline.graph import Action, Constant, Function, Graph, Place, Port, Resources, Step, Task
from tiffin.progress import Event, Noted, listening

PROJECT = """\
name = "iris"
[model]
path = "model.joblib"
[pipeline]
schedule = "0 3 * * 7"
time-zone = "Europe/Berlin"
[deploy]
memory = "512Mi"
[environment.staging]
target = "kubernetes"
namespace = "staging"
pull-secrets = ["registry"]
[environment.laptop]
target = "local"
"""
PORTS = {"to": Port(type="str", optional=True)}
STEPS = {
    "fit": Step(name="fit", does=Function(module="pipeline", name="fit"), resources=Resources(cpus=2, memory=1 << 30)),
    "ship": Step(name="ship", does=Action(name="deploy"), inputs=PORTS),
}
FIT = Task(name="fit", step="fit", timeout=600)
SHIP = Task(
    name="ship",
    step="ship",
    timeout=600,
    inputs={"to": Constant(value="kubernetes")},
    place=Place(file="pipeline.py", line=9),
)
GRAPH = Graph(name="retrain", steps=STEPS, body=(FIT, SHIP))


def image_of(_order: scheduled.Order, home: Home) -> Image:
    """The smallest image, which stands for that of a pipeline."""
    run = RunConfig(user="65532:65532")
    config = ImageConfig(architecture="amd64", os="linux", config=run, rootfs=RootFS(diff_ids=[]))
    image = Image.make(config, [], {})
    image.write(home.store)
    return image


@pytest.fixture
def folder(tmp_path: Path, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder to be in, whose pipeline was read and whose image was made."""
    assert kubeconfig
    monkeypatch.setenv("TIFFIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TIFFIN_PROGRESS", "none")
    monkeypatch.setattr(scheduled, "graph_of", lambda *_: GRAPH)
    monkeypatch.setattr(scheduled, "_image_of", image_of)
    project = tmp_path / "project"
    project.mkdir()
    (project / "tiffin.toml").write_text(PROJECT)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def push() -> Iterator[str]:
    """A repository to push to."""
    with faulty_registry() as running:
        running.lists_referrers = True
        yield f"{running.host}/team/iris"


def watch(*words: str) -> str:
    """Run the command and return what it prints; its error is raised."""
    result: Result = CliRunner().invoke(cli, ["pipeline", "watch", *words], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.stdout


def refused(*words: str) -> str:
    with pytest.raises(TiffinError) as caught:
        watch(*words)
    assert caught.value.hint
    return f"{caught.value.message}; {caught.value.hint}"


def notes_of(*words: str) -> str:
    heard: list[Event] = []
    with listening(heard.append):
        watch(*words)
    return "\n".join(event.message for event in heard if isinstance(event, Noted))


def rendered(*words: str) -> dict[str, Any]:
    made = yaml.safe_load_all(watch("--to", "kubernetes", "--push", "registry.example/iris", "--render", *words))
    return {one["kind"]: one for one in made}


def container(objects: dict[str, Any]) -> Any:
    return objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]


def test_a_pipeline_is_pushed_kept_planned_begun_and_deleted(folder: Path, push: str, server: ApiServer) -> None:
    assert folder
    said = ("--to", "kubernetes")
    assert watch(*said, "--push", push) == "iris-pipeline\n"
    [cron_job] = server.store.of(CRON_JOBS)
    [one] = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert one["image"].startswith(f"{push}@sha256:")
    assert cron_job["spec"]["schedule"] == "0 3 * * 0", "which is never 7 there"
    plan = watch(*said, "--push", push, "--plan")
    assert "keep    CronJob/iris-pipeline" in plan
    assert "create" not in plan
    with Controller(server).running():
        name = watch(*said, "--now").strip()
    assert [job["metadata"]["name"] for job in server.store.of(JOBS)] == [name]
    assert watch(*said, "--delete") == "iris-pipeline\n"
    assert not server.store.of(CRON_JOBS)
    assert "no pipeline iris-pipeline" in refused(*said, "--now")


def test_an_environment_says_where(folder: Path, push: str, server: ApiServer) -> None:
    assert folder
    watch("--environment", "staging", "--push", push)
    [cron_job] = server.store.of(CRON_JOBS)
    assert cron_job["metadata"]["namespace"] == "staging", "which is made"


def test_rendering_asks_no_cluster_and_says_what_a_run_is_told(folder: Path, server: ApiServer) -> None:
    made = rendered("--namespace", "models", "-p", "depth=5", "--cache", "registry.example/results")
    assert server.asked == []
    words = ["pipeline", "run", "--here", "--wait", "--jobs", "1", "--cache", "registry.example/results"]
    assert container(made)["args"] == [*words, "-p", "depth=5"]
    assert container(made)["resources"]["limits"] == {"memory": "1536Mi"}, "of its steps, and of tiffin itself"
    assert made["CronJob"]["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 2 * 1200 + 1800
    assert made["CronJob"]["spec"]["timeZone"] == "Europe/Berlin"
    assert len(made["Role"]["rules"]) > 1, "since it deploys"
    files = watch("--to", "kubernetes", "--push", "registry.example/iris", "--render", "base").splitlines()
    assert "base/kustomization.yaml" in files
    assert (folder / "base" / "cronjob-iris-pipeline.yaml").is_file()


def test_data_is_looked_at_every_few_minutes_where_a_claim_remembers_it(folder: Path) -> None:
    text = PROJECT.replace("schedule", 'watch = ["data/"]\nschedule')
    (folder / "tiffin.toml").write_text(text)
    push = ("--to", "kubernetes", "--push", "registry.example/iris", "--render", "--data", "data/=flowers")
    assert "--state CLAIM" in refused(*push)
    assert "never changes; have it on a claim: `--data data=CLAIM`" in refused(*push[:-2], "--state", "iris-state")
    made = rendered("--state", "iris-state", "--every", "10", "--data", "data=flowers")
    assert {"name": "data-0", "mountPath": "/pipeline/data", "readOnly": True} in container(made)["volumeMounts"]
    assert made["CronJob"]["spec"]["schedule"] == "*/10 * * * *"
    assert container(made)["args"][:5] == ["pipeline", "watch", "--once", "--here", "--wait"]
    assert made["CronJob"]["metadata"]["annotations"]["tiffin.dev/by-hand"].startswith("pipeline\nrun\n")
    assert "the schedule is looked at as the data is, every 15 minutes" in notes_of(*push, "--state", "iris-state")
    assert "every 7 minutes" in refused(*push, "--state", "iris-state", "--every", "7")


def test_what_means_something_else_on_a_cluster_is_told(folder: Path) -> None:
    push = ("--to", "kubernetes", "--push", "registry.example/iris", "--render")
    told = notes_of(*push)
    assert "results are kept only as long as the pod of a run" in told
    assert "clocks of Europe/Berlin are set" in told
    (folder / "tiffin.toml").write_text(PROJECT.replace('time-zone = "Europe/Berlin"\n', ""))
    assert "on the cluster it is UTC" in notes_of(*push)
    assert "kept only" not in notes_of(*push, "--state", "claim")


def test_what_cannot_be_is_refused_before_work_starts(folder: Path, server: ApiServer) -> None:
    assert "nobody says which; say where it goes: `--push REGISTRY/iris`" in refused("--to", "kubernetes")
    push = ("--to", "kubernetes", "--push", "registry.example/iris")
    assert "`--every` says how often data is looked at" in refused(*push, "--every", "5")
    (folder / "tiffin.toml").write_text(PROJECT.replace("schedule", "# schedule").replace("time-zone", "# time-zone"))
    assert "does not say what the pipeline is run for" in refused(*push)
    assert server.asked == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--now",), "--now is about a cluster"),
        (("--environment", "laptop", "--state", "claim"), "--state is about a cluster"),
        (("--to", "kubernetes", "--once"), "--once is about a watcher here"),
        (("--to", "kubernetes", "--native"), "--native is about a watcher here"),
        (("--to", "kubernetes", "--now", "--delete"), "one at a time"),
        (("--to", "kubernetes", "--k8s-version", "1.36"), "go with --plan or --render"),
    ],
)
def test_options_that_do_not_go_together_are_refused(folder: Path, words: tuple[str, ...], said: str) -> None:
    assert folder
    with pytest.raises(click.UsageError) as caught:
        watch(*words)
    assert said in caught.value.message


def test_a_run_takes_the_lease_that_its_pod_names_and_gives_it_back(
    tmp_path: Path, kubeconfig: Path, server: ApiServer
) -> None:
    (tmp_path / "tiffin.toml").write_text('name = "iris"\n[model]\npath = "model"\n')
    (tmp_path / "pipeline.py").write_text(
        "from tiffin_pipeline import pipeline, step\n"
        "@step\ndef one() -> int:\n    return 1\n"
        '@pipeline\ndef count():\n    return {"sum": one().output}\n'
    )
    api = client(server)
    api.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "iris-pipeline"}})
    environment = {**os.environ, "TIFFIN_HOME": str(tmp_path / "home"), "KUBECONFIG": str(kubeconfig)}
    environment["TIFFIN_LEASE"] = "default/iris-pipeline"

    def run() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "tiffin", "pipeline", "run", "--native", str(tmp_path)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)

    done = run()
    assert (done.returncode, done.stdout) == (0, "sum 1\n"), done.stderr
    spec = api.get(LEASE, "default", "iris-pipeline")["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("", 1)
    held = {
        "holderIdentity": "iris-pipeline-1_0",
        "leaseDurationSeconds": 60,
        "renewTime": "2999-01-01T00:00:00.000000Z",
    }
    api.patch(LEASE, "default", "iris-pipeline", {"spec": held})
    second = run()
    assert second.returncode == 6
    assert "the pipeline is being run by iris-pipeline-1" in second.stderr
