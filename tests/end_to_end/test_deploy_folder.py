"""A project's folder becomes a service in a cluster by one command: built, pushed to a registry, deployed by digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from apiserver.controller import Controller
from apiserver.served import DEPLOYMENTS
from apiserver.server import ApiServer
from end_to_end.small import Downloads, layers_of, tiffin, write_project
from faulty_registry import faulty_registry
from tiffin.packages.lock import FILENAME


def kubeconfig(file: Path, url: str) -> Path:
    document = {
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "users": [{"name": "dana", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "dana"}}],
    }
    file.write_text(yaml.safe_dump(document))
    return file


@pytest.mark.parametrize("by_option", [True, False])
def test_one_command_builds_pushes_and_deploys_by_digest(
    downloads: Downloads, tmp_path: Path, *, by_option: bool
) -> None:
    project = write_project(tmp_path / "project")
    (project / FILENAME).write_bytes(downloads.lock.read_bytes())
    home = downloads.copy(tmp_path / "home")
    with ApiServer().running() as server, Controller(server).running(), faulty_registry() as registry:
        name = f"{registry.host}/team/small:1"
        if not by_option:
            with (project / "tiffin.toml").open("a") as file:
                file.write(f'[deploy]\npush = "{name}"\n')
        words = ["--push", name] if by_option else []
        config = str(kubeconfig(tmp_path / "kubeconfig", server.url))
        tiffin(home, "deploy", project, "--to", "kubernetes", *words, KUBECONFIG=config)
        [deployment] = server.store.of(DEPLOYMENTS)
        assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == (
            f"{registry.host}/team/small@{downloads.digest}"
        )
        assert tiffin(home, "tags", f"{registry.host}/team/small") == "1"


def test_weights_go_to_the_registry_as_an_image_of_their_own_and_pods_mount_them(
    downloads: Downloads, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project")
    (project / FILENAME).write_bytes(downloads.lock.read_bytes())
    text = (project / "tiffin.toml").read_text()
    (project / "tiffin.toml").write_text(text.replace("[image]", '[image]\nweights = "separate"'))
    home = downloads.copy(tmp_path / "home")
    with ApiServer().running() as server, Controller(server).running(), faulty_registry() as registry:
        name = f"{registry.host}/team/small"
        config = str(kubeconfig(tmp_path / "kubeconfig", server.url))
        tiffin(home, "deploy", project, "--to", "kubernetes", "--push", f"{name}:1", KUBECONFIG=config)
        [deployment] = server.store.of(DEPLOYMENTS)
        weights = json.loads(deployment["metadata"]["annotations"]["tiffin.dev/service"])["template"]["weights"]
        tags = tiffin(home, "tags", name).split()
        assert sorted(tag.partition("-")[0] for tag in tags) == ["1", "rest", "weights"]
        assert f"weights-{weights['digest'].partition(':')[2][:12]}" in tags
        alone = tiffin(home, "pull", f"{name}@{weights['digest']}")
        assert weights["digest"] in alone
        assert [title for title, _ in layers_of(home, weights["digest"])] == ["weights"]
