"""MLflow: `mlflow models serve` of a model it has saved itself; saving is not timed."""

from __future__ import annotations

from functools import partial

from benchmarks.serving.cases import IMAGE_JSON, TABLES
from benchmarks.serving.peer import MODEL_PACKAGES, Job, Launch, Peer
from benchmarks.serving.programs import FILES, variables

from . import plain

NAME = "mlflow"
SAVE = """\
import shutil
import sys
from pathlib import Path

file, folder = Path(sys.argv[1]), Path(sys.argv[2])
if not folder.exists() or folder.stat().st_mtime < file.stat().st_mtime:
    import joblib
    from mlflow.sklearn import save_model

    shutil.rmtree(folder, ignore_errors=True)
    options = {"pip_requirements": ["scikit-learn"], "serialization_format": "cloudpickle"}
    save_model(joblib.load(file), str(folder), **options)
"""
"""Once for each artefact: it takes as long as starting the server."""


def launch(job: Job, *, tuned: bool) -> Launch:
    """In the environment that is there."""
    options = ["--env-manager=local", "--host=127.0.0.1", f"--port={job.port}", *(["--workers=2"] if tuned else [])]
    folder = job.file.with_suffix(".mlflow")
    argv = [str(job.programs / "mlflow"), "models", "serve", f"--model-uri={folder}", *options]
    here = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{job.programs}:/usr/bin:/bin", "HOME": str(job.folder)}
    environment = {**variables(job), **here}
    return Launch(
        argv=argv, files=FILES, before=[job.python, "-c", SAVE, str(job.file), str(folder)], environment=environment
    )


PEERS = [
    Peer(
        name=NAME,
        setting=setting,
        settings=settings,
        requirements=(*MODEL_PACKAGES, "mlflow==3.17.2"),
        launch=partial(launch, tuned=setting == "tuned"),
        ask=partial(plain.ask, field="inputs", path="/invocations"),
        read=plain.read,
        cases=tuple(case for case in TABLES if case != IMAGE_JSON),
    )
    for setting, settings in {"default": "1 worker", "tuned": "2 workers"}.items()
]
