"""Who owns which fields of an object, what applying changes and what it may not: server-side apply.

https://kubernetes.io/docs/reference/using-api/server-side-apply/; the words of a conflict are those of apimachinery.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apiserver import fields
from apiserver.fields import Fields

Object = dict[str, Any]


@dataclass(frozen=True, order=True)
class Manager:
    """Somebody who sets fields, in one way and of one part of an object."""

    name: str
    operation: str
    """`Apply` or `Update`."""
    api_version: str
    subresource: str = ""
    time: str = ""

    def same(self, other: Manager) -> bool:
        """Whether it is the same but for the time."""
        return (self.name, self.operation, self.api_version, self.subresource) == (
            *(other.name, other.operation),
            *(other.api_version, other.subresource),
        )

    def shown(self) -> str:
        """How a conflict names it."""
        part = f' with subresource "{self.subresource}"' if self.subresource else ""
        when = f" at {self.time}" if self.time else ""
        return f'"{self.name}"{part}' + (f" using {self.api_version}{when}" if self.operation == "Update" else "")


class Conflicting(Exception):  # noqa: N818 - it is what the answer says, not an error of the server's
    """Others own fields that would be changed."""

    def __init__(self, owned: Mapping[Manager, Fields]) -> None:
        self.causes = [
            {"reason": "FieldManagerConflict", "message": f"conflict with {who.shown()}", "field": fields.shown(path)}
            for who in sorted(owned)
            for path in sorted(owned[who])
        ]
        if len(self.causes) == 1:
            message = f"1 conflict: {self.causes[0]['message']}: {self.causes[0]['field']}"
        else:
            parts = [
                "\n".join(
                    [f"conflicts with {who.shown()}:", *(f"- {fields.shown(path)}" for path in sorted(owned[who]))]
                )
                for who in sorted(owned)
            ]
            message = f"{len(self.causes)} conflicts: " + "\n".join(parts)
        super().__init__(f"Apply failed with {message}")


def apply(live: Object, wanted: Object, who: Manager, *, force: bool = False) -> Object:
    """Return what an object becomes, with its books; raises Conflicting."""
    books = read_books(live)
    mine = next((other for other in books if other.same(who)), None)
    last = books.pop(mine, frozenset()) if mine else frozenset()
    now = fields.fields_of(wanted)
    owned = frozenset().union(now, *books.values())
    orphans = {path for path in last - owned if not any(other[: len(path)] == path for other in owned)}
    orphans -= {path for path in orphans if fields.is_key(path) and path[:-1] not in orphans}
    merged = fields.without(fields.merge(bare(live), wanted), orphans)
    touched = fields.changed(bare(live), merged)
    conflicts = {other: theirs & touched for other, theirs in books.items() if theirs & touched}
    if conflicts and not force:
        raise Conflicting(conflicts)
    there = fields.fields_of(merged)
    books = {other: (theirs - conflicts.get(other, frozenset())) & there for other, theirs in books.items()}
    return with_books(merged, {**books, who: now})


def update(live: Object, new: Object, who: Manager) -> Object:
    """Return an object as somebody has written it, who takes over whatever has changed."""
    books = read_books(live)
    mine = next((other for other in books if other.same(who)), None)
    last = books.pop(mine, frozenset()) if mine else frozenset()
    new = bare(new)
    touched = fields.changed(bare(live), new)
    there = fields.fields_of(new)
    books = {other: (theirs - touched) & there for other, theirs in books.items()}
    return with_books(new, {**books, who if touched or not mine else mine: (last | touched) & there})


def bare(item: Object) -> Object:
    """An object without its books."""
    about = {name: value for name, value in item.get("metadata", {}).items() if name != "managedFields"}
    return {**item, "metadata": about}


def read_books(item: Object) -> dict[Manager, Fields]:
    """Who owns what."""
    return {
        Manager(
            entry["manager"],
            entry["operation"],
            entry["apiVersion"],
            entry.get("subresource", ""),
            entry.get("time", ""),
        ): fields.decode(entry["fieldsV1"])
        for entry in item.get("metadata", {}).get("managedFields") or ()
    }


def with_books(item: Object, books: Mapping[Manager, Fields]) -> Object:
    """An object with who owns what of it; who owns nothing is not mentioned."""
    entries = [
        {
            "manager": who.name,
            "operation": who.operation,
            "apiVersion": who.api_version,
            **({"subresource": who.subresource} if who.subresource else {}),
            **({"time": who.time} if who.time else {}),
            "fieldsType": "FieldsV1",
            "fieldsV1": fields.encode(owned),
        }
        for who, owned in sorted(books.items())
        if owned
    ]
    return {**item, "metadata": {**item["metadata"], "managedFields": entries}}


def same(live: Object, new: Object) -> bool:
    """Whether nothing has changed but the times in the books."""
    plain = [
        {(who.name, who.operation, who.subresource): owned for who, owned in read_books(item).items()}
        for item in (live, new)
    ]
    return bare(live) == bare(new) and plain[0] == plain[1]
