"""What a pipeline's function has noted so far, and the document that it becomes."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Union

from tiffin_pipeline.errors import Place
from tiffin_pipeline.operands import Scope


class Task:
    """A call of a step, as it is changed by what is called on its handle."""

    def __init__(self, step: str, inputs: Dict[str, Any], place: Place, scope: Scope) -> None:
        """Begin without a name: what nobody names has its step's, once all that are named are known."""
        self.step = step
        self.inputs = inputs
        self.place = place
        self.scope = scope
        self.name = ""
        self.after: List[Union[Task, str]] = []
        self.settings: Dict[str, Any] = {}

    def document(self, root: str) -> Dict[str, Any]:
        """As the tool reads it."""
        document: Dict[str, Any] = {"node": "task", "name": self.name, "step": self.step}
        if self.inputs:
            document["inputs"] = {name: written(source) for name, source in self.inputs.items()}
        if self.after:
            names = [one if isinstance(one, str) else one.name for one in self.after]
            document["after"] = list(dict.fromkeys(names))
        return {**document, **self.settings, "place": self.place.document(root)}


class Branch(NamedTuple):
    """What is done where a condition holds."""

    name: str
    condition: Optional[Dict[str, Any]]
    body: List[Any]

    def document(self, root: str) -> Dict[str, Any]:
        """As the tool reads it."""
        document: Dict[str, Any] = {"name": self.name}
        if self.condition is not None:
            document["condition"] = written(self.condition)
        return {**document, "body": [node.document(root) for node in self.body]}


class When(NamedTuple):
    """Branches of which one is taken."""

    name: str
    place: Place
    branches: List[Branch]

    def document(self, root: str) -> Dict[str, Any]:
        """As the tool reads it."""
        branches = [branch.document(root) for branch in self.branches]
        return {"node": "when", "name": self.name, "place": self.place.document(root), "branches": branches}


class Several(NamedTuple):
    """A body with a name: a loop, which has items, or a group."""

    name: str
    place: Place
    body: List[Any]
    settings: Dict[str, Any]

    def document(self, root: str) -> Dict[str, Any]:
        """As the tool reads it."""
        document = {**written(self.settings), "name": self.name, "place": self.place.document(root)}
        return {**document, "body": [node.document(root) for node in self.body]}


def written(source: Any) -> Any:
    """A source or condition with the names of tasks, which are known by now, for the tasks."""
    if isinstance(source, Task):
        return source.name
    if isinstance(source, dict):
        return {key: written(value) for key, value in source.items()}
    if isinstance(source, (list, tuple)):
        return [written(one) for one in source]
    return source
