"""Two served models for clients of other servers, which are asked as their users would ask.

Clients are imported in fixtures and tests, not above: these files are also read where the clients are not installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest

from unit.tiffin_serve.fronts import Server, start, train

SERVE: dict[str, Any] = {}
"""What both models are served with; see [serve] in docs/reference/config.md."""
PIXELS = (3, 224, 224)


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a scikit-learn pipeline: a matrix of FP64 with four named columns, labels (BYTES) and probabilities."""
    folder = tmp_path_factory.mktemp("iris")
    joblib.dump(train(), folder / "model.joblib")
    server = start(folder, {"format": "sklearn-joblib", "path": str(folder / "model.joblib")}, serve=dict(SERVE))
    yield server.ready()
    assert server.stop() == 0


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve an ONNX model named `pictures`: FP32 `pixels` [-1, 3, 224, 224] in, FP32 `means` [-1, 3] out."""
    folder = tmp_path_factory.mktemp("pictures")
    save_means(folder / "model.onnx")
    model = {"format": "onnx", "path": str(folder / "model.onnx")}
    server = start(folder, model, name="pictures", serve=dict(SERVE))
    yield server.ready()
    assert server.stop() == 0


def save_means(path: Path) -> None:
    """Write a model that gives the mean of each channel of each picture."""
    import onnx  # noqa: PLC0415 - see above
    from onnx import TensorProto, helper  # noqa: PLC0415 - see above

    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["means"]),
        ],
        "means",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", *PIXELS])],
        [helper.make_tensor_value_info("means", TensorProto.FLOAT, ["n", PIXELS[0]])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture(scope="session")
def mlserver() -> str:
    """Give the path of MLServer's command line, which has an environment of its own (see the Makefile)."""
    program = Path(__file__).parents[2] / ".venv-mlserver" / "bin" / "mlserver"
    if not program.exists():
        pytest.fail(f"{program} is missing; run the tests of clients by `make test-clients`")
    return str(program)
