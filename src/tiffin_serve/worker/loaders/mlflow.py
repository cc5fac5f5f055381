"""MLflow's model folders of any flavor, through `mlflow.pyfunc`; the signature is the one in `MLmodel`."""

from __future__ import annotations

from typing import Any, Sequence

from tiffin_serve.worker.model import Model, tensor
from tiffin_serve.worker.threads import one_for_each

FORMATS = ("mlflow",)
INPUT, PREDICT = "input", "predict"

_TYPES = {
    "boolean": ("BOOL", "?"),
    "integer": ("INT32", "i4"),
    "long": ("INT64", "i8"),
    "float": ("FP32", "f4"),
    "double": ("FP64", "f8"),
    "string": ("BYTES", "O"),
}
_KINDS = {"b": "BOOL", "i": "INT", "u": "UINT", "f": "FP"}


def load(format_: str, path: str, predictor: str) -> Model:
    """Let MLflow load the folder."""
    del format_, predictor
    one_for_each()
    import mlflow.pyfunc

    return MlflowModel(mlflow.pyfunc.load_model(path))


class MlflowModel:
    """A pyfunc: it is given a DataFrame, or tensors where its signature has tensors."""

    def __init__(self, model: Any) -> None:
        import pandas as pd

        self._model, self._frame = model, pd.DataFrame
        takes, gives = model.metadata.get_input_schema(), model.metadata.get_output_schema()
        self._tensors = takes is not None and takes.is_tensor_spec()
        columns = _columns(takes) if takes is not None and not self._tensors else []
        self._matrix = [name for name, type_ in columns] if {type_ for _, type_ in columns} == {"double"} else []
        if self._matrix:
            inputs = [tensor(INPUT, "FP64", [-1, len(columns)])]
        elif self._tensors:
            inputs = _tensors(takes, INPUT)
        else:
            inputs = [tensor(name, _TYPES[type_][0], [-1, 1]) for name, type_ in columns]
        self._types = {name: _TYPES[type_][1] for name, type_ in columns}
        params = model.metadata.get_params_schema()
        self._params = {spec.name for spec in params} if params is not None else set()
        self.signature = {
            "platform": "mlflow_pyfunc",
            "inputs": inputs,
            "outputs": _outputs(gives),
            "columns": self._matrix,
            "batches": bool(inputs) and all(spec["shape"][:1] == [-1] for spec in inputs),
        }

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Ask the pyfunc; the columns of a DataFrame that it gives are outputs of their own."""
        params = {name: value for name, value in parameters.items() if name in self._params}
        try:
            answer = self._model.predict(self._build(inputs), **({"params": params} if params else {}))
        except Exception as error:
            if type(error).__name__ == "MlflowException":  # how MLflow refuses what does not fit the signature
                raise ValueError(str(error)) from error
            raise
        results = self._named(answer)
        return {name: value for name, value in results.items() if not wanted or name in wanted}

    def _build(self, inputs: "dict[str, Any]") -> Any:
        if self._tensors:
            return inputs[INPUT] if list(inputs) == [INPUT] else inputs
        if self._matrix:
            return self._frame(inputs[INPUT], columns=self._matrix)
        if list(inputs) == [INPUT] and INPUT not in self._types:
            return self._frame(inputs[INPUT])
        return self._frame(
            {name: value.ravel().astype(self._types.get(name, value.dtype)) for name, value in inputs.items()}
        )

    def _named(self, answer: Any) -> "dict[str, Any]":
        if isinstance(answer, self._frame):
            return {str(name): answer[name].to_numpy() for name in answer.columns}
        if isinstance(answer, dict):
            return answer
        outputs = self.signature["outputs"]
        return {outputs[0]["name"] if len(outputs) == 1 else PREDICT: answer}


def _columns(schema: Any) -> Any:
    """Give names and types of columns; none where one is no plain value, so that anything is taken."""
    columns = [(str(spec.name), getattr(spec.type, "name", "")) for spec in schema.inputs if spec.name is not None]
    known = len(columns) == len(schema.inputs) and all(type_ in _TYPES for _, type_ in columns)
    return columns if known else []


def _outputs(schema: Any) -> Any:
    if schema is None:
        return []
    if schema.is_tensor_spec():
        return _tensors(schema, PREDICT)
    types = [getattr(spec.type, "name", "") for spec in schema.inputs]
    if not all(type_ in _TYPES for type_ in types):
        return []
    names = [spec.name if spec.name is not None else PREDICT for spec in schema.inputs]
    return [tensor(str(name), _TYPES[type_][0], [-1]) for name, type_ in zip(names, types)]  # noqa: B905 - Python 3.9


def _tensors(schema: Any, name: str) -> Any:
    return [tensor(str(spec.name or name), _datatype(spec.type), list(spec.shape)) for spec in schema.inputs]


def _datatype(dtype: Any) -> str:
    if dtype.kind == "b" or dtype.kind not in _KINDS:
        return _KINDS.get(dtype.kind, "BYTES")
    return "%s%d" % (_KINDS[dtype.kind], dtype.itemsize * 8)
