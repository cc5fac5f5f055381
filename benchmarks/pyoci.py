"""`pyoci build` as one of the builders: pure Python and no daemon; it packs an environment that uv makes."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uv
from tests.programs.client import Client
from tests.programs.service import ADDRESS

from . import names
from .command import Command
from .dialect import OURS, Dialect
from .docker import remove, run_pushed
from .project import Project
from .shelf import DEBIAN

APP = """\
import http.server
import json

import joblib
import numpy as np

model = joblib.load("model.joblib")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({})

    def do_POST(self):
        rows = np.array(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        chances = model.predict_proba(rows).tolist()
        self.answer({"predictions": model.predict(rows).tolist(), "probabilities": chances})

    def answer(self, value):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())


http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""
"""It brings no server, so the smallest there is stands for one."""
CONFIG = """\
[build]
entrypoint = ["/usr/bin/python3.11", "app.py"]
env = {{ PYTHONPATH = "/app/.venv/lib/python3.11/site-packages", PYTHONDONTWRITEBYTECODE = "1" }}
include_paths = ["app.py", "features.py", "model.joblib"]
base_image = "{base}"
"""


@dataclass(frozen=True)
class PyOCI:
    """An environment of its own, and the base in a registry that speaks TLS, which it insists on."""

    folder: Path
    programs: Path
    registry: str
    secure: str
    certificate: Path
    shelf: Path
    docker: Client
    name: str = names.PYOCI
    daemon: int | None = None
    address: str = ADDRESS
    dialect: Dialect = OURS

    def forget(self) -> None:
        """Remove every environment, layout and cache; the base is in the registry beside it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def forget_images(self) -> None:
        """Do nothing: another project's layout is what has not been built yet."""

    def build(self, project: Project) -> Command:
        """Make the environment with uv, compiled, then the image's layout of it."""
        context = project.lay(self.folder / project.name)
        (context / "app.py").write_text(APP)
        (context / "pyoci.toml").write_text(CONFIG.format(base=f"{self.secure}/base:latest"))
        program = shlex.quote(uv.find_uv_bin())
        script = (
            f"[ -d .venv ] || {program} venv --quiet --python={DEBIAN} .venv\n"
            f"{program} pip install --quiet --python=.venv/bin/python --no-index --find-links={self.shelf}/wheels"
            " --no-deps --link-mode=copy --compile-bytecode -r requirements.txt\n"
            f"exec {self.programs}/pyoci build --config pyoci.toml --include-deps --tag {project.name}:latest\n"
        )
        here = {
            "SSL_CERT_FILE": str(self.certificate),
            "UV_CACHE_DIR": str(self.folder / "uv"),
            "HOME": str(self.folder),
        }
        return Command(["/bin/sh", "-ec", script], {**here, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, context)

    def push(self, project: Project) -> Command:
        """Push the layout by skopeo, as tiffin's is: this registry speaks plain HTTP."""
        source, target = f"oci:{self.folder / project.name}/dist/image", f"docker://{self.pushed(project)}"
        return Command(["skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", source, target])

    def pushed(self, project: Project) -> str:
        """What the registry calls the image."""
        return f"{self.registry}/pyoci/{project.name}:latest"

    def run(self, project: Project) -> Command:
        """Let docker pull and run what was pushed."""
        return run_pushed(self.docker, project.name, self.pushed(project))

    def remove(self, project: Project) -> Sequence[Command]:
        """Remove docker's container."""
        return [remove(self.docker, project.name)]
