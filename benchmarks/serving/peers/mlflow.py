"""MLflow: `mlflow models serve` of a model it has saved itself; saving is not timed."""

from __future__ import annotations

from functools import partial

from benchmarks.serving.cases import IMAGE_JSON, TABLES
from benchmarks.serving.peer import MODEL_PACKAGES, Job, Launch, Peer
from benchmarks.serving.programs import FILES, variables

from . import plain

NAME = "mlflow"
SAVE = """\
import sys
from pathlib import Path

if not Path("model").exists():
    import joblib
    from mlflow.sklearn import save_model

    save_model(joblib.load(sys.argv[1]), "model", pip_requirements=["scikit-learn"], serialization_format="cloudpickle")
"""


def launch(job: Job, *, tuned: bool) -> Launch:
    """In the environment that is there."""
    options = ["--env-manager=local", "--host=127.0.0.1", f"--port={job.port}", *(["--workers=2"] if tuned else [])]
    argv = [str(job.programs / "mlflow"), "models", "serve", "--model-uri=model", *options]
    here = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{job.programs}:/usr/bin:/bin", "HOME": str(job.folder)}
    environment = {**variables(job), **here}
    return Launch(argv=argv, files=FILES, before=[job.python, "-c", SAVE, str(job.file)], environment=environment)


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
