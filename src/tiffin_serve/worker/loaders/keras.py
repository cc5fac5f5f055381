"""Keras 3 models, on whichever of its backends the environment has."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any, Sequence

from tiffin_serve.worker.loaders.tensorflow import quiet
from tiffin_serve.worker.model import Model, tensor

FORMATS = ("keras",)
PREDICT = "predict"

_BACKENDS = ("tensorflow", "torch", "jax")
_DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "FP32",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}


def load(format_: str, path: str, predictor: str) -> Model:
    """Load the model without its optimizer; code in the file (lambdas) is refused by Keras."""
    del format_, predictor
    quiet()
    os.environ.setdefault("KERAS_BACKEND", next((name for name in _BACKENDS if find_spec(name)), _BACKENDS[0]))
    import keras

    return KerasModel(keras.saving.load_model(path, compile=False), keras.ops.convert_to_numpy)


class KerasModel:
    """A model whose layers say names, types and shapes."""

    def __init__(self, model: Any, to_numpy: Any) -> None:
        self._model, self._to_numpy = model, to_numpy
        inputs, outputs = list(model.inputs), list(model.outputs)
        self._inputs = [value.name for value in inputs]
        names = getattr(model, "output_names", None) or [value.name for value in outputs]
        self._outputs = [PREDICT] if len(outputs) == 1 else [str(name) for name in names]
        pairs = zip(self._outputs, outputs)  # noqa: B905 - strict= is Python 3.10
        self.signature = {
            "platform": "keras",
            "inputs": [_describe(value.name, value) for value in inputs],
            "outputs": [_describe(name, value) for name, value in pairs],
            "batches": all(value.shape[0] is None for value in [*inputs, *outputs]),
        }

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Run the model as it is after training."""
        del parameters
        values = [inputs[name] for name in self._inputs]
        answer = self._model(values[0] if len(values) == 1 else values, training=False)
        if isinstance(answer, dict):
            named = {name: answer[name] for name in answer}
        else:
            listed = answer if isinstance(answer, (list, tuple)) else [answer]
            named = dict(zip(self._outputs, listed))  # noqa: B905 - strict= is Python 3.10
        return {name: self._to_numpy(value) for name, value in named.items() if not wanted or name in wanted}


def _describe(name: str, value: Any) -> "dict[str, Any]":
    return tensor(name, _DATATYPES[str(value.dtype)], [-1 if size is None else size for size in value.shape])
