"""gRPC clients of other servers ask Tiffin as they would ask Triton, KServe and MLServer."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from unit.tiffin_serve.fronts import ROWS, Server, start, train

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("default")]  # their warnings are not ours
LABELS = [b"setosa", b"virginica", b"versicolor"]
ECHO = """
class Predictor:
    def predict(self, inputs):
        return inputs
"""
ARRAYS = {
    "BOOL": np.array([True, False]),
    **{
        f"{sign}INT{bits}": np.array([0, 7], f"{sign.lower()}int{bits}")
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
    **{f"FP{bits}": np.array([0.5, -2], f"float{bits}") for bits in (16, 32, 64)},
    "BYTES": np.array([b"a", b"\xff\x00"], dtype=np.object_),
}


@pytest.fixture(scope="module", autouse=True)
def _apart() -> None:
    """Import Triton's client where KServe's is imported too: both describe messages of the same names to protobuf."""
    from google.protobuf import descriptor_pool  # noqa: PLC0415 - see conftest.py

    own = descriptor_pool.DescriptorPool()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descriptor_pool, "Default", lambda: own)
        import tritonclient.grpc  # noqa: F401, PLC0415 - as above


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("flowers")
    joblib.dump(train(), folder / "model.joblib")
    model = {"format": "sklearn-joblib", "path": str(folder / "model.joblib")}
    server = start(folder, model, serve={"grpc": True})
    yield server.ready()
    assert server.stop() == 0


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("echo")
    (folder / "own.py").write_text(ECHO)
    server = start(folder, {"format": "python", "predictor": "own:Predictor"}, name="echo", serve={"grpc": True})
    yield server.ready()
    assert server.stop() == 0


# --- NVIDIA's tritonclient


@pytest.fixture
def triton(flowers: Server) -> Iterator[Any]:
    from tritonclient.grpc import InferenceServerClient  # noqa: PLC0415 - see conftest.py

    with InferenceServerClient(f"127.0.0.1:{flowers.grpc_port}") as client:
        yield client


def tensors(rows: list[list[float]]) -> list[Any]:
    from tritonclient.grpc import InferInput  # noqa: PLC0415 - see conftest.py

    tensor = InferInput("input", [len(rows), 4], "FP64")
    tensor.set_data_from_numpy(np.array(rows))
    return [tensor]


def test_triton_finds_server_and_model(triton: Any) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("iris", "1")
    assert triton.get_server_metadata().name == "tiffin"
    metadata = triton.get_model_metadata("iris")
    assert [(tensor.name, list(tensor.shape)) for tensor in metadata.inputs] == [("input", [-1, 4])]
    assert [model.state for model in triton.get_model_repository_index().models] == ["READY"]


def test_triton_infers_and_chooses_outputs(triton: Any) -> None:
    from tritonclient.grpc import InferRequestedOutput  # noqa: PLC0415 - see conftest.py

    answer = triton.infer("iris", tensors(ROWS), request_id="seven")
    assert answer.as_numpy("predict").tolist() == LABELS
    np.testing.assert_allclose(answer.as_numpy("predict_proba").sum(1), 1)
    assert answer.get_response().id == "seven"
    answer = triton.infer("iris", tensors(ROWS), outputs=[InferRequestedOutput("predict")], client_timeout=30)
    assert answer.as_numpy("predict_proba") is None


def test_triton_asks_and_goes_on(triton: Any) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    for _ in range(20):
        triton.async_infer("iris", tensors(ROWS), lambda result, error: answers.put((result, error)))
    for _ in range(20):
        result, error = answers.get(timeout=30)
        assert error is None
        assert result.as_numpy("predict").tolist() == LABELS


def test_triton_streams(triton: Any) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    triton.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(3):
        triton.async_stream_infer(
            "iris", tensors(ROWS), request_id=str(number), enable_empty_final_response=number == 2
        )
    found = [answers.get(timeout=30) for _ in range(4)]
    triton.stop_stream()
    assert [error for _, error in found] == [None] * 4
    assert [result.get_response().id for result, _ in found] == ["0", "1", "2", "2"]
    assert found[-1][0].get_response().parameters["triton_final_response"].bool_param


def test_triton_hears_what_is_wrong(triton: Any) -> None:
    from tritonclient.utils import InferenceServerException  # noqa: PLC0415 - see conftest.py

    with pytest.raises(InferenceServerException, match="there is no model 'rose'") as caught:
        triton.infer("rose", tensors(ROWS))
    assert caught.value.status() == "StatusCode.NOT_FOUND"


def test_triton_sees_statistics(triton: Any) -> None:
    before = triton.get_inference_statistics("iris").model_stats[0]
    triton.infer("iris", tensors(ROWS))
    after = triton.get_inference_statistics("iris", as_json=True)["model_stats"][0]
    assert int(after["inference_count"]) - before.inference_count == len(ROWS)


@pytest.mark.parametrize("datatype", ARRAYS)
def test_every_datatype_of_numpy_goes_there_and_back(echo: Server, datatype: str) -> None:
    from tritonclient.grpc import InferenceServerClient, InferInput  # noqa: PLC0415 - see conftest.py

    tensor = InferInput("x", [2], datatype)
    tensor.set_data_from_numpy(ARRAYS[datatype])
    with InferenceServerClient(f"127.0.0.1:{echo.grpc_port}") as client:
        found = client.infer("echo", [tensor]).as_numpy("x")
    assert (found.dtype, found.tolist()) == (ARRAYS[datatype].dtype, ARRAYS[datatype].tolist())


# --- KServe's SDK


@pytest.mark.parametrize("binary", [False, True])
def test_kserve_infers_typed_and_raw(flowers: Server, binary: bool) -> None:  # noqa: FBT001 - pytest passes by name
    from kserve import InferenceGRPCClient, InferInput, InferRequest  # noqa: PLC0415 - see conftest.py

    async def converse() -> Any:
        async with InferenceGRPCClient(f"127.0.0.1:{flowers.grpc_port}", timeout=30) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("iris")
            tensor = InferInput("input", [3, 4], "FP64")
            tensor.set_data_from_numpy(np.array(ROWS), binary_data=binary)
            return await client.infer(InferRequest("iris", [tensor], request_id="seven"))

    answer = asyncio.run(converse())
    assert (answer.id, answer.model_name) == ("seven", "iris")
    labels = answer.outputs[0].as_numpy().tolist()
    assert [label.encode() if isinstance(label, str) else label for label in labels] == LABELS


# --- MLServer, whose environment is its own: its stubs and codecs, asked by a script

SCRIPT = """
import sys
import grpc
import numpy as np
from mlserver.codecs import NumpyCodec
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import InferenceRequest

rows = np.array(eval(sys.argv[2]))
request = InferenceRequest(inputs=[NumpyCodec.encode_input("input", rows)])
with grpc.insecure_channel(sys.argv[1]) as channel:
    for raw in (False, True):
        message = ModelInferRequestConverter.from_types(request, model_name="iris", model_version="", use_raw=raw)
        answer = GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=30, wait_for_ready=True)
        found = ModelInferResponseConverter.to_types(answer).outputs[0]
        print(found.name, [bytes(value) if isinstance(value, bytes) else value.encode() for value in found.data])
"""


def test_mlserver_infers_typed_and_raw(mlserver: str, flowers: Server, tmp_path: Path) -> None:
    import subprocess  # noqa: PLC0415 - used here alone

    (tmp_path / "ask.py").write_text(SCRIPT)
    python = Path(mlserver).with_name("python")
    done = subprocess.run(
        [python, tmp_path / "ask.py", f"127.0.0.1:{flowers.grpc_port}", str(ROWS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"predict {LABELS}"] * 2
