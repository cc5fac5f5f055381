"""NVIDIA's tritonclient asks Tiffin as it would ask Triton."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from unit.tiffin_serve.fronts import ROWS, Server

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("default")]  # their warnings are not ours


@pytest.fixture
def triton(iris: Server) -> Iterator[Any]:
    import tritonclient.http  # noqa: PLC0415 - see conftest.py

    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{iris.port}") as client:
        yield client


def test_it_finds_server_and_model_ready(triton: Any) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("iris")
    assert triton.is_model_ready("iris", "1")
    assert triton.get_server_metadata()["name"] == "tiffin"


def test_it_reads_the_metadata(triton: Any) -> None:
    metadata = triton.get_model_metadata("iris")
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_it_infers(triton: Any, binary: bool, datatype: str) -> None:  # noqa: FBT001 - pytest passes by name
    from tritonclient import http  # noqa: PLC0415 - see conftest.py

    rows = np.array(ROWS, dtype={"FP32": np.float32, "FP64": np.float64}[datatype])
    tensor = http.InferInput("input", list(rows.shape), datatype)
    tensor.set_data_from_numpy(rows, binary_data=binary)
    wanted = [http.InferRequestedOutput(name, binary_data=binary) for name in ("predict_proba", "predict")]
    answer = triton.infer("iris", [tensor], outputs=wanted, request_id="seven")
    assert answer.get_response()["id"] == "seven"
    labels = [label.decode() if isinstance(label, bytes) else label for label in answer.as_numpy("predict")]
    assert labels == ["setosa", "virginica", "versicolor"]
    assert answer.as_numpy("predict_proba").shape == (3, 3)


def test_it_gets_everything_in_binary_form_when_it_asks_for_nothing(triton: Any) -> None:
    from tritonclient import http  # noqa: PLC0415 - see conftest.py

    tensor = http.InferInput("input", [3, 4], "FP64")
    tensor.set_data_from_numpy(np.array(ROWS))
    answer = triton.infer("iris", [tensor])
    assert answer.as_numpy("predict").tolist() == [b"setosa", b"virginica", b"versicolor"]


def test_it_sends_pictures_in_binary_form(pictures: Server) -> None:
    from tritonclient import http  # noqa: PLC0415 - see conftest.py

    picture = np.random.default_rng(7).random((2, 3, 224, 224), dtype=np.float32)
    tensor = http.InferInput("pixels", list(picture.shape), "FP32")
    tensor.set_data_from_numpy(picture)
    with http.InferenceServerClient(f"127.0.0.1:{pictures.port}") as client:
        answer = client.infer("pictures", [tensor])
    np.testing.assert_allclose(answer.as_numpy("means"), picture.mean((2, 3)), rtol=1e-4)


def test_it_hears_what_is_wrong(triton: Any) -> None:
    from tritonclient import http  # noqa: PLC0415 - see conftest.py

    tensor = http.InferInput("input", [1, 3], "FP64")
    tensor.set_data_from_numpy(np.zeros((1, 3)))
    with pytest.raises(Exception, match="does not fit"):
        triton.infer("iris", [tensor])
    with pytest.raises(Exception, match="there is no model 'rose'"):
        triton.get_model_metadata("rose")


def test_it_manages_the_repository_and_reads_statistics(triton: Any) -> None:
    assert triton.get_model_repository_index() == [{"name": "iris", "version": "1", "state": "READY", "reason": ""}]
    triton.unload_model("iris")
    assert not triton.is_model_ready("iris")
    assert triton.get_model_repository_index()[0]["state"] == "UNAVAILABLE"
    triton.load_model("iris")
    assert triton.is_model_ready("iris")
    (statistics,) = triton.get_inference_statistics("iris")["model_stats"]
    assert (statistics["name"], statistics["version"]) == ("iris", "1")
    assert statistics["inference_stats"]["success"].keys() == {"count", "ns"}
    with pytest.raises(Exception, match="there is no model 'rose'"):
        triton.load_model("rose")
