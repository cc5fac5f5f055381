"""KServe's SDK: a model class that decodes and encodes by its own types."""

from __future__ import annotations

from functools import partial

from benchmarks.serving import oip
from benchmarks.serving.cases import IMAGE_BINARY, TABLES
from benchmarks.serving.peer import MODEL_PACKAGES, Job, Launch, Peer
from benchmarks.serving.programs import FILES, variables

NAME = "kserve"
PROGRAM = """\
from artefact import load
from kserve import InferOutput, InferResponse, Model, ModelServer


class Flowers(Model):
    def __init__(self):
        super().__init__("flowers")
        self._predict = load()
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        values = self._predict(payload.inputs[0].as_numpy())
        output = InferOutput("predict", list(values.shape), "FP32" if values.dtype == "float32" else "INT64")
        output.set_data_from_numpy(values, binary_data=False)
        return InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    ModelServer().start([Flowers()])
"""
TUNED = ["--enable_latency_logging=false", "--enable_docs_url=false", "--log_config_file=quiet.json"]
QUIET = '{"version": 1, "disable_existing_loggers": true, "root": {"level": "ERROR"}}'


def launch(job: Job, *, tuned: bool) -> Launch:
    """One process, REST alone."""
    ports = [f"--http_port={job.port}", "--enable_grpc=false", "--workers=1"]
    argv = [job.python, "server.py", *ports, *(TUNED if tuned else [])]
    files = {"server.py": PROGRAM, "quiet.json": QUIET, **FILES}
    return Launch(argv=argv, files=files, environment=variables(job))


PEERS = [
    Peer(
        name=NAME,
        setting=setting,
        settings=settings,
        requirements=(*MODEL_PACKAGES, "kserve==0.21.0"),
        launch=partial(launch, tuned=setting == "tuned"),
        ask=oip.ask,
        read=oip.read,
        cases=(*TABLES, IMAGE_BINARY),
    )
    for setting, settings in {
        "default": "1 process, REST alone",
        "tuned": "no logs of requests and latencies",
    }.items()
]
