"""What every loader gives: a signature to announce, and a way to predict."""

from __future__ import annotations

from typing import Any, Protocol, Sequence, Tuple


class Model(Protocol):
    """A loaded model."""

    signature: "dict[str, Any]"
    """What the hello announces (spec/frames.md): platform, inputs, outputs, columns, classes, probability, batches.

    One whose signature says `streams` has `stream` as well, which takes what `predict` takes and gives its answer in
    parts.
    """

    def predict(
        self, inputs: "dict[str, Any]", wanted: Sequence[str], parameters: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Predict from one value a tensor; gives the `wanted` outputs, or all where none is named.

        A ValueError says that the input is to blame.
        """
        ...


class Loader(Protocol):
    """A module that loads models."""

    @property
    def FORMATS(self) -> Tuple[str, ...]:  # noqa: N802 - a module's constant
        """The formats it loads."""
        ...

    def load(self, format_: str, path: str, predictor: str) -> Model:
        """Load the model at `path`, or make the user's `predictor`; raises whatever goes wrong."""
        ...


def tensor(name: str, datatype: str, shape: Sequence[int]) -> "dict[str, Any]":
    """Describe a tensor for a signature; -1 is any length."""
    return {"name": name, "datatype": datatype, "shape": list(shape)}
