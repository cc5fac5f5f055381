"""What tiffin.toml may say about keeping a service running: `[deploy]`, and `[environment.NAME]` that overrides it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tiffin.config.section import Section

Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class ReplicasSection(Section, frozen=True, kw_only=True):
    """Between how many replicas a service is kept; the load decides.

    Where `min` is 0, the last one goes after `idle_seconds` without a request; `warm` keeps its model loaded.
    """

    min: Count = 1
    max: Annotated[int, msgspec.Meta(ge=1)] = 1
    idle_seconds: Annotated[float, msgspec.Meta(gt=0)] = 60
    warm: bool = False


class ProbeSection(Section, frozen=True, kw_only=True):
    """Which paths an image that is not tiffin's answers: whether it is ready, and whether it lives."""

    ready: str = ""
    live: str = ""


class RolloutSection(Section, frozen=True, kw_only=True):
    """How a new revision takes the place of the old one; `rollback_on_failure` gives one up that does not come up."""

    max_surge: Count = 1
    max_unavailable: Count = 0
    min_ready_seconds: Seconds = 0
    progress_seconds: Annotated[float, msgspec.Meta(gt=0)] = 600
    history: Annotated[int, msgspec.Meta(ge=1)] = 10
    rollback_on_failure: bool = False


class DeploySection(Section, frozen=True, kw_only=True):
    """How a service is kept, on whatever target; `data` and `secrets` say what is behind the names the image asks for.

    `data` names a folder or a volume of the machine, or a claim of the cluster, for each `[[data]]`; `secrets` names a
    file of the machine, or a Secret of the cluster, for each file that the container reads in /run/secrets. `push` is
    the name in a registry by which the project's image goes to a cluster. `port` and `probe` are for images that are
    not tiffin's; `network` is what replicas may reach.
    """

    replicas: Count | ReplicasSection = 1
    target_concurrency: Annotated[float, msgspec.Meta(gt=0)] = 8
    cpu: str = "1"
    memory: str = "1Gi"
    gpus: Count = 0
    env: dict[str, str] = msgspec.field(default_factory=dict)
    secrets: dict[str, str] = msgspec.field(default_factory=dict)
    data: dict[str, str] = msgspec.field(default_factory=dict)
    host: str = ""
    push: str = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    probe: ProbeSection = ProbeSection()
    network: Literal["none", "user", "host"] = "none"
    rollout: RolloutSection = RolloutSection()


class PrometheusSection(Section, frozen=True, kw_only=True):
    """The Prometheus of a cluster: where KEDA asks it, its namespace, and the labels by which it finds what to read."""

    address: str = ""
    namespace: str = "monitoring"
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class EnvironmentSection(Section, frozen=True, kw_only=True):
    """One place a service is deployed to by name: its target, and what differs there from `[deploy]`.

    `gateway` ([NAMESPACE/]NAME), `pull_secrets`, `prometheus` and `kserve` are a cluster's. `name` is what the service
    is called there, where that is not the project's name; `approval` has a release wait for `--approve`.
    """

    target: Literal["local", "kubernetes"] = "local"
    name: str = ""
    approval: bool = False
    kube_context: str = ""
    namespace: str = ""
    gateway: str = ""
    pull_secrets: tuple[str, ...] = ()
    prometheus: PrometheusSection = PrometheusSection()
    kserve: bool = False
    replicas: Count | ReplicasSection | UnsetType = UNSET
    target_concurrency: Annotated[float, msgspec.Meta(gt=0)] | UnsetType = UNSET
    cpu: str | UnsetType = UNSET
    memory: str | UnsetType = UNSET
    gpus: Count | UnsetType = UNSET
    env: dict[str, str] | UnsetType = UNSET
    secrets: dict[str, str] | UnsetType = UNSET
    data: dict[str, str] | UnsetType = UNSET
    host: str | UnsetType = UNSET
    push: str | UnsetType = UNSET
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | UnsetType | None = UNSET
    probe: ProbeSection | UnsetType = UNSET
    network: Literal["none", "user", "host"] | UnsetType = UNSET
    rollout: RolloutSection | UnsetType = UNSET

    def over(self, deploy: DeploySection) -> DeploySection:
        """Put what is said here in the place of what is said there, key by key."""
        changes: dict[str, Any] = {
            key: value for key in DeploySection.__struct_fields__ if (value := getattr(self, key)) is not UNSET
        }
        return msgspec.structs.replace(deploy, **changes)
