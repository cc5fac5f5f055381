"""A built image with `grpc = true` answers gRPC out of its container; without it the image has nothing of it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator

import grpc
import pytest

from end_to_end.small import Downloads, layers_of, run_tiffin, tiffin
from unit.tiffin_serve.rpcs import Client, client, request, typed

PREDICTOR = """\
class Pairs:
    inputs = {"pair": ("FP32", [-1, 2]), "label": ("BYTES", [-1])}
    outputs = {"text": ("BYTES", [-1])}

    def predict(self, inputs):
        return {"text": [f"{label}:{a + b:g}" for (a, b), label in zip(inputs["pair"], inputs["label"])]}
"""
PROJECT = """\
name = "pairs"
[model]
predictor = "predict:Pairs"
[python]
dependencies = ["six==1.17.0"]
[serve]
drain-seconds = 0
grpc = true
"""


@pytest.fixture(scope="module")
def asked(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a container of the project."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "predict.py").write_text(PREDICTOR)
    (folder / "tiffin.toml").write_text(PROJECT)
    home = downloads.copy(folder / "home")
    shutil.copy(downloads.lock, folder)
    image = tiffin(home, "build", folder)
    before = {title for title, _ in layers_of(downloads.home, downloads.digest)}
    titles = [title for title, _ in layers_of(home, image.partition("@")[2])]
    assert [title for title in titles if title not in before] == ["grpc"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tiffin(home, "run", "pairs", "-d", "--name", "pairs", "-p", "0", "-p", f"{port}:8081")
    try:
        with client(port) as made:
            yield made
    finally:
        logs = run_tiffin(home, "logs", "pairs")
        tiffin(home, "rm", "-f", "pairs")
    assert "Traceback" not in logs.stdout + logs.stderr


def test_a_container_answers_grpc(asked: Client) -> None:
    pair, label = (
        typed("pair", "FP32", [1, 2], "fp32_contents", [1, 2]),
        typed("label", "BYTES", [1], "bytes_contents", [b"a"]),
    )
    answer = asked.ask("ModelInfer", request(pair, label, model_name="pairs"))
    assert list(answer.outputs[0].contents.bytes_contents) == [b"a:3"]
    assert asked.check("pairs") == 1


def test_a_container_refuses_what_does_not_fit(asked: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        asked.ask("ModelInfer", request(model_name="pairs"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
