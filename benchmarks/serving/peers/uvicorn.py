"""uvicorn without a framework: the floor of servers in Python that speak ASGI."""

from __future__ import annotations

from functools import partial

from benchmarks.serving import oip
from benchmarks.serving.cases import NOOP, ROW, TABLES
from benchmarks.serving.peer import MODEL_PACKAGES, Job, Launch, Peer
from benchmarks.serving.programs import FILES, variables

NAME = "uvicorn"
PROGRAM = """\
import json

import numpy as np
from artefact import DTYPE, load

predict = load()


async def whole(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    request = json.loads(await whole(receive))
    tensor = request["inputs"][0]
    values = predict(np.array(tensor["data"], DTYPE).reshape(tensor["shape"]))
    output = {"name": "predict", "datatype": "FP64", "shape": list(values.shape), "data": values.ravel().tolist()}
    body = json.dumps({"model_name": "flowers", "id": request.get("id"), "outputs": [output]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
TUNED = PROGRAM.replace("import json\n", "import msgspec\n").replace("json.loads", "msgspec.json.decode")
TUNED = TUNED.replace('json.dumps({"model_name"', 'msgspec.json.encode({"model_name"').replace("]}).encode()", "]})")


def launch(job: Job, *, tuned: bool) -> Launch:
    """One process that predicts in its event loop."""
    options = ["--no-access-log"] if tuned else []
    argv = [job.python, "-m", "uvicorn", "app:app", f"--port={job.port}", *options]
    files = {"app.py": TUNED if tuned else PROGRAM, **FILES}
    return Launch(argv=argv, files=files, environment=variables(job))


PEERS = [
    Peer(
        name=NAME,
        setting=setting,
        settings=settings,
        requirements=(*MODEL_PACKAGES, "uvicorn", "uvloop", "httptools", "msgspec"),
        launch=partial(launch, tuned=setting == "tuned"),
        ask=oip.ask,
        read=oip.read,
        cases=(*TABLES, ROW[NOOP]),
        fast=True,
    )
    for setting, settings in {
        "default": "uvloop and httptools, the standard library's JSON, access log",
        "tuned": "msgspec's JSON, no access log",
    }.items()
]
