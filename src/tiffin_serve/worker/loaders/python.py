"""The user's own class, named as `module:Class`.

    class Predictor:
        inputs = {"text": ("BYTES", [-1])}         # optional; without it any input is taken
        outputs = {"length": ("INT64", [-1])}      # optional

        def load(self, path): ...                  # optional; path of the model's file or folder
        def predict(self, inputs): ...             # name -> array; gives an array, a list, or a dict of them

Rows of several requests share one `predict` when every declared tensor begins with -1, unless `batch = False`.
A `predict` that also names `parameters` is given the request's.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Sequence

from tiffin_serve.worker.model import Model, tensor

FORMATS = ("python",)


def load(format_: str, path: str, predictor: str) -> Model:
    """Make one object of the class and let it load."""
    del format_
    module, _, name = predictor.partition(":")
    if not module or not name:
        raise ValueError("the predictor must be `module:Class`, not `%s`" % predictor)
    made = getattr(importlib.import_module(module), name)()
    if hasattr(made, "load"):
        made.load(path)
    return PythonModel(made)


class PythonModel:
    """An object with `predict` and, where it declares them, its inputs and outputs."""

    def __init__(self, made: Any) -> None:
        self._predict = made.predict
        self._with_parameters = "parameters" in inspect.signature(made.predict).parameters
        inputs = [tensor(name, *spec) for name, spec in (getattr(made, "inputs", None) or {}).items()]
        outputs = [tensor(name, *spec) for name, spec in (getattr(made, "outputs", None) or {}).items()]
        self._names = [output["name"] for output in outputs]
        rows = bool(inputs) and all(spec["shape"][:1] == [-1] for spec in [*inputs, *outputs])
        self.signature = {
            "platform": "python_predictor",
            "inputs": inputs,
            "outputs": outputs,
            "batches": rows and bool(getattr(made, "batch", True)),
        }

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Ask the object; an answer that is no dict is the first declared output, or `predict`."""
        answer = self._predict(inputs, parameters=parameters) if self._with_parameters else self._predict(inputs)
        if not isinstance(answer, dict):
            answer = {self._names[0] if self._names else "predict": answer}
        missing = [name for name in self._names if name not in answer]
        if missing:
            raise TypeError("`predict` did not give the declared output %s" % missing[0])
        return {name: value for name, value in answer.items() if not wanted or name in wanted}
