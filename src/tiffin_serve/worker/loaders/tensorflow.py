"""TensorFlow's SavedModel through its signature `serving_default`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Sequence

from tiffin_serve.worker.model import Model, tensor
from tiffin_serve.worker.threads import one_for_each

FORMATS = ("tensorflow",)
SIGNATURE = "serving_default"

_DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}


def load(format_: str, path: str, predictor: str) -> Model:
    """Load the graph, to be run by as many threads as a worker may have."""
    del format_, predictor
    quiet()
    import tensorflow as tf

    folder = Path(path).parent if Path(path).is_file() else Path(path)
    loaded = tf.saved_model.load(str(folder))
    if SIGNATURE not in loaded.signatures:
        raise ValueError("the model has no signature `%s`; there are: %s" % (SIGNATURE, ", ".join(loaded.signatures)))
    return SavedModel(loaded, tf.constant)


def quiet() -> None:
    """Ask TensorFlow, not yet imported, for warnings only, and for one thread where nothing was said of threads."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    one_for_each()


class SavedModel:
    """A signature of a SavedModel; the loaded object is kept, since it owns the variables."""

    def __init__(self, loaded: Any, constant: Any) -> None:
        self._loaded, self._constant = loaded, constant
        self._function = loaded.signatures[SIGNATURE]
        self._takes = self._function.structured_input_signature[1]
        gives = self._function.structured_outputs
        self.signature = {
            "platform": "tensorflow_savedmodel",
            "inputs": [_describe(name, spec) for name, spec in self._takes.items()],
            "outputs": [_describe(name, spec) for name, spec in gives.items()],
            "batches": all(
                spec.shape.rank and spec.shape[0] is None for spec in [*self._takes.values(), *gives.values()]
            ),
        }

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Call the signature."""
        del parameters
        tensors = {name: self._constant(inputs[name], dtype=spec.dtype) for name, spec in self._takes.items()}
        answer = self._function(**tensors)
        return {name: value.numpy() for name, value in answer.items() if not wanted or name in wanted}


def _describe(name: str, spec: Any) -> "dict[str, Any]":
    datatype = _DATATYPES.get(spec.dtype.name)
    if datatype is None or spec.shape.rank is None:
        raise ValueError("the tensor %s has the type %s, which is not served" % (name, spec))
    return tensor(name, datatype, [-1 if size is None else size for size in spec.shape])
