"""What running a compiled pipeline here has to say before it begins, each with its place."""

from __future__ import annotations

import msgspec

from tiffin.errors import UnsupportedError
from tiffin.pipeline.kubeflow.document import Path, place_of
from tiffin.pipeline.kubeflow.validate import Spec

_SHOWN = 5


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is otherwise here, or is not done: where, what, and what to do about it."""

    at: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.at}: {self.message}" if self.at else self.message


class Remarks:
    """Gathers remarks, each once: `told` changes nothing for the steps, `refused` would."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.told: list[Remark] = []
        self.refused: list[Remark] = []

    def tell(self, path: Path, message: str) -> None:
        """Something here is not as on a cluster, and the steps do the same nevertheless."""
        self._add(self.told, path, message, "")

    def refuse(self, path: Path, message: str, hint: str) -> None:
        """Something is not done here, and a step would do something else without it."""
        self._add(self.refused, path, message, hint)

    def _add(self, remarks: list[Remark], path: Path, message: str, hint: str) -> None:
        remark = Remark(at=self._spec.at(path), message=f"{message} - at {place_of(path)}", hint=hint)
        if remark not in remarks:
            remarks.append(remark)


def refuse_to_run(remarks: tuple[Remark, ...]) -> None:
    """Raise UnsupportedError with everything that keeps a pipeline from being run here, if anything does."""
    if not remarks:
        return
    more = f"\n… and {len(remarks) - _SHOWN} more" if len(remarks) > _SHOWN else ""
    raise UnsupportedError("\n".join(map(str, remarks[:_SHOWN])) + more, remarks[0].hint)
