"""Ask a cluster's API server for objects, and have it keep them; threads may share an `Api`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from tiffin.deploy.kubernetes.client.asking import Asking, Question
from tiffin.deploy.kubernetes.client.discovery import discover, kinds_of
from tiffin.deploy.kubernetes.client.kinds import BUILT_IN, POD, Kind
from tiffin.deploy.kubernetes.client.listing import Object, Objects, Selection, read_list
from tiffin.deploy.kubernetes.client.logs import Log, read_log
from tiffin.deploy.kubernetes.client.refusals import FieldConflictError
from tiffin.deploy.kubernetes.client.watch import Event, Watch
from tiffin.engine.spec import LogLine
from tiffin.errors import ConfigError, ConflictError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from tiffin.deploy.kubernetes.client.channels import Channels

__all__ = ["MANAGER", "Api", "Event", "Object", "Objects"]

MANAGER = "tiffin"
"""Who owns, in the cluster's books, the fields that we apply."""

_TIMES = 10
"""How often one that changes all the time is tried to be caught at one version."""
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


class Api:
    """A cluster as seen by one user.

    Every method raises NotFoundError where the object, its namespace or its kind is not there, DeniedError for 401 and
    403, FullError where a quota is used up, ConflictError for 409, ConfigError with the fields for what the server
    finds invalid (400, 422), and BusyError, an UnavailableError, where nobody answered although asked several times.
    """

    def __init__(self, asking: Asking, namespace: str = "default", manager: str = MANAGER) -> None:
        """Ask there; what is applied or created without a namespace belongs into this one."""
        self._asking, self._namespace, self._manager = asking, namespace, manager
        self._known = dict(BUILT_IN)
        self._all: frozenset[str] | None = None
        self._learning = threading.Lock()

    def version(self) -> tuple[int, int]:
        """The cluster's version: (1, 36)."""
        said = self._asking.ask(Question(path="/version"))
        try:
            return int(said["major"]), int(str(said["minor"]).rstrip("+"))
        except (KeyError, TypeError, ValueError) as error:
            hint = "see whether the kubeconfig names the address of a Kubernetes API server"
            raise UnavailableError(f"the cluster does not say its version: {said!r:.200}", hint) from error

    def kinds(self) -> frozenset[str]:
        """All kinds that it serves, by group and kind: `Pod`, `apps/Deployment`, `keda.sh/ScaledObject`."""
        with self._learning:
            if self._all is None:
                self._all = frozenset(kind.known_as for kind in discover(self._asking))
            return self._all

    def kind(self, api_version: str, name: str) -> Kind:
        """Find the kind of objects that begin with these words; raises NotFoundError where the cluster has none."""
        with self._learning:
            if (api_version, name) not in self._known:
                self._known |= {(kind.api_version, kind.name): kind for kind in kinds_of(self._asking, api_version)}
            if (api_version, name) not in self._known:
                raise NotFoundError(f"the cluster has no {name} of {api_version}", "install what brings that kind")
            return self._known[api_version, name]

    def get(self, kind: Kind, namespace: str, name: str, *, subresource: str = "") -> Object:
        """Read an object, or a part of it (`scale`, `status`)."""
        found: Object = self._asking.ask(Question(path=kind.path(namespace, name, subresource)))
        return found

    def list(
        self, kind: Kind, namespace: str, labels: Mapping[str, str] = {}, *, fields: Mapping[str, str] = {}
    ) -> Objects:
        """Read all objects of a kind that have these labels and fields; no namespace means all of them.

        Each has its `apiVersion` and `kind`, which servers leave out of lists.
        """
        return read_list(self._asking, Selection(kind=kind, namespace=namespace, labels=labels, fields=fields)).items

    def apply(
        self, wanted: Object, *, force: bool = False, dry_run: bool = False, subresource: str = "", manager: str = ""
    ) -> Object:
        """Have the server make an object so (server-side apply, manager `tiffin`), and return what became of it.

        Fields that we applied before and that are not there any more are removed. Raises FieldConflictError, which
        names fields and their managers, where others have set them to something else; `force` takes them over.
        """
        query = {"force": "true"} if force else {}
        query |= {"dryRun": "All"} if dry_run else {}
        query |= {"fieldManager": manager} if manager else {}
        try:
            return self._apply(wanted, subresource, query)
        except FieldConflictError as error:
            if force or "resourceVersion" in wanted["metadata"] or not self._ours(error):
                raise
            return self._take_back(wanted, subresource, query)

    def create(self, wanted: Object, *, dry_run: bool = False) -> Object:
        """Have the server make a new object; raises ConflictError where one has its name."""
        kind, namespace, _ = self._place(wanted)
        query = self._writing({"dryRun": "All"} if dry_run else {})
        return self._send(Question(method="POST", path=kind.path(namespace), query=query, body=wanted, once=True))

    def patch(self, kind: Kind, namespace: str, name: str, changes: Object, *, subresource: str = "") -> Object:
        """Change fields of an object that is there, whoever owns them; None removes one (RFC 7396)."""
        path = kind.path(namespace, name, subresource)
        return self._send(Question(method="PATCH", path=path, query=self._writing(), body=changes, media_type=_MERGE))

    def scale(self, kind: Kind, namespace: str, name: str, replicas: int) -> None:
        """Have so many replicas, by the object's `scale`."""
        self.patch(kind, namespace, name, {"spec": {"replicas": replicas}}, subresource="scale")

    def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        uid: str = "",
        version: str = "",
    ) -> None:
        """Remove an object, and what it owns as `propagation` says.

        Raises NotFoundError, and ConflictError where it is not the one with this uid or resource version any more.
        """
        conditions = {key: value for key, value in (("uid", uid), ("resourceVersion", version)) if value}
        wish: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        wish |= {"preconditions": conditions} if conditions else {}
        self._asking.ask(Question(method="DELETE", path=kind.path(namespace, name), body=wish))

    def watch(
        self,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str] = {},
        *,
        fields: Mapping[str, str] = {},
        timeout: float | None = None,
    ) -> Iterator[Event]:
        """Tell of all objects that are there, and then of every change, for so many seconds.

        Connections that break, servers that forget (410) and those that want to be left alone (429) are dealt with: no
        object is told twice in the same state, and none that is gone is left untold. Raises BusyError where nobody has
        answered for the rest of the time.
        """
        chosen = Selection(kind=kind, namespace=namespace, labels=labels, fields=fields)
        return iter(Watch(self._asking, chosen, timeout))

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str = "",
        *,
        follow: bool = False,
        tail: int | None = None,
        previous: bool = False,
    ) -> Iterator[LogLine]:
        """What a container wrote: its last `tail` lines, all that comes (`follow`), or what the one before it left.

        A connection that breaks is taken up again where it was. `stream` is empty: a cluster does not say which.
        """
        path = POD.path(namespace, pod, "log")
        return read_log(self._asking, Log(path=path, container=container, follow=follow, tail=tail, previous=previous))

    def channels(
        self, namespace: str, pod: str, part: str, query: Mapping[str, str | Sequence[str]], protocols: Sequence[str]
    ) -> Channels:
        """Open channels to what runs in a pod (`exec`, `portforward`), by the first protocol that the server speaks."""
        from tiffin.deploy.kubernetes.client.channels import open_channels  # noqa: PLC0415 - few verbs need it

        return open_channels(self._asking, POD.path(namespace, pod, part), query, protocols)

    def _apply(self, wanted: Object, subresource: str, query: Mapping[str, str]) -> Object:
        kind, namespace, name = self._place(wanted)
        path = kind.path(namespace, name, subresource)
        return self._send(
            Question(method="PATCH", path=path, query=self._writing(query), body=wanted, media_type=_APPLY)
        )

    def _ours(self, error: FieldConflictError) -> bool:
        """Whether the conflict is with nobody but ourselves: what was set by `scale` has another entry in the books."""
        return all(conflict.manager == self._manager for conflict in error.conflicts)

    def _take_back(self, wanted: Object, subresource: str, query: Mapping[str, str]) -> Object:
        """Apply by force what conflicts with ourselves alone: at one version, lest somebody else comes between."""
        for _ in range(_TIMES - 1):
            try:
                return self._take_back_now(wanted, subresource, query)
            except FieldConflictError:
                raise
            except ConflictError:  # it has another version by now: controllers write statuses all the time
                continue
        return self._take_back_now(wanted, subresource, query)

    def _take_back_now(self, wanted: Object, subresource: str, query: Mapping[str, str]) -> Object:
        kind, namespace, name = self._place(wanted)
        version = self.get(kind, namespace, name)["metadata"]["resourceVersion"]
        pinned = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": version}}
        try:
            return self._apply(pinned, subresource, query)
        except FieldConflictError as error:
            if not self._ours(error):
                raise
            return self._apply(pinned, subresource, {**query, "force": "true"})

    def _writing(self, more: Mapping[str, str] = {}) -> dict[str, str]:
        """Who writes, and that fields that there are not are refused."""
        return {"fieldManager": self._manager, "fieldValidation": "Strict", **more}

    def _send(self, question: Question) -> Object:
        answer: Object = self._asking.ask(question)
        return answer

    def _place(self, wanted: Object) -> tuple[Kind, str, str]:
        """Where the server keeps an object."""
        about = wanted.get("metadata", {})
        try:
            kind, name = self.kind(wanted["apiVersion"], wanted["kind"]), about.get("name", "")
        except KeyError as error:
            raise ConfigError(f"an object without {error}: {wanted!r:.200}", "every object has both") from error
        if not name and not about.get("generateName"):
            raise ConfigError(f"{kind.name} has no name", "give it `metadata.name`")
        return kind, about.get("namespace", self._namespace), name
