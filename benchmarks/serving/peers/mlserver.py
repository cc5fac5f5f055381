"""MLServer: its scikit-learn runtime, and for ONNX a runtime of a few lines, since it has none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial

from benchmarks.serving import oip
from benchmarks.serving.cases import IMAGE, RF, RF_ROWS, ROW, TABLES
from benchmarks.serving.peer import MODEL_PACKAGES, Job, Launch, Peer
from benchmarks.serving.programs import FILES, variables

NAME = "mlserver"
VERSION = "1.7.1"
RUNTIME = """\
from artefact import load
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Runtime(MLModel):
    async def load(self):
        self._predict = load()
        return True

    async def predict(self, payload):
        values = self._predict(NumpyCodec.decode_input(payload.inputs[0]))
        output = NumpyCodec.encode_output("predict", values)
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=[output])
"""


@dataclass(frozen=True)
class Setting:
    """Processes beside the front (0: it predicts itself), and how many requests make a batch."""

    workers: int
    batch: int = 0
    words: str = ""


SETTINGS = {
    "default": Setting(1, words="1 process for inference"),
    "tuned": Setting(0, words="no further process, no log of requests"),
    "batching": Setting(0, 64, words="tuned, with batches of up to 64 requests within 5 ms"),
}


def launch(job: Job, setting: Setting) -> Launch:
    """`mlserver start` on a folder with two documents."""
    http, grpc, metrics = job.port, *job.spare[:2]
    server = {
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "parallel_workers": setting.workers,
        **({} if setting.workers else {"debug": False, "logging_settings": None}),
    }
    ours = job.model == IMAGE
    model = {
        "name": oip.MODEL,
        "implementation": "runtime.Runtime" if ours else "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(job.file)},
        **({"max_batch_size": setting.batch, "max_batch_time": 0.005} if setting.batch else {}),
    }
    documents = {"settings.json": json.dumps(server), "model-settings.json": json.dumps(model)}
    argv = [str(job.programs / "mlserver"), "start", str(job.folder)]
    return Launch(argv=argv, files={**documents, "runtime.py": RUNTIME, **FILES}, environment=variables(job))


PEERS = [
    Peer(
        name=NAME,
        setting=name,
        settings=setting.words,
        requirements=(*MODEL_PACKAGES, f"mlserver=={VERSION}", f"mlserver-sklearn=={VERSION}", "uvloop==0.21.0"),
        launch=partial(launch, setting=setting),
        ask=oip.ask,
        read=oip.read,
        cases=(ROW[RF], RF_ROWS) if setting.batch else TABLES,
    )
    for name, setting in SETTINGS.items()
]
"""uvloop is pinned since MLServer does not start with later ones."""
