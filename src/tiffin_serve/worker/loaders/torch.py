"""PyTorch programs: TorchScript, whose signature is unknown, and exported programs, which have one."""

from __future__ import annotations

from typing import Any, List, Sequence

from tiffin_serve.worker.model import Model, tensor
from tiffin_serve.worker.threads import threads

FORMATS = ("torchscript", "torch-export")
PREDICT = "predict"

_DATATYPES = {
    "torch.bool": "BOOL",
    "torch.uint8": "UINT8",
    "torch.int8": "INT8",
    "torch.int16": "INT16",
    "torch.int32": "INT32",
    "torch.int64": "INT64",
    "torch.float16": "FP16",
    "torch.bfloat16": "FP32",
    "torch.float32": "FP32",
    "torch.float64": "FP64",
}


def load(format_: str, path: str, predictor: str) -> Model:
    """Load the program on the CPU, with as many threads as a worker may have."""
    del predictor
    import torch

    torch.set_num_threads(threads())
    if format_ == "torchscript":
        return ScriptModel(torch.jit.load(path, map_location="cpu").eval(), torch)
    return ExportedModel(torch.export.load(path), torch)


class ScriptModel:
    """A TorchScript module: it takes any tensors, by the names of its arguments or in their order."""

    def __init__(self, module: Any, torch: Any) -> None:
        self._module, self._torch = module, torch
        self._arguments = [argument.name for argument in module.forward.schema.arguments[1:]]
        self._float = next(
            (value.dtype for value in module.parameters() if value.is_floating_point()), torch.get_default_dtype()
        )
        self.signature = {"platform": "pytorch_libtorch", "inputs": [], "outputs": [], "batches": False}

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Run the module; numbers with a point are given in the precision of its weights."""
        del parameters
        tensors = {name: self._tensor(name, value) for name, value in inputs.items()}
        with self._torch.inference_mode():
            if set(tensors) <= set(self._arguments):
                answer = self._module(**tensors)
            else:
                answer = self._module(*tensors.values())
        return _chosen(_named(answer), wanted)

    def _tensor(self, name: str, value: Any) -> Any:
        found = _to_tensor(name, value, self._torch)
        return found.to(self._float) if found.is_floating_point() else found


class ExportedModel:
    """A program of `torch.export`: its graph says names, types and shapes."""

    def __init__(self, program: Any, torch: Any) -> None:
        self._module, self._torch = program.module(), torch
        args, kwargs = _children(program.call_spec.in_spec)
        values = {node.name: node.meta.get("val") for node in program.graph.nodes}
        self._names = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
        self._positional = args.num_children
        if len(self._names) != args.num_children + kwargs.num_children:
            raise ValueError("the program takes nested or constant arguments: serve it by a class of your own")
        taken = {name: values[name] for name in self._names}
        given = _output_names(
            program.call_spec.out_spec, [values[name] for name in program.graph_signature.user_outputs]
        )
        self._keywords = list(kwargs.context or ())
        self.signature = {
            "platform": "pytorch_export",
            "inputs": [_describe(name, value) for name, value in taken.items()],
            "outputs": [_describe(name, value) for name, value in given.items()],
            "batches": _batches([*taken.values(), *given.values()]),
        }

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Run the program."""
        del parameters
        values = [_to_tensor(name, inputs[name], self._torch) for name in self._names]
        keywords = dict(zip(self._keywords, values[self._positional :]))  # noqa: B905 - strict= is Python 3.10
        with self._torch.inference_mode():
            answer = self._module(*values[: self._positional], **keywords)
        return _chosen(_named(answer), wanted)


def _children(spec: Any) -> Any:
    """Give the parts of a tree's description, which changed its interface with PyTorch 2.9."""
    return spec.children() if hasattr(spec, "children") else spec.children_specs


def _to_tensor(name: str, value: Any, torch: Any) -> Any:
    if value.dtype.kind not in "biuf":
        raise ValueError("input '%s' has texts, which are no tensor here" % name)
    return torch.from_numpy(value)


def _named(answer: Any) -> "dict[str, Any]":
    """Name what a program gave: by its own names, or `predict`, or `output_0` and so on for several."""
    if hasattr(answer, "items"):
        return {str(name): value for name, value in answer.items()}
    if isinstance(answer, (list, tuple)):
        return {_position(place, len(answer)): value for place, value in enumerate(answer)}
    return {PREDICT: answer}


def _position(place: int, count: int) -> str:
    return PREDICT if count == 1 else "output_%d" % place


def _output_names(spec: Any, values: "List[Any]") -> "dict[str, Any]":
    names = spec.context if spec.type is dict else [_position(place, len(values)) for place in range(len(values))]
    return dict(zip(map(str, names), values))  # noqa: B905 - strict= is Python 3.10


def _chosen(results: "dict[str, Any]", wanted: Sequence[str]) -> "dict[str, Any]":
    return {name: _to_numpy(value) for name, value in results.items() if not wanted or name in wanted}


def _to_numpy(value: Any) -> Any:
    if not hasattr(value, "detach"):
        return value
    value = value.detach()
    return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()


def _describe(name: str, value: Any) -> "dict[str, Any]":
    datatype = _DATATYPES.get(str(getattr(value, "dtype", "")))
    if datatype is None:
        raise ValueError("`%s` of the program is no tensor that is served: serve it by a class of your own" % name)
    return tensor(name, datatype, [size if isinstance(size, int) else -1 for size in value.shape])


def _batches(values: Sequence[Any]) -> bool:
    """Say whether the first dimension is rows: open, and the same in every input and output."""
    first = {str(value.shape[0]) if value.shape and not isinstance(value.shape[0], int) else "" for value in values}
    return len(first) == 1 and "" not in first
