"""Have a cluster keep objects: applied in order, replicas handed over to who scales, what is surplus removed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tiffin.deploy.kubernetes.changes import changed
from tiffin.deploy.kubernetes.client.cluster import MANAGER, Api
from tiffin.deploy.kubernetes.client.kinds import AUTOSCALER, DEPLOYMENT
from tiffin.deploy.kubernetes.client.refusals import FieldConflictError
from tiffin.deploy.kubernetes.observe import belongings
from tiffin.deploy.kubernetes.order import in_order, surplus
from tiffin.deploy.kubernetes.waiting import unreachable
from tiffin.deploy.target import Action, Change
from tiffin.errors import ConflictError, NotFoundError, UnavailableError
from tiffin.progress import step

Object = dict[str, Any]
_REPLICAS = ".spec.replicas"
HANDOVER = "tiffin-handover"
"""Who owns a number of replicas that we set no more and no autoscaler has set yet: a field of nobody's falls to 1."""
_SCALERS = {"kube-controller-manager", "keda-operator", "keda", HANDOVER}
"""Who sets a number of replicas for an autoscaler."""


class Keeper:
    """Applies and removes the objects of services, or of pipelines, in one namespace."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        *,
        force: bool = False,
        belongings: Callable[[Api, str, str], Iterable[Object]] = belongings,
    ) -> None:
        """Keep objects there; fields that others have set are taken over only with `force`.

        `belongings` finds all that is there of a name.
        """
        self._api, self._namespace, self._force = api, namespace, force
        self._belongings = belongings

    def keep(self, name: str, objects: Iterable[Object]) -> None:
        """Apply objects, what starts pods last, and remove what was there under the name and is needed no more.

        A cluster that goes away in the middle leaves what was applied; doing it again goes on from there.
        """
        ordered, left = in_order(objects), [*in_order(objects)]
        with step("apply", name, total=len(ordered)) as progress:
            try:
                while left:
                    self._apply(left[0])
                    left.pop(0)
                    progress.advance(1)
                self.remove(surplus(self.there(name), ordered))
            except UnavailableError as error:
                raise unreachable(error, len(ordered) - len(left), len(ordered)) from error

    def there(self, name: str) -> list[Object]:
        """All that is there of a name."""
        return [*self._belongings(self._api, self._namespace, name)]

    def tried(self, wanted: Object) -> Change:
        """Say what applying an object would change, as the cluster sees it; a conflict is told as it would be."""
        before = self._find(wanted)
        if before and _lets_go(before, wanted):
            wanted = {**wanted, "spec": {**wanted["spec"], "replicas": before["spec"]["replicas"]}}
        try:
            return changed(before, self._api.apply(wanted, dry_run=True, force=self._force))
        except FieldConflictError as error:
            if _takes_over(error, wanted):
                return changed(before, self._api.apply(wanted, dry_run=True, force=True))
            fields = tuple(f"{one.field}: conflict with {one.manager}" for one in error.conflicts)
            what = f"{wanted['kind']}/{wanted['metadata']['name']}"
            return Change(action=Action.CHANGE, what=what, details=fields)

    def remove(self, things: Sequence[Object]) -> None:
        """Remove objects, each only as it was seen; one that is gone already is gone."""
        for thing in things:
            kind = self._api.kind(thing["apiVersion"], thing["kind"])
            with contextlib.suppress(NotFoundError):
                self._api.delete(kind, self._namespace, thing["metadata"]["name"], uid=thing["metadata"].get("uid", ""))

    def _apply(self, wanted: Object) -> None:
        """Apply one object; the number of replicas is handed over between us and an autoscaler without a jump."""
        if wanted["kind"] != "Deployment":
            self._api.apply(wanted, force=self._force)
            return
        live = self._find(wanted)
        if live and live["spec"].get("paused") and not _same_template(live, wanted):
            name = wanted["metadata"]["name"]
            raise ConflictError(f"{name} is paused, and would not change", f"`tiffin resume {name}` first")
        if live and _lets_go(live, wanted):
            self._let_go(live)
        try:
            self._api.apply(wanted, force=self._force)
        except FieldConflictError as error:
            if not _takes_over(error, wanted):
                raise
            self._take_over(wanted)

    def _let_go(self, live: Object) -> None:
        """Have the number belong to somebody else as well, so that it stays when we apply without one."""
        about = {key: live["metadata"][key] for key in ("name", "uid")}
        only = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": about}
        self._api.apply({**only, "spec": {"replicas": live["spec"]["replicas"]}}, manager=HANDOVER)

    def _take_over(self, wanted: Object) -> None:
        """Set the number of replicas ourselves: the autoscaler goes first, and then the number is nobody's."""
        name = wanted["metadata"]["name"]
        with contextlib.suppress(NotFoundError):
            self._api.delete(AUTOSCALER, self._namespace, name)
        self._api.scale(DEPLOYMENT, self._namespace, name, wanted["spec"]["replicas"])
        self._api.apply(wanted, force=self._force)

    def _find(self, wanted: Object) -> Object | None:
        kind = self._api.kind(wanted["apiVersion"], wanted["kind"])
        namespace = self._namespace if kind.namespaced else ""
        try:
            return self._api.get(kind, namespace, wanted["metadata"]["name"])
        except NotFoundError:
            return None


def owns_replicas(live: Object) -> bool:
    """Say whether we alone set an object's number of replicas, by applying it."""
    owners = [
        (one.get("manager"), one.get("operation"))
        for one in live["metadata"].get("managedFields", ())
        if "f:replicas" in one.get("fieldsV1", {}).get("f:spec", {})
    ]
    return owners == [(MANAGER, "Apply")]


def _lets_go(live: Object, wanted: Object) -> bool:
    """Say whether we set the number of replicas until now, and leave it to whoever scales from now on."""
    return wanted["kind"] == "Deployment" and "replicas" not in wanted["spec"] and owns_replicas(live)


def _takes_over(error: FieldConflictError, wanted: Object) -> bool:
    """Say whether the only conflict is about replicas with who scaled them, and they are to be fixed from now on."""
    ours = all(one.field == _REPLICAS and one.manager in _SCALERS | {MANAGER} for one in error.conflicts)
    return ours and "replicas" in wanted.get("spec", {})


def _same_template(live: Object, wanted: Object) -> bool:
    """Say whether nothing is to be rolled out."""
    key = "tiffin.dev/revision"
    return bool(live["metadata"].get("annotations", {}).get(key) == wanted["metadata"].get("annotations", {}).get(key))
