"""Which formats are served by forks of one loaded model, and which load in every worker: ADR 28, format by format."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest

from tiffin_serve.worker.loaders import LOADERS
from unit.tiffin_serve.fronts import Serve, children_of, wait_for

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]

torch = pytest.importorskip("torch", reason="needs torch")
keras = pytest.importorskip("keras", reason="needs keras")
tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
pyfunc = pytest.importorskip("mlflow.pyfunc", reason="needs mlflow")
mlflow_models = pytest.importorskip("mlflow.models", reason="needs mlflow")
onnx = pytest.importorskip("onnx", reason="needs onnx")
skops_io = pytest.importorskip("skops.io", reason="needs skops")
xgboost = pytest.importorskip("xgboost", reason="needs xgboost")
lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")
linear_model = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")

ROWS = np.random.default_rng(0).normal(size=(200, 4)).astype("f4")
LABELS = (ROWS[:, 0] > 0).astype(int)
Saved = dict[str, str]
"""What a service says of a model."""


def network() -> Any:
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh()).eval()


def at(format_: str, path: Path) -> Saved:
    return {"format": format_, "path": str(path)}


def torchscript(folder: Path) -> Saved:
    torch.jit.save(torch.jit.trace(network(), torch.from_numpy(ROWS)), folder / "m.pt")
    return at("torchscript", folder / "m.pt")


def torch_export(folder: Path) -> Saved:
    dynamic = {"input": {0: torch.export.Dim("rows")}}
    program = torch.export.export(network(), (torch.from_numpy(ROWS),), dynamic_shapes=dynamic)
    torch.export.save(program, folder / "m.pt2")
    return at("torch-export", folder / "m.pt2")


def keras_file(folder: Path) -> Saved:
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(folder / "m.keras")
    return at("keras", folder / "m.keras")


def saved_model(folder: Path) -> Saved:
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).export(folder / "m", verbose=False)
    return at("tensorflow", folder / "m")


def graph(folder: Path) -> Saved:
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 4]) for name in ("rows", "twice")]
    node = onnx.helper.make_node("Add", ["rows", "rows"], ["twice"])
    whole = onnx.helper.make_graph([node], "doubling", values[:1], values[1:])
    made = onnx.helper.make_model(whole, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, folder / "m.onnx")
    return at("onnx", folder / "m.onnx")


class Sums(pyfunc.PythonModel):
    """Adds up each row."""

    def predict(self, context, model_input, params=None):  # noqa: ANN001, ANN201, ARG002 - MLflow reads hints as a schema
        return np.asarray(model_input).sum(axis=1)


def pyfunc_folder(folder: Path) -> Saved:
    cloudpickle.register_pickle_by_value(sys.modules[Sums.__module__])  # a worker does not have this file
    signature = mlflow_models.infer_signature(ROWS, ROWS.sum(axis=1))
    pyfunc.save_model(folder / "m", python_model=Sums(), signature=signature, pip_requirements=[])
    return at("mlflow", folder / "m")


def language(folder: Path) -> Saved:
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    from models.test_loaders_torch import save_tokenizer  # noqa: PLC0415 - it needs torch, whose absence skips us first

    save_tokenizer(folder)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=4, **sizes)).save_pretrained(folder)
    return at("transformers", folder)


def own(body: str) -> Callable[[Path], Saved]:
    source = f"""
{body}
class Predictor:
    inputs = {{"x": ("FP32", [-1, 4])}}
    def predict(self, inputs):
        return inputs["x"].sum(axis=1)
"""

    def save(folder: Path) -> Saved:
        (folder / "own.py").write_text(source)
        return {"format": "python", "predictor": "own:Predictor"}

    return save


def pipeline(format_: str, name: str, dump: Callable[[Any, Path], Any]) -> Callable[[Path], Saved]:
    def save(folder: Path) -> Saved:
        dump(linear_model.LogisticRegression().fit(ROWS, LABELS), folder / name)
        return at(format_, folder / name)

    return save


def pickled(model: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(model))


def boosted(folder: Path) -> Saved:
    trained = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(ROWS, LABELS), 5)
    trained.save_model(folder / "m.json")
    return at("xgboost", folder / "m.json")


def light(folder: Path) -> Saved:
    trained = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(ROWS, LABELS), 5)
    trained.save_model(folder / "m.txt")
    return at("lightgbm", folder / "m.txt")


HEAVY: dict[str, Callable[[Path], Saved]] = {
    "torchscript": torchscript,
    "torch-export": torch_export,
    "transformers": language,
    "keras": keras_file,
    "tensorflow": saved_model,
    "onnx": graph,
    "skops": pipeline("skops", "m.skops", skops_io.dump),  # it imports torch where there is one, as here
    "python with torch": own("import torch"),
    "python with TensorFlow": own("import tensorflow"),
    "python with a thread": own(
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    ),
}
"""What starts threads or a GPU's driver: whoever predicts has loaded it."""
LIGHT: dict[str, Callable[[Path], Saved]] = {
    "sklearn-joblib": pipeline("sklearn-joblib", "m.joblib", joblib.dump),
    "sklearn-pickle": pipeline("sklearn-pickle", "m.pkl", pickled),
    "xgboost": boosted,
    "lightgbm": light,
    "mlflow": pyfunc_folder,
    "python": own(""),
}
"""What is loaded once, and forked."""


def rows_for(name: str) -> list[Any]:
    return ["good", "bad good"] if name == "transformers" else ROWS[:5].tolist()


def test_every_format_is_tried_here() -> None:
    formats = {format_ for loader in LOADERS for format_ in loader.FORMATS}
    assert formats <= {*HEAVY, *LIGHT}


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_framework_is_loaded_by_each_worker_and_never_forked(serve: Serve, tmp_path: Path, name: str) -> None:
    server = serve(HEAVY[name](tmp_path), serve={"workers": 2}).ready()
    wait_for(lambda: server.metrics()['tiffin_workers{model="iris",state="idle"}'] == 2, "two workers")
    workers = server.children_pids()
    assert len(workers) == 2
    assert [children_of(pid) for pid in workers] == [[], []]
    for _ in range(4):
        status, answer = server.ask("POST", "/predict", rows_for(name))
        assert status == 200, answer
    assert server.children_pids() == workers
    assert "does not survive a fork" not in server.log, "it was tried, and is known not to"


@pytest.mark.parametrize("name", LIGHT)
def test_a_light_model_predicts_after_a_fork(serve: Serve, tmp_path: Path, name: str) -> None:
    server = serve(LIGHT[name](tmp_path), serve={"workers": 2}).ready()
    (zygote,) = server.children_pids()
    wait_for(lambda: len(children_of(zygote)) == 2, "two workers")
    for _ in range(4):
        status, answer = server.ask("POST", "/predict", rows_for(name))
        assert status == 200, answer
    assert server.children_pids() == [zygote]
    assert "does not survive a fork" not in server.log
