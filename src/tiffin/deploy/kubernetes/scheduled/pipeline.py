"""A pipeline on a cluster as one value: its image, when it is run, what it may use, and what it may do there."""

from __future__ import annotations

from typing import Literal

import msgspec

from tiffin.deploy.kubernetes.scheduled.times import Times
from tiffin.oci.digest import Digest

SUFFIX = "pipeline"


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What one run may use: processors, bytes of memory, whole GPUs; 0 bytes say nothing.

    `bounded` says that the memory is the most that it can need, and not only what it needs at least.
    """

    cpus: float = 1.0
    memory: int = 0
    gpus: int = 0
    bounded: bool = False


class Mounted(msgspec.Struct, frozen=True, kw_only=True):
    """Data that is a claim's: where in the project's folder it is, and the claim."""

    path: str
    claim: str


class ScheduledPipeline(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline that a cluster runs: `words` is what its image is told at its times, `by_hand` what it is told then.

    `user` is the image's, by number. `seconds` is the longest that a run can take, 0 where nothing bounds it. `state`
    is the claim on which what tiffin keeps outlives a pod; `data` is what runs read from claims. `login` is the Secret
    (`kubernetes.io/dockerconfigjson`) with which steps pull and push. `services` is what it does with services of its
    namespace, and `context` what the cluster is called where it was deployed from.
    """

    name: str
    project: str
    image: str
    digest: Digest
    times: Times
    words: tuple[str, ...]
    by_hand: tuple[str, ...]
    user: tuple[int, int] = (65532, 65532)
    room: Room = Room()
    seconds: int = 0
    state: str = ""
    data: tuple[Mounted, ...] = ()
    login: str = ""
    services: Literal["none", "read", "keep"] = "none"
    context: str = ""

    @property
    def reference(self) -> str:
        """The image as a pod names it."""
        return f"{self.image}@{self.digest}"


def name_of(project: str, pipeline: str = "") -> str:
    """What the objects of a project's pipeline are called; never as its service, whose objects are pruned by name."""
    return f"{project}-{SUFFIX}-{pipeline.replace('_', '-')}" if pipeline else f"{project}-{SUFFIX}"
