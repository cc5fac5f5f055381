"""A service that KServe keeps: one InferenceService, of which its controller makes Deployment, Service and route.

KServe remembers no revisions of its own in this mode, so going back is deploying the earlier image again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tiffin.deploy.kubernetes.changes import changed, removed
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import DEPLOYMENT, EVENT, POD, REPLICA_SET
from tiffin.deploy.kubernetes.keeping import Keeper
from tiffin.deploy.kubernetes.manifests.cluster import INFERENCE_SERVICE, Cluster, Surroundings
from tiffin.deploy.kubernetes.manifests.render import render_kserve
from tiffin.deploy.kubernetes.observe import INFERENCE, belongings, cluster_of, last_words
from tiffin.deploy.kubernetes.order import NAME, labels_of, surplus
from tiffin.deploy.kubernetes.revisions import CAUSE, SERVICE, annotated, remembered, service_of
from tiffin.deploy.kubernetes.status import Observed, condition, status_of
from tiffin.deploy.kubernetes.taking_back import taking_back
from tiffin.deploy.kubernetes.waiting import failure
from tiffin.deploy.kubernetes.why import owned_by
from tiffin.deploy.service import Service
from tiffin.deploy.target import Change, Finding, Phase, Status
from tiffin.errors import ConflictError, NotFoundError, UnavailableError, UnsupportedError
from tiffin.oci.documents import encode
from tiffin.progress import note, step

Object = dict[str, Any]
_LOOK = 5.0
"""Seconds between looks at what is in the way, while nothing changes."""
_INVALID = {"InvalidSpec", "BlockedByFailedLoad"}


def rendered_for_kserve(service: Service, cluster: Cluster, why: str = "") -> list[Object]:
    """What a cluster is sent for a service that KServe keeps; the InferenceService remembers all of it."""
    plain = msgspec.json.decode(encode(render_kserve(service, cluster)), type=list[Object])
    said = {SERVICE: encode(service).decode(), **remembered(cluster), **({CAUSE: why} if why else {})}
    return [annotated(one, said) if one["kind"] == INFERENCE[1] else one for one in plain]


def kept_by_kserve(api: Api, namespace: str, name: str) -> Object | None:
    """The InferenceService of ours that has this name, if the cluster has KServe and one of it."""
    if INFERENCE_SERVICE not in api.kinds():
        return None
    labels = labels_of(name)
    found = [one for one in api.list(api.kind(*INFERENCE), namespace, labels) if one["metadata"]["name"] == name]
    return found[0] if found else None


def names_of_kserve(api: Api, namespace: str) -> list[str]:
    """The services of a namespace that KServe keeps for us."""
    if INFERENCE_SERVICE not in api.kinds():
        return []
    labels = {key: value for key, value in labels_of("").items() if value}
    return [one["metadata"]["name"] for one in api.list(api.kind(*INFERENCE), namespace, labels)]


class KServeTarget:
    """Services of one namespace that KServe keeps; what others have set is a conflict, unless `force` takes it over."""

    def __init__(self, api: Api, namespace: str, *, force: bool = False, said: Surroundings | None = None) -> None:
        """Keep services there; nothing is asked yet."""
        self.namespace = namespace
        self._api, self._said = api, said
        self._keeper = Keeper(api, namespace, force=force)

    def plan(self, service: Service) -> Sequence[Change]:
        """Say what `apply` would do: the cluster is asked for a dry run of it."""
        cluster = self._cluster(service.name)
        objects = rendered_for_kserve(service, cluster)
        if cluster.makes_namespace:
            return [changed(None, one) for one in objects]
        there = [*belongings(self._api, self.namespace, service.name)]
        return [*(self._keeper.tried(one) for one in objects), *removed(surplus(there, objects))]

    def apply(self, service: Service) -> Status:
        """Make it so, and wait until KServe says that it is ready and its pods are of this revision."""
        found = kept_by_kserve(self._api, self.namespace, service.name)
        before = service_of(found) if found else None
        with taking_back(service, before, self._apply, self.delete):
            return self._apply(service, f"tiffin deploy --kserve {service.template.reference}")

    def _apply(self, service: Service, why: str) -> Status:
        objects = rendered_for_kserve(service, self._cluster(service.name), why)
        self._refuse_other(service.name)
        self._keeper.keep(service.name, objects)
        return self._wait(service, _image_in(objects))

    def status(self, name: str) -> Status:
        """Look at a service; raises NotFoundError."""
        return _status(self._look(name))

    def list(self) -> Sequence[Status]:
        """Every service that KServe keeps for us in the namespace, by name."""
        return [self.status(name) for name in sorted(names_of_kserve(self._api, self.namespace))]

    def delete(self, name: str) -> None:
        """Remove a service; what KServe made of it goes with it. Raises NotFoundError."""
        self._kept(name)
        self._keeper.remove(surplus(belongings(self._api, self.namespace, name), []))

    def scale(self, name: str, least: int, most: int) -> None:
        """Keep it between so many replicas from now on."""
        service = service_of(self._kept(name))
        replicas = msgspec.structs.replace(service.replicas, least=least, most=most)
        service = msgspec.structs.replace(service, replicas=replicas)
        self._keeper.keep(service.name, rendered_for_kserve(service, self._cluster(name)))

    def _cluster(self, name: str) -> Cluster:
        cluster = cluster_of(self._api, self.namespace, name, said=self._said)
        if INFERENCE_SERVICE not in cluster.kinds:
            hint = "install KServe, or deploy without `--kserve`"
            raise UnsupportedError("the cluster has no InferenceService: KServe is not installed there", hint)
        return cluster

    def _refuse_other(self, name: str) -> None:
        """Both would have a Service of that name, and fight for it."""
        try:
            self._api.get(DEPLOYMENT, self.namespace, name)
        except NotFoundError:
            return
        hint = f"`tiffin delete {name}` first, or give it another `--name` beside it"
        raise ConflictError(f"{name} is there without KServe, and cannot be handed over while it serves", hint)

    def _kept(self, name: str) -> Object:
        found = kept_by_kserve(self._api, self.namespace, name)
        if found is None:
            hint = "`tiffin status` lists them"
            raise NotFoundError(f"KServe keeps no service {name} of ours in the namespace {self.namespace}", hint)
        return found

    def _look(self, name: str, *, logs: bool = True) -> tuple[Object, Observed]:
        """The InferenceService, and the Deployment that KServe made of it."""
        kept, labels = self._kept(name), {NAME: name}
        owned = [one for one in self._api.list(DEPLOYMENT, self.namespace) if owned_by(one, kept)]
        deployment = owned[0] if owned else _nothing_yet(kept)
        seen = Observed(
            name=name,
            namespace=self.namespace,
            deployment=annotated(deployment, kept["metadata"].get("annotations", {})),
            replicasets=[one for one in self._api.list(REPLICA_SET, self.namespace) if owned_by(one, deployment)],
            pods=self._api.list(POD, self.namespace, labels),
            events=self._api.list(EVENT, self.namespace),
        )
        return kept, msgspec.structs.replace(seen, logs=last_words(self._api, seen)) if logs else seen

    def _wait(self, service: Service, image: str) -> Status:
        """Watch it until it is ready, or nothing has come forward for too long."""
        due, before, told = time.monotonic() + service.rollout.progress_seconds, None, set[str]()
        with step("wait", service.name):
            while True:
                kept, seen = self._looked_at(service.name)
                status = _status((kept, seen))
                if status.phase is Phase.AVAILABLE and _is_of(seen.deployment, service, image):
                    return status
                if (now := (status.ready, status.wanted, len(seen.pods))) != before:
                    before, due = now, time.monotonic() + service.rollout.progress_seconds
                for finding in status.findings:
                    if finding.message not in told:
                        note(finding.message)
                        told.add(finding.message)
                if time.monotonic() > due or status.phase is Phase.FAILED:
                    raise failure(service.name, status)
                self._until_changed(kept, due)

    def _looked_at(self, name: str) -> tuple[Object, Observed]:
        try:
            return self._look(name)
        except NotFoundError as error:
            raise ConflictError(f"{name} was deleted meanwhile", "`tiffin deploy` makes it anew") from error

    def _until_changed(self, kept: Object, due: float) -> None:
        """Wait for the next thing that KServe says, for a while."""
        left = max(min(_LOOK, due - time.monotonic()), 0.1)
        about = kept["metadata"]
        events: Iterator[Any] = self._api.watch(
            self._api.kind(*INFERENCE), self.namespace, fields={"metadata.name": about["name"]}, timeout=left
        )
        try:
            for event in events:
                if event.object["metadata"].get("resourceVersion") != about.get("resourceVersion"):
                    return
        except UnavailableError as error:
            note(f"the cluster does not answer for now: {error.message}")


def _nothing_yet(kept: Object) -> Object:
    """What stands for the Deployment that KServe has not made yet."""
    name, wanted = kept["metadata"]["name"], kept["spec"]["predictor"].get("minReplicas", 1)
    return {"kind": "Deployment", "metadata": {"name": name, "generation": 1}, "spec": {"replicas": wanted}}


def _status(found: tuple[Object, Observed]) -> Status:
    """How it is: as its Deployment is, unless KServe has more to say."""
    kept, seen = found
    status = status_of(seen)
    url = kept.get("status", {}).get("url", "")
    addresses = tuple(dict.fromkeys(one for one in (url, *status.addresses) if one))
    said = tuple(_findings(kept))
    ready = condition(kept, "Ready").get("status") == "True"
    phase = status.phase
    if phase is Phase.AVAILABLE and not ready:
        phase = Phase.PROGRESSING
    model = kept.get("status", {}).get("modelStatus", {})
    if model.get("transitionStatus") in _INVALID and not ready:
        phase = Phase.FAILED
    return msgspec.structs.replace(
        status, addresses=addresses, phase=phase, findings=() if phase is Phase.AVAILABLE else (*status.findings, *said)
    )


def _findings(kept: Object) -> Iterator[Finding]:
    """What KServe says against it; that a part is not ready yet is in the other findings."""
    failed = kept.get("status", {}).get("modelStatus", {}).get("lastFailureInfo") or {}
    words = [(failed.get("reason", ""), failed.get("message", ""))] if failed else []
    words += [
        (one.get("reason", ""), one["message"])
        for one in kept.get("status", {}).get("conditions", [])
        if one.get("status") == "False" and one.get("severity", "") != "Info" and one.get("message")
    ]
    name = kept["metadata"]["name"]
    for reason, message in dict.fromkeys(words):
        said = f"KServe says: {message or reason}" + (f" ({reason})" if reason and message else "")
        yield Finding(message=said, hint=f"`kubectl describe inferenceservice {name}` has more")


def _image_in(objects: Sequence[Object]) -> str:
    """The image that the pods of what is sent have."""
    [kept] = [one for one in objects if one["kind"] == INFERENCE[1]]
    return str(kept["spec"]["predictor"]["containers"][0]["image"])


def _is_of(deployment: Object, service: Service, image: str) -> bool:
    """Say whether what KServe made is of this revision already: it takes a moment to notice a change."""
    containers = deployment["spec"].get("template", {}).get("spec", {}).get("containers", [])
    wanted = service.template
    for one in containers:
        env = {each["name"]: each.get("value", "") for each in one.get("env", [])}
        if one.get("image") == image and wanted.env.items() <= env.items():
            return True
    return False
