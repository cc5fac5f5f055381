"""What is asked of a task: its key, for which the content of all that it reads has to be known."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

import msgspec

from tiffin.oci.digest import Digest
from tiffin.pipeline.graph import Importer, Step
from tiffin.pipeline.keeping.key import key_document, key_of
from tiffin.pipeline.meaning.addresses import address_of, facts_of, path_at
from tiffin.pipeline.results import Artifact
from tiffin.pipeline.running.means import Means
from tiffin.pipeline.running.schedule import Ready
from tiffin.pipeline.workbench import Input

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a task: its key, and the artifacts that it reads, of which `read` lie where users have them.

    The `gpus` that it has for the time being are no part of the key.
    """

    ready: Ready
    document: bytes
    key: Digest
    inputs: dict[str, tuple[Artifact | Input, ...]]
    read: tuple[Input, ...]
    gpus: tuple[str, ...] = ()


class Asking:
    """Knows what the tasks of one run are asked by; each identity and each argument is looked at once."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._identities = _Once[str, dict[str, str]]()
        self._arguments = _Once[tuple[str, str], Input]()

    def asked(self, ready: Ready) -> Asked:
        """The key of a task that may begin; raises what keeps its inputs or its environment from being had."""
        step = ready.step
        inputs = {name: tuple(self._there(each, step, name) for each in some) for name, some in ready.artifacts.items()}
        identity = self._identities.get(step.name, lambda: self._means.workbench.identity(step))
        document = key_document(step, identity, ready.values, inputs)
        read = tuple(each for some in inputs.values() for each in some if isinstance(each, Input))
        return Asked(ready=ready, document=document, key=key_of(document), inputs=inputs, read=read)

    def imported(self, ready: Ready) -> dict[str, Input] | None:
        """What an importer takes from this machine: nothing is made, and nothing kept. None for all else that is done.

        What lies elsewhere has to be had before, and is done as other steps are.
        """
        does = ready.step.does
        if not isinstance(does, Importer):
            return None
        uri = address_of(does, ready.values, ready.name)
        if not (path := path_at(uri)):
            return None
        facts = facts_of(does, ready.values)
        return {
            name: msgspec.structs.replace(self._look(path, port.type), uri=uri, metadata=facts)
            for name, port in ready.step.outputs.items()
        }

    def _look(self, path: str, type_: str) -> Input:
        """What lies at a path that somebody wrote."""
        return self._arguments.get((path, type_), lambda: self._means.look(Path(path), type_))

    def _there(self, each: Any, step: Step, name: str) -> Artifact | Input:
        """An artifact as it is; a path as what lies there."""
        return each if isinstance(each, Artifact | Input) else self._look(str(each), step.inputs[name].type)


def may_be_kept(ready: Ready, force: frozenset[str]) -> bool:
    """Say whether a result that is kept will do, by what the step, the task and whoever runs it say."""
    forced = not force.isdisjoint((ready.name, ready.task.name, ready.step.name))
    return ready.task.cached and ready.step.cached and not forced


class _Once(Generic[K, V]):
    """Values that take a while to make: each is made once, however many ask for it at the same time."""

    def __init__(self) -> None:
        self._made: dict[K, V] = {}
        self._making: dict[K, Lock] = {}
        self._guard = Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        with self._guard:
            making = self._making.setdefault(key, Lock())
        with making:
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]
