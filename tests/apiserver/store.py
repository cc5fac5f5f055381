"""The objects of a cluster, what became of them, and rules for what may become of them."""

from __future__ import annotations

import copy
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from apiserver import ownership, refusal
from apiserver.ownership import Conflicting, Manager, Object
from apiserver.served import KINDS, NAMESPACES, Served
from apiserver.wishes import check, complete

Key = tuple[str, str, str]
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True)
class Happened:
    """One change: what was there before, and what is there now."""

    version: int
    kind: Served
    before: Object | None
    after: Object | None

    @property
    def item(self) -> Object:
        """The object, in its last state where it is gone."""
        return self.after or self.before or {}


@dataclass
class Store:
    """All objects; whoever changes or reads several things at once holds `changed`."""

    window: int = 1000
    """So many changes are remembered for watches."""
    kinds: list[Served] = field(default_factory=lambda: list(KINDS))
    admission: list[Callable[[str, Served, Object], Iterable[str]]] = field(default_factory=list)
    """Each sees what is to be created or updated, and raises Refusal, or returns warnings."""
    warnings: list[str] = field(default_factory=list)
    version: int = 100
    forgotten: int = 0
    """The last version that watches cannot begin from."""
    objects: dict[tuple[str, str], dict[Key, Object]] = field(default_factory=dict)
    pages: dict[str, tuple[int, list[Object]]] = field(default_factory=dict)
    """The rest of lists that were read in part, with their version, by token."""
    history: deque[Happened] = field(default_factory=deque)
    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))

    def __post_init__(self) -> None:
        for name in ("default", "kube-system"):
            self.create(NAMESPACES, {"metadata": {"name": name}}, system("Update"))

    def of(self, kind: Served, namespace: str = "") -> list[Object]:
        """All objects of a kind, by name."""
        with self.changed:
            kept = self.objects.get((kind.group, kind.kind), {})
            return [kept[key] for key in sorted(kept) if not namespace or key[1] == namespace]

    def get(self, kind: Served, namespace: str, name: str) -> Object:
        """One object; raises Refusal."""
        with self.changed:
            found = self.objects.get((kind.group, kind.kind), {}).get(("", namespace, name))
            if found is None:
                raise refusal.absent(kind, name)
            return found

    def create(self, kind: Served, item: Object, who: Manager, *, dry: bool = False) -> Object:
        """Keep a new object."""
        about = item.setdefault("metadata", {})
        if not about.get("name") and about.get("generateName"):
            about["name"] = about["generateName"] + uuid.uuid4().hex[:5]
        with self.changed:
            if self._find(kind, about.get("namespace", ""), about.get("name", "")):
                raise refusal.taken(kind, about["name"])
            return self.keep(kind, None, ownership.update({"metadata": {}}, item, who), dry=dry)

    def update(self, kind: Served, item: Object, who: Manager, *, dry: bool = False) -> Object:
        """Write an object that is there over."""
        about = item["metadata"]
        with self.changed:
            live = self.get(kind, about.get("namespace", ""), about["name"])
            _be_of_now(kind, about, live)
            return self.keep(kind, live, ownership.update(live, item, who), dry=dry)

    def apply(self, kind: Served, item: Object, who: Manager, *, force: bool = False, dry: bool = False) -> Object:
        """Make an object so, and leave what others set."""
        about = item["metadata"]
        with self.changed:
            live = self._find(kind, about.get("namespace", ""), about["name"])
            _be_of_now(kind, about, live)
            try:
                new = ownership.apply(live or {"metadata": {}}, item, who, force=force)
            except Conflicting as conflicting:
                raise refusal.Refusal(409, "Conflict", str(conflicting), causes=conflicting.causes) from conflicting
            return self.keep(kind, live, new, dry=dry)

    def keep(self, kind: Served, live: Object | None, new: Object, *, dry: bool = False) -> Object:
        """Keep an object as it is now: checked, completed, admitted, counted and told."""
        new = copy.deepcopy(new)
        self._place(kind, live, new)
        complete(kind, new)
        check(kind, live, new)
        for admits in self.admission:
            self.warnings += admits("UPDATE" if live else "CREATE", kind, new)
        if live and ownership.same(live, new):
            return live
        if not dry:
            self._tell(kind, live, new)
        return new

    def delete(self, kind: Served, namespace: str, name: str, propagation: str = "Background") -> Object:
        """Remove an object, and what it owns unless that shall be orphans."""
        with self.changed:
            live = self.get(kind, namespace, name)
            self._tell(kind, live, None)
            uid = live["metadata"]["uid"]
            for other, child in list(self._owned(uid)):
                if propagation == "Orphan":
                    owners = [owner for owner in child["metadata"]["ownerReferences"] if owner["uid"] != uid]
                    self.keep(other, child, {**child, "metadata": {**child["metadata"], "ownerReferences": owners}})
                else:
                    self.delete(other, child["metadata"]["namespace"], child["metadata"]["name"], propagation)
            if kind is NAMESPACES:
                for other, child in [(kind, item) for kind in self.kinds for item in self.of(kind, name)]:
                    if self._find(other, name, child["metadata"]["name"]):
                        self.delete(other, name, child["metadata"]["name"])
            return live

    def since(self, version: int) -> list[Happened]:
        """What happened after a version; raises Refusal where that is forgotten."""
        with self.changed:
            if version < self.forgotten:
                raise refusal.expired(f"too old resource version: {version} ({self.forgotten})")
            return [happened for happened in self.history if happened.version > version]

    def forget(self) -> None:
        """Forget what happened until now, as a server does after five minutes."""
        with self.changed:
            self.version += 1
            self.forgotten = self.version
            self.history.clear()
            self.pages.clear()

    def _owned(self, uid: str) -> Iterator[tuple[Served, Object]]:
        for kind in self.kinds:
            for item in self.of(kind):
                if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", ())):
                    yield kind, item

    def _find(self, kind: Served, namespace: str, name: str) -> Object | None:
        return self.objects.get((kind.group, kind.kind), {}).get(("", namespace, name))

    def _place(self, kind: Served, live: Object | None, new: Object) -> None:
        """Give an object what is the server's to give."""
        about = new["metadata"]
        namespace, name = about.get("namespace", ""), about.get("name", "")
        if not _NAME.fullmatch(name):
            rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
            raise refusal.invalid(
                kind, name, [("FieldValueInvalid", f'Invalid value: "{name}": {rule}', "metadata.name")]
            )
        if kind.namespaced and not self._find(NAMESPACES, "", namespace):
            raise refusal.absent(NAMESPACES, namespace)
        before = live["metadata"] if live else {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 0}
        about |= {key: before[key] for key in ("uid", "creationTimestamp")}
        grown = live is None or live.get("spec") != new.get("spec")
        about["generation"] = before["generation"] + (1 if grown else 0)
        about["resourceVersion"] = before.get("resourceVersion", "")
        new |= {"apiVersion": kind.api_version, "kind": kind.kind}

    def _tell(self, kind: Served, before: Object | None, after: Object | None) -> None:
        """Keep it under the next version, and wake who waits for changes."""
        self.version += 1
        kept = self.objects.setdefault((kind.group, kind.kind), {})
        about = (after or before or {})["metadata"]
        key = ("", about.get("namespace", ""), about["name"])
        if after is None and before is not None:
            del kept[key]
            before = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self.version)}}
        elif after is not None:
            about["resourceVersion"] = str(self.version)
            kept[key] = after
        self.history.append(Happened(self.version, kind, before, after))
        while len(self.history) > self.window:
            self.forgotten = self.history.popleft().version
        self.changed.notify_all()


def _be_of_now(kind: Served, about: Object, live: Object | None) -> None:
    """Refuse who has seen another version than there is, or another object of that name, and says so."""
    version, uid = about.get("resourceVersion", ""), about.get("uid", "")
    if uid and live and uid != live["metadata"]["uid"]:
        raise refusal.other(kind, about["name"], "UID", uid, live["metadata"]["uid"])
    if version and (live is None or version != live["metadata"]["resourceVersion"]):
        raise refusal.modified(kind, about["name"])


def system(operation: str, subresource: str = "", name: str = "kube-controller-manager") -> Manager:
    """The cluster itself."""
    return Manager(name, operation, "v1", subresource, now())


def now() -> str:
    """The time as objects have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
