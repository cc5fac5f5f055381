"""ONNX models through onnxruntime, on the CPU with as many threads as a worker may have."""

from __future__ import annotations

import json
from typing import Any, Sequence, Type

from tiffin_serve.worker.model import Model, tensor
from tiffin_serve.worker.threads import threads

FORMATS = ("onnx",)

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_MAPS = {
    "seq(map(int64,tensor(float)))": "INT64",
    "seq(map(string,tensor(float)))": "BYTES",
}
SIGNATURE = "tiffin.signature"
"""The property in which `tiffin build` keeps what a graph has no words for."""
_PROBABILITIES = ("probabilities", "output_probability")


def load(format_: str, path: str, predictor: str) -> Model:
    """Open the model in a session of its own."""
    del format_, predictor
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads(), 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a thread that waits costs no processor
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return OnnxModel(session, onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument)


class OnnxModel:
    """A session and the signature that its graph declares."""

    def __init__(self, session: Any, refusal: Type[Exception]) -> None:
        self._session = session
        self._refusal = refusal
        inputs, outputs = session.get_inputs(), session.get_outputs()
        self._all = [output.name for output in outputs]
        self._maps = {output.name for output in outputs if output.type in _MAPS}
        self.signature = {
            "platform": "onnx_onnxv1",
            "inputs": [_describe(value) for value in inputs],
            "outputs": [_describe(value) for value in outputs],
            "probability": next((name for name in self._all if name in _PROBABILITIES), ""),
            "batches": _batches([*inputs, *outputs]),
            **_kept(session.get_modelmeta().custom_metadata_map),
        }

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Run the graph for the wanted outputs."""
        del parameters
        names = list(wanted) or self._all
        try:
            values = self._session.run(names, inputs)
        except self._refusal as error:
            raise ValueError(str(error)) from error
        results = dict(zip(names, values))  # noqa: B905 - strict= is Python 3.10
        for name in self._maps.intersection(results):
            results[name] = [[row[key] for key in row] for row in results[name]]
        return results


def _kept(properties: "dict[str, str]") -> "dict[str, Any]":
    """Read what a converted model keeps beside its graph: names of columns, classes, and the output with those."""
    if SIGNATURE not in properties:
        return {}
    try:
        known = json.loads(properties[SIGNATURE])
        columns, classes, probability = (known[name] for name in ("columns", "classes", "probability"))
        good = isinstance(columns, list) and isinstance(classes, list) and isinstance(probability, str)
    except (ValueError, TypeError, KeyError):
        good = False
    if not good:
        raise ValueError("the file's property %s is none that `tiffin build` writes" % SIGNATURE)
    return {"columns": columns, "classes": classes, "probability": probability}


def _describe(value: Any) -> "dict[str, Any]":
    if value.type in _MAPS:  # what skl2onnx writes for probabilities unless told not to: one map a row
        return tensor(value.name, "FP32", [-1, -1])
    datatype = _DATATYPES.get(value.type)
    if datatype is None:
        raise ValueError("the tensor %s has the type %s, which is not served" % (value.name, value.type))
    shape = value.shape if value.shape is not None else [-1]
    return tensor(value.name, datatype, [size if isinstance(size, int) else -1 for size in shape])


def _batches(values: Sequence[Any]) -> bool:
    """Say whether the first dimension is rows: open, and of the same name in every input and output."""
    first = [value.shape[0] if value.shape else 0 for value in values if value.type not in _MAPS]
    return bool(first) and not isinstance(first[0], int) and all(size == first[0] for size in first)
