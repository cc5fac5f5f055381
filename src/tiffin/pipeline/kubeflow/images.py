"""Which image each step runs in on a cluster, and how a Python function is started there."""

from __future__ import annotations

import msgspec

from tiffin.pipeline.graph import Action, Importer, Step


class Images(msgspec.Struct, frozen=True, kw_only=True):
    """Images by digest: `project` has the environment and the code in it, `pinned` others by what steps call them.

    `python` starts the interpreter in `project`. Kubeflow's cache knows an image by its name: with a tag it would hand
    out what another image gave.
    """

    project: str = ""
    pinned: dict[str, str] = {}
    python: tuple[str, ...] = ("python3",)

    def of(self, step: Step) -> str:
        """The image that a step runs in; empty for what runs in none."""
        if isinstance(step.does, Action | Importer):
            return ""
        return self.pinned.get(step.does.image, step.does.image) if step.does.image else self.project
