"""BentoML: a service of its own kind, started by `bentoml serve`."""

from __future__ import annotations

from functools import partial

from benchmarks.serving.cases import RF, RF_ROWS, ROW, TABLES
from benchmarks.serving.peer import MODEL_PACKAGES, Job, Launch, Peer
from benchmarks.serving.programs import FILES, variables

from . import plain

NAME = "bentoml"
PROGRAM = """\
import bentoml
import numpy as np
from artefact import DTYPE, load


@bentoml.service(workers=1{quiet})
class Flowers:
    def __init__(self) -> None:
        self.model = load()

    @bentoml.api{options}
    def predict(self, rows: {rows}) -> np.ndarray:
        return self.model(np.asarray(rows, DTYPE))
"""
BATCHES = "(batchable=True, max_batch_size=64, max_latency_ms=1000)"
QUIET = ', logging={"access": {"enabled": False}}, metrics={"enabled": False}'


def launch(job: Job, setting: str) -> Launch:
    """`bentoml serve` of a module in the job's folder."""
    default = setting == "default"
    program = PROGRAM.format(
        quiet="" if default else QUIET,
        options=BATCHES if setting == "batching" else "",
        rows="list" if default else "np.ndarray",
    )
    argv = [str(job.programs / "bentoml"), "serve", "service:Flowers", "--host=127.0.0.1", f"--port={job.port}"]
    here = {"BENTOML_HOME": str(job.folder / "home"), "BENTOML_DO_NOT_TRACK": "true", "HOME": str(job.folder)}
    return Launch(argv=argv, files={"service.py": program, **FILES}, environment={**variables(job), **here})


PEERS = [
    Peer(
        name=NAME,
        setting=name,
        settings=settings,
        requirements=(*MODEL_PACKAGES, "bentoml==1.4.39"),
        launch=partial(launch, setting=name),
        ask=plain.ask,
        read=plain.read,
        cases=(ROW[RF], RF_ROWS) if name == "batching" else TABLES,
    )
    for name, settings in {
        "default": "1 worker, lists",
        "tuned": "arrays, no access log, no metrics",
        "batching": "tuned, with its adaptive batches of up to 64 rows",
    }.items()
]
