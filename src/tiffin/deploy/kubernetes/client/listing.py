"""Lists of objects, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tiffin.deploy.kubernetes.client.asking import Asking, Question
from tiffin.deploy.kubernetes.client.kinds import Kind
from tiffin.deploy.kubernetes.client.refusals import ExpiredError
from tiffin.errors import UnavailableError

PAGE = 500
"""Objects that are asked for at a time."""

Object = dict[str, Any]
Objects = list[Object]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects: of a kind, in a namespace or anywhere, with these labels and these fields."""

    kind: Kind
    namespace: str = ""
    labels: Mapping[str, str] = {}
    fields: Mapping[str, str] = {}

    @property
    def path(self) -> str:
        """Where the server keeps them."""
        return self.kind.path(self.namespace)

    @property
    def query(self) -> dict[str, str]:
        """How the server is told which."""
        said = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {
            name: ",".join(f"{key}={value}" for key, value in chosen.items()) for name, chosen in said.items() if chosen
        }


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The objects that there were at one `version` of the whole."""

    version: str
    items: Objects


def read_list(asking: Asking, selection: Selection, page: int = PAGE) -> Listing:
    """Read all of them as they were at one moment.

    Where the server forgets how its list goes on (410), it is read from the beginning, the second time at once.
    """
    try:
        return _pages(asking, selection, page)
    except ExpiredError:
        try:
            return _pages(asking, selection, page)
        except ExpiredError:
            return _pages(asking, selection, 0)


def _pages(asking: Asking, selection: Selection, page: int) -> Listing:
    query = {**selection.query, **({"limit": str(page)} if page else {})}
    items: list[Object] = []
    more: dict[str, str] = {}
    while True:
        question = Question(path=selection.path, query={**query, **more})
        answer = asking.ask(question)
        items += (_whole(item, selection.kind) for item in answer.get("items") or ())
        about = answer.get("metadata") or {}
        if not (following := about.get("continue")):
            return Listing(version=about.get("resourceVersion", ""), items=items)
        if more.get("continue") == following:
            raise UnavailableError(
                f"{asking.shown(question)}: the list does not go on", "look at the API server's logs"
            )
        more = {"continue": following}


def _whole(item: Object, kind: Kind) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.name, **item}
