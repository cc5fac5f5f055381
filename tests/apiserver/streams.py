"""What goes on and on: watches, and logs that are followed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from apiserver.refusal import Refusal
from apiserver.store import Happened
from apiserver.verbs import Request, selected

if TYPE_CHECKING:
    from apiserver.server import ApiServer

_WAKE_SECONDS = 0.05


def watch(server: ApiServer, request: Request) -> Iterator[bytes]:
    """Every change since a version, as lines of JSON; the first line is empty, and comes once the watch stands."""
    store, query = server.store, request.query
    seen = int(query.get("resourceVersion") or store.version)
    until = time.monotonic() + float(query.get("timeoutSeconds", 1800))
    bookmarked = time.monotonic()
    if server.gone_as_status:
        store.since(seen)
    yield b""
    while server.runs and time.monotonic() < until:
        try:
            news = store.since(seen)
        except Refusal as gone:
            yield _line("ERROR", gone.status)
            return
        for happened in news:
            seen = happened.version
            if event := _event(happened, request):
                yield event
        if query.get("allowWatchBookmarks") == "true" and time.monotonic() - bookmarked > server.bookmark_seconds:
            bookmarked = time.monotonic()
            about = {"resourceVersion": str(seen)}
            yield _line("BOOKMARK", {"kind": request.kind.kind, "apiVersion": "v1", "metadata": about})
            server.bookmarked = seen
        with store.changed:
            if store.version == seen:
                store.changed.wait(_WAKE_SECONDS)


def _event(happened: Happened, request: Request) -> bytes | None:
    """What a change is to one who watches some objects only."""
    before, after = (
        item
        if item is not None
        and happened.kind == request.kind
        and request.namespace in {"", item["metadata"].get("namespace", "")}
        and selected(item, request.query)
        else None
        for item in (happened.before, happened.after)
    )
    if after is not None:
        return _line("MODIFIED" if before is not None else "ADDED", after)
    if before is not None:
        version = {"resourceVersion": str(happened.version)}
        return _line("DELETED", {**before, "metadata": {**before["metadata"], **version}})
    return None


def _line(action: str, item: Any) -> bytes:
    return json.dumps({"type": action, "object": item}).encode() + b"\n"


@dataclass
class Logs:
    """What containers have written, by namespace, pod and container."""

    written: dict[tuple[str, str, str], list[tuple[str, str]]] = field(default_factory=dict)
    """Times and lines."""
    ended: set[tuple[str, str, str]] = field(default_factory=set)

    def write(self, namespace: str, pod: str, container: str, *lines: str, at: str = "") -> None:
        """Have a container write lines."""
        time_ = at or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
        self.written.setdefault((namespace, pod, container), []).extend((time_, line) for line in lines)

    def end(self, namespace: str, pod: str, container: str) -> None:
        """Have a container end."""
        self.ended.add((namespace, pod, container))

    def read(self, server: ApiServer, request: Request) -> Iterator[bytes]:
        """Its lines, as a kubelet gives them."""
        query = request.query
        pod = server.store.get(request.kind, request.namespace, request.name)
        names = [container["name"] for container in pod["spec"]["containers"]]
        name = query.get("container") or names[0]
        if name not in names:
            words = f"container {name} is not valid for pod {request.name}"
            raise Refusal(400, "BadRequest", words)
        previous = "/previous" if query.get("previous") == "true" else ""
        key = (request.namespace, request.name, name + previous)
        lines = self.written.get(key)
        if lines is None:
            words = f'previous terminated container "{name}" in pod "{request.name}" not found'
            waiting = f'container "{name}" in pod "{request.name}" is waiting to start: ContainerCreating'
            raise Refusal(400, "BadRequest", words if previous else waiting)
        yield b""
        at = max(0, len(lines) - int(query.get("tailLines", len(lines))))
        while True:
            for time_, line in lines[at:]:
                at += 1
                if time_[:19] >= query.get("sinceTime", "")[:19]:
                    yield (f"{time_} {line}" if query.get("timestamps") == "true" else line).encode() + b"\n"
            if query.get("follow") != "true" or key in self.ended or not server.runs:
                return
            time.sleep(_WAKE_SECONDS)
