"""Ask a cluster's API server for objects, and have it keep them; threads may share an `Api`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from tiffin.deploy.kubernetes.client.kinds import Kind
from tiffin.engine.spec import LogLine

MANAGER = "tiffin"
"""Who owns, in the cluster's books, the fields that we apply."""

Object = dict[str, Any]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an object; `ADDED` is also how one that is there when the watch begins is told."""

    action: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object


class Api:
    """A cluster as seen by one user.

    Every method raises NotFoundError where the object, its namespace or its kind is not there, DeniedError for 401 and
    403, FullError where a quota is used up, ConflictError for 409, ConfigError with the fields for what the server
    finds invalid (400, 422), and BusyError, an UnavailableError, where nobody answered although asked several times.
    """

    def version(self) -> tuple[int, int]:
        """The cluster's version: (1, 36)."""
        raise NotImplementedError

    def kinds(self) -> frozenset[str]:
        """All kinds that it serves, by group and kind: `Pod`, `apps/Deployment`, `keda.sh/ScaledObject`."""
        raise NotImplementedError

    def kind(self, api_version: str, name: str) -> Kind:
        """Find the kind of objects that begin with these words; raises NotFoundError where the cluster has none."""
        raise NotImplementedError

    def get(self, kind: Kind, namespace: str, name: str, *, subresource: str = "") -> Object:
        """Read an object, or a part of it (`scale`, `status`)."""
        raise NotImplementedError

    def list(
        self, kind: Kind, namespace: str, labels: Mapping[str, str] = {}, *, fields: Mapping[str, str] = {}
    ) -> list[Object]:
        """Read all objects of a kind that have these labels and fields; no namespace means all of them.

        Each has its `apiVersion` and `kind`, which servers leave out of lists.
        """
        raise NotImplementedError

    def apply(self, wanted: Object, *, force: bool = False, dry_run: bool = False, subresource: str = "") -> Object:
        """Have the server make an object so (server-side apply, manager `tiffin`), and return what became of it.

        Fields that we applied before and that are not there any more are removed. Raises FieldConflictError, which
        names fields and their managers, where others have set them to something else; `force` takes them over.
        """
        raise NotImplementedError

    def create(self, wanted: Object, *, dry_run: bool = False) -> Object:
        """Have the server make a new object; raises ConflictError where one has its name."""
        raise NotImplementedError

    def patch(self, kind: Kind, namespace: str, name: str, changes: Object, *, subresource: str = "") -> Object:
        """Change fields of an object that is there, whoever owns them; None removes one (RFC 7396)."""
        raise NotImplementedError

    def scale(self, kind: Kind, namespace: str, name: str, replicas: int) -> None:
        """Have so many replicas, by the object's `scale`."""
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError
