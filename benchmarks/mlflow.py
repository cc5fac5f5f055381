"""`mlflow models build-docker` as one of the builders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.programs.client import Client

from . import names
from .command import Command
from .dialect import Dialect
from .docker import BUT_CACHE_MOUNTS, EVERYTHING, daemon, forget, remove
from .dockerfile import SHELL
from .project import Project

DIALECT = Dialect(live="/ping", predict="/invocations", field="inputs")
SAVE = """\
import joblib
from mlflow.sklearn import save_model

pins = open("requirements.txt").read().split()
given = {"code_paths": ["features.py"], "pip_requirements": pins, "serialization_format": "cloudpickle"}
save_model(joblib.load("model.joblib"), "model", **given)
"""
BUILD = """\
import sys
from mlflow.models import build_docker

build_docker(model_uri="model", name=sys.argv[1], env_manager="local", base_image=sys.argv[2])
"""
"""What the command does, which knows of no other base than python:3.11-slim, and then runs apt for nginx."""
DOCKER = """\
#!/bin/sh
[ "$1" != build ] || { shift; set -- build --network=host "$@"; }
exec /usr/bin/docker "$@"
"""
"""A daemon without a bridge has only the host's network to build with, and mlflow has no option for it."""


@dataclass(frozen=True)
class MLflow:
    """The environment of mlflow and the project's packages, building with our own docker daemon."""

    folder: Path
    programs: Path
    registry: str
    docker: Client
    name: str = names.MLFLOW
    address: str = "127.0.0.1:8000"
    dialect: Dialect = DIALECT

    @property
    def daemon(self) -> int | None:
        """Docker's, which builds."""
        return daemon(self.docker)

    def forget(self) -> None:
        """Empty docker's caches."""
        forget(self.docker, EVERYTHING)

    def forget_images(self) -> None:
        """Remove what was built."""
        forget(self.docker, BUT_CACHE_MOUNTS)

    def build(self, project: Project) -> Command:
        """Build an image of the model's folder, which saving the trained model has made."""
        context = self._saved(project)
        return self._python(context, "-c", BUILD, self.pushed(project), SHELL)

    def _saved(self, project: Project) -> Path:
        """Save the model as mlflow's, as its training would have done, where it has changed."""
        context = self.folder / project.name
        if project.differs(context):
            Command(["rm", "-rf", str(context / "model")]).run()
            self._python(project.lay(context), "-c", SAVE).run()
        return context

    def push(self, project: Project) -> Command:
        """`docker push`."""
        return Command(self.docker.argv("push", "--quiet", self.pushed(project)), self.docker.environment)

    def pushed(self, project: Project) -> str:
        """What docker and the registry call the image."""
        return f"{self.registry}/mlflow/{project.name}:latest"

    def run(self, project: Project) -> Command:
        """Let docker pull and run what was pushed; there is no nginx in it."""
        options = ["--detach", "--pull=always", "--network=host", "--env=DISABLE_NGINX=true"]
        argv = self.docker.argv("run", *options, f"--name={project.name}", self.pushed(project))
        return Command(argv, self.docker.environment)

    def remove(self, project: Project) -> Sequence[Command]:
        """Remove docker's container."""
        return [remove(self.docker, project.name)]

    def _python(self, context: Path, *arguments: str) -> Command:
        program = self.folder / "bin" / "docker"
        if not program.exists():
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(DOCKER)
            program.chmod(0o755)
        path = f"{program.parent}:{self.programs}:{self.docker.environment['PATH']}"
        here = {"PATH": path, "HOME": str(self.folder), "PYTHONPATH": str(context), "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment = {**self.docker.environment, **here, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        return Command([str(self.programs / "python"), *arguments], environment, context)
