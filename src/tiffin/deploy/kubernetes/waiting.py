"""Wait for a rollout: until it is complete, given up by the cluster, or somebody else's."""

from __future__ import annotations

import time
from typing import Any

from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import DEPLOYMENT
from tiffin.deploy.kubernetes.manifests.names import REVISION
from tiffin.deploy.kubernetes.observe import observe
from tiffin.deploy.kubernetes.revisions import annotations_of
from tiffin.deploy.kubernetes.status import GIVEN_UP, condition, is_complete, is_current, status_of, wanted
from tiffin.deploy.target import Finding, Status
from tiffin.errors import CommandError, ConflictError, UnavailableError
from tiffin.progress import note, step

Object = dict[str, Any]
_LOOK = 5.0
"""Seconds between looks at what is in the way, while nothing changes."""
_GRACE = 10.0
"""Seconds more than its deadline that the cluster has to say that a rollout is given up."""


class Rollout:
    """A rollout of one Deployment that is waited for: what was seen of it, and until when."""

    def __init__(self, api: Api, namespace: str, service: str, track: str, seconds: float) -> None:
        """Wait for the Deployment `track` of a service, as long as something comes forward within `seconds`."""
        self._api, self._namespace, self._service, self._track = api, namespace, service, track
        self._patience = seconds + _GRACE
        self._due = time.monotonic() + self._patience
        self._seen: tuple[int, ...] = ()
        self._revision: str | None = None
        self._told: set[str] = set()
        self._given_up_before: str | None = None
        """When the cluster had given it up before this was waited for: what has been mended since may go on."""

    def wait(self, revision: str | None = None) -> Status:
        """Return how the service is when it is available; raises CommandError with what is in the way.

        A cluster that does not answer is waited for as long as the rollout is.
        """
        self._revision = revision
        with step("wait", self._track):
            while True:
                try:
                    if found := self._look():
                        return found
                except UnavailableError as error:
                    if time.monotonic() > self._due:
                        raise
                    self._tell_once("unavailable", f"the cluster does not answer for now: {error.message}")

    def _look(self) -> Status | None:
        """Follow it for a while, and then look at what is in the way; None where it goes on."""
        for event in self._changes():
            if event.action == "DELETED":
                raise ConflictError(f"{self._track} was deleted meanwhile", "`tiffin deploy` makes it anew")
            if self._is_over(event.object):
                return status_of(observe(self._api, self._namespace, self._service, logs=False))
        status = status_of(observe(self._api, self._namespace, self._service))
        for finding in status.findings:
            self._tell_once(finding.hint or finding.message, finding.message)
        if time.monotonic() > self._due:
            raise failure(self._service, status)
        return None

    def _changes(self) -> Any:
        """What becomes of the Deployment for a while."""
        left = max(min(_LOOK, self._due - time.monotonic()), 0.1)
        return self._api.watch(DEPLOYMENT, self._namespace, fields={"metadata.name": self._track}, timeout=left)

    def _is_over(self, deployment: Object) -> bool:
        """Say whether it is complete; raises where it never will be."""
        now = annotations_of(deployment).get(REVISION)
        if self._revision and now != self._revision:
            raise ConflictError(
                f"somebody else deployed {self._service} meanwhile: it is to be revision {now} now",
                "`tiffin status` shows it; deploy again if yours is to win",
            )
        counts = _counts(deployment)
        if counts != self._seen:
            self._seen, self._due = counts, time.monotonic() + self._patience
        if deployment["spec"].get("paused"):
            raise ConflictError(f"{self._track} is paused", f"`tiffin resume {self._service}` lets it go on")
        if self._is_given_up(deployment):
            raise failure(self._service, status_of(observe(self._api, self._namespace, self._service)))
        return is_complete(deployment)

    def _is_given_up(self, deployment: Object) -> bool:
        """Say whether the cluster gave this rollout up: that it gave up the one before stands there until pods come."""
        said = condition(deployment, "Progressing")
        given_up = said.get("lastUpdateTime", "") if said.get("reason") == GIVEN_UP else ""
        if self._given_up_before is None:
            self._given_up_before = given_up
        return is_current(deployment) and given_up not in {"", self._given_up_before}

    def _tell_once(self, kind: str, message: str) -> None:
        """Say what is in the way as soon as it is known, each kind of thing once."""
        if kind not in self._told:
            self._told.add(kind)
            note(message)


def _counts(deployment: Object) -> tuple[int, ...]:
    status = deployment.get("status", {})
    keys = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return (wanted(deployment), *(status.get(key, 0) for key in keys))


def failure(name: str, status: Status) -> CommandError:
    """A service did not become available: what is in the way, with what it wrote, and what to do."""
    found = status.findings or (Finding(message="nothing came forward, and the cluster does not say why"),)
    lines = [f"{name} did not become available: {status.ready} of {status.wanted} replicas are ready"]
    for finding in found:
        lines.append(f"  {finding.message}")
        lines += [f"      {line}" for line in finding.log]
    before = f"; `tiffin rollback {name}` goes back" if len(status.revisions) > 1 else ""
    return CommandError("\n".join(lines), f"{found[0].hint or f'`tiffin status {name}` shows more'}{before}")


def unreachable(error: UnavailableError, done: int, many: int) -> UnavailableError:
    """The cluster went away in the middle: how far it was, and that the same command goes on."""
    said = f"{error.message}; {done} of {many} objects were applied"
    return UnavailableError(said, "run it again: what is there already stays as it is, and the rest follows")
