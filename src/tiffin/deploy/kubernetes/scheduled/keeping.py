"""Pipelines that a namespace of a cluster runs: applied, tried, begun by hand, removed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tiffin.deploy.kubernetes.changes import changed, removed
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import CRON_JOB, EVENT, JOB, POD
from tiffin.deploy.kubernetes.keeping import Keeper
from tiffin.deploy.kubernetes.manifests.cluster import Cluster, Surroundings
from tiffin.deploy.kubernetes.observe import belongings_of_a_pipeline, cluster_of
from tiffin.deploy.kubernetes.order import surplus
from tiffin.deploy.kubernetes.scheduled.beginning import Stage, hindered, stage_of
from tiffin.deploy.kubernetes.scheduled.objects import BY_HAND, render
from tiffin.deploy.kubernetes.scheduled.pipeline import ScheduledPipeline
from tiffin.deploy.target import Change, Finding
from tiffin.errors import CommandError, NotFoundError, TiffinError
from tiffin.progress import note, step

Object = dict[str, Any]
JOB_NAME = "batch.kubernetes.io/job-name"
"""The label of a Job's pods with its name."""
_MANUAL = {"cronjob.kubernetes.io/instantiate": "manual"}
"""The annotation of a Job that somebody began, as `kubectl create job --from` writes it."""
_LOOK = 5.0
"""Seconds between looks at what is in the way, while nothing changes."""
_PATIENCE = 1800.0
"""Seconds in which a pod has to run: its image may be large, and a node may have to come first."""
_TAIL = 20


class ScheduledPipelines:
    """Pipelines in one namespace; what others have set is a conflict, unless `force` takes it over."""

    def __init__(self, api: Api, namespace: str, *, force: bool = False, patience: float = _PATIENCE) -> None:
        """Keep pipelines there; nothing is asked yet. A run by hand has to begin within `patience` seconds."""
        self._api, self._namespace, self._patience = api, namespace, patience
        self._keeper = Keeper(api, namespace, force=force, belongings=belongings_of_a_pipeline)

    def keep(self, pipeline: ScheduledPipeline, said: Surroundings) -> None:
        """Have it run at its times from now on; a run of now goes on as it began."""
        self._keeper.keep(pipeline.name, render(pipeline, self._cluster(pipeline.name, said)))

    def plan(self, pipeline: ScheduledPipeline, said: Surroundings) -> Sequence[Change]:
        """Say what `keep` would do: the cluster is asked for a dry run of it."""
        cluster = self._cluster(pipeline.name, said)
        objects = render(pipeline, cluster)
        if cluster.makes_namespace:  # nothing can be tried in a namespace that is not there
            return [changed(None, one) for one in objects]
        gone = removed(surplus(self._keeper.there(pipeline.name), objects))
        return [*(self._keeper.tried(one) for one in objects), *gone]

    def delete(self, name: str) -> None:
        """Remove a pipeline, its Jobs and its pods; raises NotFoundError. A claim is not its own, and stays."""
        there = self._keeper.there(name)
        if not there:
            raise self._absent(name)
        self._keeper.remove(surplus(there, []))

    def begin(self, name: str) -> str:
        """Begin a run now, by hand, and return its Job's name once it runs.

        Raises NotFoundError where no such pipeline is kept, CommandError with what is in the way of the Job, which
        stays.
        """
        try:
            cron_job = self._api.get(CRON_JOB, self._namespace, name)
        except NotFoundError as error:
            raise self._absent(name) from error
        job = self._api.create(_by_hand(cron_job))
        self._wait(job)
        return str(job["metadata"]["name"])

    def _cluster(self, name: str, said: Surroundings) -> Cluster:
        return cluster_of(self._api, self._namespace, name, said=said)

    def _absent(self, name: str) -> NotFoundError:
        hint = "`tiffin pipeline watch --to kubernetes` has one run there"
        return NotFoundError(f"no pipeline {name} in the namespace {self._namespace}", hint)

    def _wait(self, job: Object) -> None:
        """Wait until a Job has begun; what is in the way is told as soon as it is seen."""
        name, due, told = job["metadata"]["name"], time.monotonic() + self._patience, set[str]()
        with step("begin", name):
            while True:
                stage, found = self._look(job)
                if stage is Stage.BEGUN:
                    return
                if stage is Stage.FAILED or time.monotonic() > due:
                    raise _failure(name, found)
                for finding in found:
                    if finding.hint not in told:
                        told.add(finding.hint)
                        note(finding.message)
                self._changes(name, max(min(_LOOK, due - time.monotonic()), 0.1))

    def _look(self, job: Object) -> tuple[Stage, list[Finding]]:
        name = job["metadata"]["name"]
        pods = self._api.list(POD, self._namespace, {JOB_NAME: name})
        job = self._api.get(JOB, self._namespace, name)
        stage = stage_of(job, pods)
        if stage is Stage.BEGUN:
            return stage, []
        logs = {pod["metadata"]["name"]: self._written(pod) for pod in pods} if stage is Stage.FAILED else {}
        events = self._api.list(EVENT, self._namespace)
        return stage, [*hindered(job, pods, events, logs, datetime.now(UTC))]

    def _changes(self, name: str, seconds: float) -> None:
        """Wait for something to become of a Job's pods, beyond that they are there."""
        for event in self._api.watch(POD, self._namespace, {JOB_NAME: name}, timeout=seconds):
            if stage_of({}, [event.object]) is not Stage.WAITING:
                return

    def _written(self, pod: Object) -> Sequence[str]:
        with contextlib.suppress(TiffinError):  # a container of which nothing is left
            return [line.text for line in self._api.logs(self._namespace, pod["metadata"]["name"], tail=_TAIL)]
        return ()


def _by_hand(cron_job: Object) -> Object:
    """A Job as a CronJob would make it, but told to run whether a run is due or not; it goes with the CronJob."""
    about, template = cron_job["metadata"], cron_job["spec"]["jobTemplate"]
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": about["name"],
        "uid": about["uid"],
        "controller": True,
    }
    spec = template["spec"]
    pod = spec["template"]["spec"]
    words = about.get("annotations", {}).get(BY_HAND, "").split("\n")
    containers = [{**container, "args": words} for container in pod["containers"]]
    metadata = {
        "generateName": f"{about['name']}-by-hand-"[:58],
        "namespace": about["namespace"],
        "labels": template["metadata"]["labels"],
        "annotations": _MANUAL,
        "ownerReferences": [owner],
    }
    spec = {**spec, "template": {**spec["template"], "spec": {**pod, "containers": containers}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _failure(name: str, found: Sequence[Finding]) -> CommandError:
    lines = [f"{name} did not begin"]
    for finding in found:
        lines.append(f"  {finding.message}")
        lines += [f"      {line}" for line in finding.log]
    hint = next((finding.hint for finding in found if finding.hint), f"`kubectl describe job {name}` has more")
    return CommandError("\n".join(lines), hint)
