"""Words of a command with the placeholders that Kubeflow's launcher and driver put values in for."""

from __future__ import annotations

import json
from typing import Any

from tiffin.pipeline.graph import Executor, IfGiven, InputPath, Joined, OutputPath, Step, Value, Word


def word(said: str | Word, step: Step) -> str:
    """A word as the container's argument; what depends on an input, or joins such, is JSON that the driver resolves."""
    made = _made(said, step, single=False)
    return made if isinstance(made, str) else json.dumps(made)


def _made(said: str | Word, step: Step, *, single: bool) -> Any:
    match said:
        case str():
            return said
        case IfGiven():
            return {"IfPresent": _branches(said, step, single=single)}
        case Joined(words=words):
            made = [_made(inner, step, single=True) for inner in words]
            return "".join(made) if all(isinstance(one, str) for one in made) else {"Concat": made}
        case _:
            return _placeholder(said, step)


def _branches(said: IfGiven, step: Step, *, single: bool) -> dict[str, Any]:
    made = {"InputName": said.input, "Then": _several(said.then, step, single=single)}
    return {**made, "Else": _several(said.otherwise, step, single=single)} if said.otherwise else made


def _several(words: tuple[str | Word, ...], step: Step, *, single: bool) -> Any:
    """Words of one branch: a list of them, but one word where they are a piece of another."""
    if single:
        return _made(Joined(words=words), step, single=True)
    return [_made(inner, step, single=False) for inner in words]


def _placeholder(said: Value | InputPath | OutputPath | Executor, step: Step) -> str:
    match said:
        case Value(input=name):
            return f"{{{{$.inputs.parameters['{name}']}}}}"
        case InputPath(input=name, uri=uri):
            return f"{{{{$.inputs.artifacts['{name}'].{'uri' if uri else 'path'}}}}}"
        case OutputPath(output=name) if step.outputs[name].is_parameter:
            return f"{{{{$.outputs.parameters['{name}'].output_file}}}}"
        case OutputPath(output=name, uri=uri):
            return f"{{{{$.outputs.artifacts['{name}'].{'uri' if uri else 'path'}}}}}"
        case Executor(answer=answer):
            return "{{$.outputs.output_file}}" if answer else "{{$}}"
