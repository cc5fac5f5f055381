"""What every target reads alike: a service, before it runs anywhere. `Service x Observed -> Changes` is pure."""

from __future__ import annotations

import msgspec

from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """What a container sees at `path`: a folder or volume of the machine, or a claim of the cluster, by `source`."""

    name: str
    path: str
    source: str
    write: bool = False


class SecretFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the container's user alone reads at `/run/secrets/NAME`.

    `source` is a file of the machine, or a Secret of the cluster (`SECRET` or `SECRET/KEY`).
    """

    name: str
    source: str


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """How to hear whether a container is ready, and whether it lives: HTTP paths, or no more than an open port."""

    ready: str = ""
    live: str = ""


SERVER = Probe(ready="/v2/health/ready", live="/v2/health/live")
"""What an image of tiffin's answers (Open Inference Protocol, "Health")."""


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What one replica may use: processors, bytes of memory, whole GPUs; 0 asks for nothing."""

    cpus: float = 1.0
    memory: int = 1 << 30
    gpus: int = 0


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Weights in an image of their own, with its files below `/models`, as KServe and Kubeflow expect them.

    A target that can mount an image shows them at `path`. `inside` says that the service's image has the same files
    there as well, so that one that cannot, or need not for so few bytes (`size`), loses nothing. `rest` is the digest
    of the service's image without them, which is enough where they are mounted.
    """

    image: str
    digest: Digest
    path: str = "/models"
    size: int = 0
    inside: bool = True
    rest: Digest | None = None

    @property
    def reference(self) -> str:
        """The image as every puller takes it."""
        return f"{self.image}@{self.digest}"


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """What one replica is made of; two templates that differ are two revisions.

    `image` is how whoever pulls names it, without its digest; `ports` are what it listens on by name (`http`, `grpc`,
    `metrics`), and `inherits` says that it can take those sockets from its starter (`dev.tiffin.sockets`). `network` is
    what it may reach: nothing, the outside (`user`), or all that the machine reaches (`host`). `engine` is what runs it
    on one machine, where that is not what its supervisor runs all others with. The seconds are how long it may load,
    how long a request may take, and how long it goes on accepting when it is told to stop.
    """

    image: str
    digest: Digest
    ports: dict[str, int]
    inherits: bool = True
    probe: Probe = SERVER
    user: tuple[int, int] = (65532, 65532)
    env: dict[str, str] = {}
    secrets: tuple[SecretFile, ...] = ()
    data: tuple[Data, ...] = ()
    resources: Resources = Resources()
    weights: Weights | None = None
    network: str = "none"
    engine: str = ""
    load_seconds: float = 600.0
    deadline_seconds: float = 30.0
    drain_seconds: float = 1.0

    @property
    def reference(self) -> str:
        """The image as every puller takes it."""
        return f"{self.image}@{self.digest}"


class Replicas(msgspec.Struct, frozen=True, kw_only=True):
    """Between how many replicas; the load decides where they differ. `concurrency` is what one of them should have.

    Where there may be none, the last one goes when there was no request for `idle_seconds`; `warm` lets it stay, with
    the model loaded and nothing running.
    """

    least: int = 1
    most: int = 1
    concurrency: float = 8.0
    idle_seconds: float = 60.0
    warm: bool = False

    @property
    def scales(self) -> bool:
        """Whether their number follows the load."""
        return self.least != self.most


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """How a new revision takes the place of the old one.

    `surge` replicas more than wanted may run meanwhile, `unavailable` fewer may be ready. One counts once it has been
    ready for `ready_seconds`; a rollout that brings nothing forward for `progress_seconds` is given up. `history`
    revisions are kept to go back to. `rollback` takes one back that is given up; a supervisor of ours always does that.
    """

    surge: int = 1
    unavailable: int = 0
    ready_seconds: float = 0.0
    progress_seconds: float = 600.0
    history: int = 10
    rollback: bool = False


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service as wanted. `host` is the name it is reached by from outside, where the target has an edge."""

    name: str
    template: Template
    replicas: Replicas = Replicas()
    rollout: Rollout = Rollout()
    host: str = ""


def revision_of(template: Template) -> Digest:
    """Name a revision by what its replicas are made of: scaling is no new one, and going back is the old one."""
    return Digest.of(encode(template))
