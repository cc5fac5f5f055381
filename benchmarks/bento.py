"""`bentoml build` and `bentoml containerize` with its docker backend, as one of the builders."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.programs.client import Client

from . import names
from .command import Command
from .dialect import Dialect
from .docker import BUT_CACHE_MOUNTS, EVERYTHING, daemon, forget, remove, run_pushed
from .dockerfile import SHELL
from .project import Project

SERVICE = f"""\
import bentoml
import joblib
import numpy as np

image = bentoml.images.Image(base_image="{SHELL}", distro="none", python_version="3.11", lock_python_packages=False)


@bentoml.service(name="flowers", image=image.requirements_file("requirements.txt"))
class Flowers:
    def __init__(self) -> None:
        self.model = joblib.load("model.joblib")

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> dict[str, list]:
        array = np.array(rows)
        return {{
            "predictions": self.model.predict(array).tolist(),
            "probabilities": self.model.predict_proba(array).tolist(),
        }}
"""
"""`distro="none"`: as for Debian, it would install build-essential, git and gnupg2 into the image."""
DIALECT = Dialect(live="/livez", field="rows")
BENTOFILE = "service: 'service:Flowers'\ninclude: [service.py, features.py, model.joblib, requirements.txt]\n"


@dataclass(frozen=True)
class BentoML:
    """A store of bentos of our own under `folder`, built by our own docker daemon."""

    folder: Path
    programs: Path
    registry: str
    docker: Client
    name: str = names.BENTOML
    address: str = "127.0.0.1:3000"
    dialect: Dialect = DIALECT

    @property
    def daemon(self) -> int | None:
        """Docker's, which builds."""
        return daemon(self.docker)

    def forget(self) -> None:
        """Empty the store of bentos and docker's caches."""
        shutil.rmtree(self.folder / "home", ignore_errors=True)
        forget(self.docker, EVERYTHING)

    def forget_images(self) -> None:
        """Remove what was built; cache mounts stay."""
        forget(self.docker, BUT_CACHE_MOUNTS)

    def build(self, project: Project) -> Command:
        """Build the bento, then its image; the image's wheels come from loopback."""
        context = project.lay(self.folder / project.name)
        (context / "service.py").write_text(SERVICE)
        (context / "bentofile.yaml").write_text(BENTOFILE)
        bentoml = shlex.quote(str(self.programs / "bentoml"))
        script = (
            f"tag=$({bentoml} build --output tag | tail -n 1)\n"
            f'exec {bentoml} containerize "${{tag#__tag__:}}" '
            f"--opt network=host --image-tag {self.pushed(project)}\n"
        )
        return Command(["/bin/sh", "-ec", script], self._environment(), context)

    def push(self, project: Project) -> Command:
        """`docker push`."""
        return Command(self.docker.argv("push", "--quiet", self.pushed(project)), self.docker.environment)

    def pushed(self, project: Project) -> str:
        """What docker and the registry call the image."""
        return f"{self.registry}/bentoml/{project.name}:latest"

    def run(self, project: Project) -> Command:
        """Let docker pull and run what was pushed."""
        return run_pushed(self.docker, project.name, self.pushed(project))

    def remove(self, project: Project) -> Sequence[Command]:
        """Remove docker's container."""
        return [remove(self.docker, project.name)]

    def _environment(self) -> Mapping[str, str]:
        here = {"BENTOML_HOME": str(self.folder / "home"), "BENTOML_DO_NOT_TRACK": "true", "HOME": str(self.folder)}
        path = f"{self.programs}:{self.docker.environment['PATH']}"
        return {**self.docker.environment, **here, "PATH": path, "LANG": "C.UTF-8"}
