"""Which of a request's tensors is which of the model's, whatever protocol they came in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from tiffin_serve.protocol.call import Tensor
from tiffin_serve.protocol.datatypes import DATATYPES, Datatype
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.raw import weave
from tiffin_serve.protocol.signature import Signature, TensorSpec

SHOWN = 20


class Sent(Protocol):
    """An input as a client sent it."""

    @property
    def name(self) -> str:
        """What the client calls it."""
        ...

    @property
    def datatype(self) -> str:
        """What the client says its values are."""
        ...


S = TypeVar("S", bound=Sent)


def datatype_of(item: Sent) -> Datatype:
    """Give the datatype that an input names; raises RequestError where there is none such."""
    datatype = DATATYPES.get(item.datatype)
    if datatype is None:
        raise RequestError(f"input '{item.name}': unknown datatype '{item.datatype}'")
    return datatype


def check_output(name: str, signature: Signature) -> None:
    """Raise RequestError for an output that the model, which says what it gives, does not give."""
    known = {spec.name for spec in signature.outputs}
    if known and name not in known:
        raise RequestError(f"unknown output '{name}'; the model gives {_names(known)}")


def by_name(inputs: Sequence[S]) -> dict[str, S]:
    """Give inputs by their names; raises RequestError where one comes twice."""
    named = {item.name: item for item in inputs}
    if len(named) != len(inputs):
        twice = next(item.name for position, item in enumerate(inputs) if named[item.name] is not inputs[position])
        raise RequestError(f"input '{twice}' is given twice")
    return named


def match(sent: Mapping[str, S], signature: Signature, read: Callable[[S, TensorSpec], Tensor]) -> tuple[Tensor, ...]:
    """Give the model its inputs in its order, each read as it wants it; the columns of its one matrix are woven.

    Raises RequestError for names that are missing or that the model does not know.
    """
    if len(signature.inputs) == 1 and sent.keys() == set(signature.columns):
        return (_weave(sent, signature, read),)
    wanted = [spec.name for spec in signature.inputs]
    for name in sent:
        if name not in wanted:
            raise RequestError(f"unknown input '{name}'; the model takes {_names(wanted)}")
    for name in wanted:
        if name not in sent:
            raise RequestError(f"input '{name}' is missing; the model takes {_names(wanted)}")
    return tuple([read(sent[spec.name], spec) for spec in signature.inputs])


def _weave(sent: Mapping[str, S], signature: Signature, read: Callable[[S, TensorSpec], Tensor]) -> Tensor:
    """Weave one tensor a column into the model's single matrix."""
    (matrix,) = signature.inputs
    columns = [read(sent[name], TensorSpec(name, matrix.datatype, (-1, 1))) for name in signature.columns]
    rows = columns[0].shape[0]
    for column in columns:
        if column.shape[0] != rows:
            raise RequestError(f"input '{column.name}' has {column.shape[0]} rows, '{columns[0].name}' has {rows}")
    woven = weave([column.data for column in columns], DATATYPES[matrix.datatype])
    return Tensor(matrix.name, matrix.datatype, (rows, len(columns)), woven)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)[:SHOWN])
