"""A project's pipeline, from its folder to a CronJob; and what the CronJob's pod would do, done by its own words."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
import yaml

from apiserver.controller import Controller
from apiserver.served import CRON_JOBS, JOBS
from apiserver.server import ApiServer
from end_to_end.small import run_tiffin
from programs.registry import registry

PROJECT = """
name = "sums"

[model]
path = "model.joblib"

[pipeline]
schedule = "0 3 * * 7"
time-zone = "Europe/Berlin"
"""
STEPS = """
from tiffin_pipeline import Dataset, pipeline, step

@step(memory="256Mi")
def total(rows: Dataset) -> int:
    return sum(int(line) for line in rows.path.read_text().split())

@pipeline
def sums(rows: Dataset = "rows.txt"):
    return {"sum": total(rows=rows).output}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sums"
    folder.mkdir()
    for name, text in (("tiffin.toml", PROJECT), ("pipeline.py", STEPS), ("rows.txt", "40\n2\n")):
        (folder / name).write_text(text)
    return folder


def let_find(home: Path, server: ApiServer) -> None:
    """Have a kubeconfig in a home."""
    document = {
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server.url}}],
        "users": [{"name": "dana", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "dana"}}],
    }
    (home / ".kube").mkdir()
    (home / ".kube" / "config").write_text(yaml.safe_dump(document))


@pytest.mark.program("docker-registry")
def test_a_folder_becomes_a_cron_job_whose_image_runs_the_pipeline(home: Path, folder: Path, tmp_path: Path) -> None:
    with registry() as host, ApiServer().running() as server:
        let_find(home, server)
        watch = ("pipeline", "watch", folder, "--to", "kubernetes")
        kept = run_tiffin(home, *watch, "--push", f"{host}/team/sums", "-p", "rows=rows.txt")
        assert (kept.returncode, kept.stdout) == (0, "sums-pipeline\n"), kept.stderr
        assert "results are kept only as long as the pod of a run" in kept.stderr
        [cron_job] = server.store.of(CRON_JOBS)
        with Controller(server).running():
            begun = run_tiffin(home, *watch, "--now")
        assert [job["metadata"]["name"] for job in server.store.of(JOBS)] == begun.stdout.split(), begun.stderr
        [container] = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"] == {"memory": "768Mi"}
        state = tmp_path / "state"
        state.mkdir()
        state.chmod(0o777)
        options = ["--rm", "--name", f"sums-{secrets.token_hex(4)}", "-e", "TIFFIN_HOME=/var/lib/tiffin"]
        options += ["-v", f"{state}:/var/lib/tiffin:rw"]
        done = run_tiffin(home, "run", *options, container["image"], "--", *container["args"])
        assert (done.returncode, done.stdout) == (0, "sum 42\n"), done.stderr
