"""The names that Kubeflow's own compiler gives things, so that its pages look the same whoever compiled."""

from __future__ import annotations

import re

_OTHER = re.compile(r"[^0-9a-z]+")
PIPELINE = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
"""What the API server takes as a pipeline's name."""


def plain(name: str) -> str:
    """A name as Kubernetes has them: small letters, digits, and single hyphens within."""
    return _OTHER.sub("-", name.lower()).strip("-")


def component(part: str) -> str:
    """The component that a task, a branch, a loop or a group is a call of."""
    return f"comp-{plain(part)}"


def executor(task: str) -> str:
    """The container that a task runs."""
    return f"exec-{plain(task)}"


def channel(full: str) -> str:
    """The input by which something from outside reaches the inside of a branch, a loop or a group."""
    return f"pipelinechannel--{full}"


def selected(full: str, path: tuple[str | int, ...]) -> str:
    """What a part of a dict or list is called, after what it is a part of."""
    return full + "".join(f"-subvar-{key}" for key in path)
