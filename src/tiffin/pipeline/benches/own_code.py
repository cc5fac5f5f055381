"""What steps have of a project's code, whatever they are done in; and by what of it they are known."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tiffin.oci.digest import Digest
from tiffin.pipeline.benches.code import Code
from tiffin.pipeline.benches.step_code import StepCode, all_of_it
from tiffin.pipeline.graph import Command, Function, Step, is_ready

CODE, LANGUAGE = "/pipeline", "/tiffin/pipeline"
"""Where a step's code and the package that it imports from tiffin lie in a container."""
Reduces = Callable[[Code, str, str], StepCode]
"""Gives what of the code a function of a module can reach."""


class OwnCode:
    """The code of a project and the language it is written in, each had when it is needed first."""

    def __init__(self, code: Callable[[], Code], language: Callable[[], Code], reduced: Reduces = all_of_it) -> None:
        self._code, self.language, self._reduces = code, language, reduced
        self._reduced: dict[tuple[str, str], StepCode] = {}
        self._one = threading.Lock()

    def all(self) -> Code:
        """All of it."""
        with self._one:
            return self._code()

    def of(self, step: Step) -> StepCode:
        """What a step has of it: a function what it can reach, and a program all of it."""
        code = self.all()
        if not isinstance(step.does, Function) or not step.does.name:
            return StepCode(code=code)
        does = (step.does.module, step.does.name)
        with self._one:
            if does not in self._reduced:
                self._reduced[does] = self._reduces(code, *does)
            return self._reduced[does]

    def identity(self, step: Step) -> dict[str, str]:
        """By which code a step's results are known, where it is done with any of the project's."""
        found: dict[str, str] = {"code": self.of(step).code.digest} if is_own(step) else {}
        if isinstance(step.does, Function) and is_ready(step.does.module):
            found["language"] = self.language().digest
        return found

    def reads_with(self) -> dict[str, Digest]:
        """By which code it is known what a pipeline's file says."""
        return {"code": self.all().digest, "language": self.language().digest}


def is_own(step: Step) -> bool:
    """Whether a step is done with the project's code."""
    return isinstance(step.does, Function) or (isinstance(step.does, Command) and not step.does.image)
