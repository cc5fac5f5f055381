"""A model that hangs ends with its worker at its deadline, and everyone else is answered: with real processes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from unit.tiffin_serve.fronts import Server, wait_for
from unit.tiffin_serve.test_life import ask_together

HANGS = """
import os, signal, time
class Predictor:
    inputs = {"x": ("INT64", [-1])}
    def predict(self, inputs):
        x = inputs["x"].tolist()
        if 13 in x:
            HANG
        return x
"""


@pytest.mark.parametrize(
    "hang",
    ["time.sleep(60)", "sum(range(10 ** 12))", "os.kill(os.getpid(), signal.SIGSTOP)"],
    ids=["asleep", "in C code", "stopped"],
)
def test_a_request_that_hangs_is_refused_at_its_deadline_alone(predictor: Callable[..., Server], hang: str) -> None:
    server = predictor(HANGS.replace("HANG", hang), serve={"deadline_ms": 1500}).ready()
    worker = server.worker_pid()
    found = ask_together(server, [1, 13])
    assert found[1][0] == 504
    assert "within 1.5 seconds" in found[1][1]["error"]
    server.ready()
    assert server.ask("POST", "/predict", [1]) == (200, {"predictions": [1]})
    assert server.worker_pid() != worker
    if hang != "os.kill(os.getpid(), signal.SIGSTOP)":
        assert 'own.py", line 8 in predict' in server.log
    wait_for(lambda: '"a worker was killed", "reason": "deadline"' in server.log, "it is said why")
