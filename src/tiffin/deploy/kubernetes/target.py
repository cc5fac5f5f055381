"""A namespace of a cluster as a target: services are kept there by the cluster's own controllers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tiffin.deploy.kubernetes import logs
from tiffin.deploy.kubernetes.changes import changed, removed
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import DEPLOYMENT, EVENT, REPLICA_SET
from tiffin.deploy.kubernetes.forwarding import Forwarding
from tiffin.deploy.kubernetes.keeping import Keeper
from tiffin.deploy.kubernetes.kserve import KServeTarget, kept_by_kserve, names_of_kserve
from tiffin.deploy.kubernetes.manifests.cluster import Canary, Cluster, Surroundings
from tiffin.deploy.kubernetes.manifests.render import canary_share
from tiffin.deploy.kubernetes.observe import belongings, cluster_of, names, observe
from tiffin.deploy.kubernetes.order import surplus
from tiffin.deploy.kubernetes.reaching import dialled, port_of, reached
from tiffin.deploy.kubernetes.replica import Replica
from tiffin.deploy.kubernetes.revisions import (
    CAUSE,
    SERVICE,
    SUFFIX,
    annotations_of,
    as_before,
    rendered,
    revision_before,
    service_of,
)
from tiffin.deploy.kubernetes.revisions import canary_share as canary_weight
from tiffin.deploy.kubernetes.status import status_of
from tiffin.deploy.kubernetes.taking_back import taking_back
from tiffin.deploy.kubernetes.waiting import Rollout
from tiffin.deploy.kubernetes.why import decisions, number_of, owned_by
from tiffin.deploy.service import Service, revision_of
from tiffin.deploy.target import Change, Decision, Revision, Status
from tiffin.engine.spec import LogLine
from tiffin.errors import ConflictError, NotFoundError, UnsupportedError
from tiffin.progress import note

Object = dict[str, Any]
RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""The annotation of pods by which a rollout of the same is begun, as kubectl does."""
_FAR = 10.0
"""Percent that a canary's share may be beyond what was asked for."""


class KubernetesTarget:
    """Services in one namespace; what others have set is a conflict, unless `force` takes it over.

    `gateway` is the Gateway that leads to hosts, as NAMESPACE/NAME; by default that of the service's route, or the one
    that the cluster has.
    """

    def __init__(
        self, api: Api, namespace: str, *, force: bool = False, gateway: str = "", said: Surroundings | None = None
    ) -> None:
        """Keep services there; nothing is asked yet. `said` is of the cluster; None is what was said before."""
        self._gateway, self._said = gateway, said
        self.namespace = namespace
        self._api = api
        self._keeper = Keeper(api, namespace, force=force)

    def plan(self, service: Service) -> Sequence[Change]:
        """Say what `apply` would do: the cluster is asked for a dry run of it."""
        cluster = self._cluster(service.name)
        objects = rendered(service, cluster, self._canary_of(service.name))
        there = [] if cluster.makes_namespace else [*belongings(self._api, self.namespace, service.name)]
        if cluster.makes_namespace:  # nothing can be tried in a namespace that is not there
            return [changed(None, one) for one in objects]
        return [*(self._keeper.tried(one) for one in objects), *removed(surplus(there, objects))]

    def apply(self, service: Service) -> Status:
        """Make it so, wait until it is available, and remove what it needs no more."""
        found = self._find(service.name)
        before = service_of(found) if found and annotations_of(found).get(SERVICE) else None
        with taking_back(service, before, self._apply, self.delete):
            return self._apply(service, f"tiffin deploy {service.template.reference}")

    def _apply(self, service: Service, why: str, canary: tuple[Service, float] | None = None) -> Status:
        """Apply a service; without a word of a canary, one that is there stays as it is."""
        canary = canary or self._canary_of(service.name)
        if self._by_kserve(service.name):
            hint = f"say `--kserve`, or `tiffin delete {service.name}` first: both would have a Service of that name"
            raise ConflictError(f"{service.name} is kept by KServe", hint)
        cluster = self._cluster(service.name)
        objects = rendered(service, cluster, canary, why)
        self._keeper.keep(service.name, objects)
        return self._rollout(service, service.name).wait(revision_of(service.template))

    def status(self, name: str) -> Status:
        """Look at a service; raises NotFoundError."""
        if self._by_kserve(name):
            return self._kserve.status(name)
        return status_of(observe(self._api, self.namespace, name))

    def list(self) -> Sequence[Status]:
        """Every service that tiffin keeps in the namespace, by name."""
        by_kserve = set(names_of_kserve(self._api, self.namespace))
        return [
            self._kserve.status(name)
            if name in by_kserve
            else status_of(observe(self._api, self.namespace, name, logs=False))
            for name in sorted({*names(self._api, self.namespace), *by_kserve})
        ]

    def delete(self, name: str) -> None:
        """Remove a service and all that belongs to it, what starts pods first; raises NotFoundError."""
        there = [*belongings(self._api, self.namespace, name)]
        if not there:
            raise NotFoundError(f"no service {name} in the namespace {self.namespace}", "`tiffin status` lists them")
        self._keeper.remove(surplus(there, []))

    def scale(self, name: str, least: int, most: int) -> None:
        """Keep it between so many replicas from now on; an autoscaler comes or goes with that."""
        if self._by_kserve(name):
            self._kserve.scale(name, least, most)
            return
        service = self._service(name)
        replicas = msgspec.structs.replace(service.replicas, least=least, most=most)
        service = msgspec.structs.replace(service, replicas=replicas)
        cluster = self._cluster(name)
        self._keeper.keep(service.name, rendered(service, cluster, self._canary_of(name)))

    def history(self, name: str) -> Sequence[Revision]:
        """The revisions that are kept, newest first."""
        return status_of(observe(self._api, self.namespace, name, logs=False)).revisions

    def rollback(self, name: str, number: int | None = None) -> Status:
        """Go back: a canary is given up, and without one an earlier revision is applied as it was."""
        live = self._live(name)
        if number is None and (canary := self._find(name + SUFFIX)):
            return self._give_up(name, canary)
        owned = [one for one in self._api.list(REPLICA_SET, self.namespace) if owned_by(one, live)]
        earlier = revision_before(name, owned, number)
        service = as_before(service_of(earlier), self._service(name))
        return self._apply(service, f"tiffin rollback to revision {number_of(earlier)}")

    def canary(self, service: Service, percent: float) -> Status:
        """Start a revision beside the one that is there, and give it that share of the requests."""
        stable = self._service(service.name)
        if revision_of(stable.template) == revision_of(service.template):
            raise ConflictError(
                f"this is the revision of {service.name} that is there", "change it, or leave `--canary` out"
            )
        cluster = self._cluster(service.name)
        share = canary_share(stable, cluster, Canary(template=service.template, percent=percent))
        if share - percent > _FAR:
            raise UnsupportedError(
                f"a canary of {service.name} would have {share:.0f} % of requests: without a route they go by replicas",
                "name a `host`, on a cluster with one Gateway (Gateway API); or keep more replicas",
            )
        if abs(share - percent) > 1:
            note(f"without a route requests go by replicas: the canary has {share:.0f} % of them")
        self._keeper.keep(stable.name, rendered(stable, cluster, (service, percent)))
        return self._rollout(service, service.name + SUFFIX).wait(revision_of(service.template))

    def promote(self, name: str) -> Status:
        """Let all replicas be the canary's revision, and the canary go once they are."""
        canary = self._find(name + SUFFIX)
        if canary is None:
            raise NotFoundError(f"{name} has no canary", f"`tiffin deploy WHAT --canary PERCENT` starts one for {name}")
        service = as_before(service_of(canary), self._service(name))
        self._apply(service, "tiffin promote", (service_of(canary), canary_weight(canary)))
        cluster = self._cluster(name)
        self._keeper.keep(service.name, rendered(service, cluster, None, "tiffin promote"))
        return self.status(name)

    def _give_up(self, name: str, canary: Object) -> Status:
        note(f"the canary of {name}, {canary_weight(canary):g} % of the requests, is given up")
        service = self._service(name)
        self._keeper.keep(service.name, rendered(service, self._cluster(name)))
        return self.status(name)

    def pause(self, name: str) -> None:
        """Begin nothing more of a rollout."""
        self._change(name, {"spec": {"paused": True}})

    def resume(self, name: str) -> None:
        """Go on with it."""
        self._change(name, {"spec": {"paused": None}})

    def restart(self, name: str) -> Status:
        """Replace every replica by one alike, as a rollout does."""
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        again = {"spec": {"template": {"metadata": {"annotations": {RESTARTED: now}}}}}
        self._change(name, {"metadata": {"annotations": {CAUSE: "tiffin restart"}}, **again})
        return self._rollout(self._service(name), name).wait()

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[str, LogLine]]:
        """What all replicas write, each line with the replica's name."""
        self._kept(name)
        read: Callable[..., Iterator[tuple[str, LogLine]]] = logs.follow if follow else logs.lines
        return read(self._api, self.namespace, name, tail)

    def replica(self, name: str, which: str = "") -> Replica:
        """A replica, a ready one where none is named (see `CanReach`)."""
        self._kept(name)
        return Replica(self._api, reached(self._api, self.namespace, name, which))

    def forward(self, name: str, remote: str, address: str, port: int) -> Forwarding:
        """Lead a port of this machine to one of whichever replica is ready (see `CanForward`)."""
        number = port_of(service_of(self._kept(name)).template, remote)
        reached(self._api, self.namespace, name)
        return Forwarding(lambda: dialled(self._api, self.namespace, name, number), address, port)

    def explain(self, name: str) -> Sequence[Decision]:
        """What the cluster's controllers say they did about a service, and autoscalers why."""
        self._kept(name)
        return decisions(name, self._api.list(EVENT, self.namespace))

    def _cluster(self, name: str) -> Cluster:
        return cluster_of(self._api, self.namespace, name, self._gateway, self._said)

    @property
    def _kserve(self) -> KServeTarget:
        return KServeTarget(self._api, self.namespace, said=self._said)

    def _by_kserve(self, name: str) -> Object | None:
        return kept_by_kserve(self._api, self.namespace, name)

    def _kept(self, name: str) -> Object:
        """What remembers a service, whoever keeps it; raises NotFoundError."""
        return self._by_kserve(name) or self._live(name)

    def _change(self, name: str, changes: Mapping[str, Any]) -> None:
        self._live(name)
        self._api.patch(DEPLOYMENT, self.namespace, name, dict(changes))

    def _rollout(self, service: Service, track: str) -> Rollout:
        return Rollout(self._api, self.namespace, service.name, track, service.rollout.progress_seconds)

    def _live(self, name: str) -> Object:
        found = self._find(name)
        if found is None and self._by_kserve(name):
            hint = "`tiffin deploy IMAGE --kserve` with the earlier image goes back; `tiffin status` shows how it is"
            raise UnsupportedError(
                f"{name} is kept by KServe, which remembers no revisions and holds no rollouts", hint
            )
        if found is None:
            raise NotFoundError(f"no service {name} in the namespace {self.namespace}", "`tiffin status` lists them")
        return found

    def _find(self, name: str) -> Object | None:
        try:
            return self._api.get(DEPLOYMENT, self.namespace, name)
        except NotFoundError:
            return None

    def _service(self, name: str) -> Service:
        return service_of(self._live(name))

    def _canary_of(self, name: str) -> tuple[Service, float] | None:
        """The canary that is there, which a deploy of the service leaves as it is."""
        found = self._find(name + SUFFIX)
        return (service_of(found), canary_weight(found)) if found and annotations_of(found) else None
