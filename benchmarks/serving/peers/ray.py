"""Ray Serve: a deployment with one replica behind its proxy."""

from __future__ import annotations

from functools import partial

from benchmarks.serving.peer import MODEL_PACKAGES, Job, Launch, Peer
from benchmarks.serving.programs import FILES, variables

from . import plain

NAME = "ray serve"
PROGRAM = """\
import signal
import sys

import numpy as np
import ray
from artefact import DTYPE, load
from ray import serve


@serve.deployment(num_replicas=1, max_ongoing_requests=100{deployment})
class Flowers:
    def __init__(self):
        self.predict = load()

    async def __call__(self, request):
        rows = np.array((await request.json())["rows"], DTYPE)
        return {{"predictions": self.predict(rows).tolist()}}


def end(*_):
    serve.shutdown()
    ray.shutdown()
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
serve.start(http_options={{"host": "127.0.0.1", "port": {port}}}{logging})
serve.run(Flowers.bind(), route_prefix="/predict")
while True:
    signal.pause()
"""
LOGGING = 'logging_config={"enable_access_log": False, "log_level": "ERROR"}'


def launch(job: Job, *, tuned: bool) -> Launch:
    """A cluster of this machine alone."""
    logging = f", {LOGGING}" if tuned else ""
    program = PROGRAM.format(port=job.port, deployment=logging, logging=logging)
    faster = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"} if tuned else {}
    environment = {**variables(job), **faster, "RAY_USAGE_STATS_ENABLED": "0", "HOME": str(job.folder)}
    return Launch(argv=[job.python, "server.py"], files={"server.py": program, **FILES}, environment=environment)


PEERS = [
    Peer(
        name=NAME,
        setting=setting,
        settings=settings,
        requirements=(*MODEL_PACKAGES, "ray[serve]==2.60.0"),
        launch=partial(launch, tuned=setting == "tuned"),
        ask=plain.ask,
        read=plain.read,
    )
    for setting, settings in {
        "default": "1 replica",
        "tuned": "no access log, `RAY_SERVE_THROUGHPUT_OPTIMIZED`",
    }.items()
]
