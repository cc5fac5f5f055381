"""LitServe: a LitAPI in a process of its own behind its server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from benchmarks.serving.cases import RF, RF_ROWS, ROW, TABLES
from benchmarks.serving.peer import MODEL_PACKAGES, Job, Launch, Peer
from benchmarks.serving.programs import FILES, variables

from . import plain

NAME = "litserve"
PROGRAM = """\
import litserve as ls
import numpy as np
from artefact import DTYPE, load


class Flowers(ls.LitAPI):
    def setup(self, device):
        self.model = load()

    def decode_request(self, request):
        return np.array(request["rows"], DTYPE)

    def predict(self, x):
        return self.model(x)

    def encode_response(self, output):
        return {{"predictions": np.asarray(output).tolist()}}


class Batching(Flowers):
    def batch(self, inputs):
        self.ends = np.cumsum([len(x) for x in inputs])[:-1]
        return np.concatenate(inputs)

    def unbatch(self, output):
        return np.split(output, self.ends)


if __name__ == "__main__":
    api = {api}
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1{server})
    server.run(host="127.0.0.1", port={port}, generate_client_file=False{run})
"""


@dataclass(frozen=True)
class Setting:
    """What is given to its three calls."""

    words: str
    api: str = "Flowers()"
    server: str = ""
    run: str = ""


TUNED = ', log_level="warning"'
SETTINGS = {
    "default": Setting("1 server, 1 worker"),
    "tuned": Setting(
        "2 servers, the fast queue, no access log", server=", fast_queue=True", run=f", num_api_servers=2{TUNED}"
    ),
    "batching": Setting(
        "1 server, batches of up to 64 requests within 5 ms",
        api="Batching(max_batch_size=64, batch_timeout=0.005)",
        server=", fast_queue=True",
        run=TUNED,
    ),
}


def launch(job: Job, setting: Setting) -> Launch:
    """Its server and one worker."""
    program = PROGRAM.format(api=setting.api, server=setting.server, run=setting.run, port=job.port)
    return Launch(argv=[job.python, "server.py"], files={"server.py": program, **FILES}, environment=variables(job))


PEERS = [
    Peer(
        name=NAME,
        setting=name,
        settings=setting.words,
        requirements=(*MODEL_PACKAGES, "litserve==0.2.19"),
        launch=partial(launch, setting=setting),
        ask=plain.ask,
        read=plain.read,
        cases=(ROW[RF], RF_ROWS) if name == "batching" else TABLES,
    )
    for name, setting in SETTINGS.items()
]
