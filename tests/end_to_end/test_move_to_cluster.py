"""A service of this machine moves to a cluster: ready there, told, and only then let go of here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from apiserver.controller import Controller
from apiserver.fates import crashing
from apiserver.served import DEPLOYMENTS
from apiserver.server import ApiServer
from end_to_end.small import Downloads, run_tiffin, tiffin, write_project
from end_to_end.supervised import begun
from faulty_registry import FaultyRegistry, faulty_registry
from tiffin.packages.lock import FILENAME


class Here:
    """A home with a service that is kept on this machine, and what it may move to."""

    def __init__(self, home: Path, config: Path, server: ApiServer, registry: FaultyRegistry) -> None:
        self.home, self.config, self.server = home, config, server
        self.name = f"{registry.host}/team/small"

    def tiffin(self, *words: object) -> str:
        return tiffin(self.home, *words, KUBECONFIG=str(self.config))

    def refused(self, *words: object) -> str:
        done = run_tiffin(self.home, *words, KUBECONFIG=str(self.config))
        assert done.returncode
        return done.stderr


@pytest.fixture
def controller(here: Here) -> Iterator[Controller]:
    with Controller(here.server).running() as running:
        yield running


@pytest.fixture
def here(downloads: Downloads, tmp_path: Path) -> Iterator[Here]:
    project = write_project(tmp_path / "project")
    with (project / "tiffin.toml").open("a") as file:
        file.write('[deploy]\nmemory = "256Mi"\nenv = { COLOUR = "blue" }\n')
    (project / FILENAME).write_bytes(downloads.lock.read_bytes())
    home = downloads.copy(tmp_path / "home")
    config = tmp_path / "kubeconfig"
    with ApiServer().running() as server, faulty_registry() as registry:
        document = {
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": server.url}}],
            "users": [{"name": "dana", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "dana"}}],
        }
        config.write_text(yaml.safe_dump(document))
        up = begun(home)
        try:
            tiffin(home, "deploy", project, "--to", "local", "-e", "MORE=1")
            yield Here(home, config, server, registry)
        finally:
            run_tiffin(home, "delete", "small", "--to", "local")
            up.terminate()
            up.communicate()


def test_it_is_ready_there_before_it_is_let_go_of_here(here: Here, controller: Controller) -> None:
    assert here.tiffin("exec", "small", "--", "python", "-c", "print(6 * 7)") == "42", (
        "a replica here is reached as well"
    )
    here.tiffin("cp", "small:/opt/tiffin/service.json", here.config.parent / "service.json")
    assert '"small"' in (here.config.parent / "service.json").read_text()
    assert "needs no way to it" in here.refused("port-forward", "small")
    steps = here.tiffin("migrate", "small", "--to", "kubernetes", "--push", f"{here.name}:1", "--plan")
    assert [line.split()[1] for line in steps.splitlines()] == ["push", "deploy", "drain"]
    controller.fates["team/small"] = crashing("ValueError: no model")
    told = here.refused("migrate", "small", "--to", "kubernetes", "--push", f"{here.name}:1", "--timeout", "1")
    assert "ValueError: no model" in told
    assert "small serves here as before" in told
    assert not here.server.store.of(DEPLOYMENTS)
    assert "1 of 1 replicas ready" in here.tiffin("status", "small", "--to", "local")
    del controller.fates["team/small"]
    assert (
        here.tiffin("migrate", "small", "--to", "kubernetes", "--push", f"{here.name}:1") == "http://small.default.svc"
    )
    [deployment] = here.server.store.of(DEPLOYMENTS)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one["value"] for one in container["env"]}
    assert {"COLOUR": "blue", "MORE": "1"}.items() <= env.items()
    assert container["resources"]["limits"]["memory"] == "256Mi"
    assert "no service" in here.refused("status", "small", "--to", "local")
    assert "small: available" in here.tiffin("status", "small")
