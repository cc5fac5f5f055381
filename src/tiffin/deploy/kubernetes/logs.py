"""What the replicas of a service write as one stream: those that are there and, where it is followed, those to come."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import POD
from tiffin.deploy.kubernetes.order import NAME
from tiffin.engine.spec import LogLine
from tiffin.errors import NotFoundError, TiffinError

Line = tuple[str, LogLine]
Run = tuple[str, int]
"""A pod, and how often its container was started again."""
_LOOK = 2.0
"""Seconds between looks for replicas that are new."""


def lines(api: Api, namespace: str, name: str, tail: int | None) -> Iterator[Line]:
    """What all replicas wrote, by the time of each line."""

    def one(pod: str) -> Iterator[Line]:
        return ((pod, line) for line in _begun(api.logs(namespace, pod, tail=tail)))

    pods = [pod["metadata"]["name"] for pod in api.list(POD, namespace, {NAME: name})]
    if not pods:
        raise NotFoundError(f"{name} has no replicas in the namespace {namespace}", "`tiffin status` shows why")
    return heapq.merge(*map(one, pods), key=lambda line: line[1].time)


def _begun(log: Iterator[LogLine]) -> Iterator[LogLine]:
    """A replica that has not begun, or is just gone, has written nothing."""
    try:
        yield from log
    except TiffinError:
        return


def follow(api: Api, namespace: str, name: str, tail: int | None) -> Iterator[Line]:
    """What all replicas write from now on, and those that come; goes on until whoever reads has enough."""
    heard: queue.SimpleQueue[Line] = queue.SimpleQueue()
    followed: set[Run] = set()

    def listen(pod: str, last: int | None) -> None:
        for line in _begun(api.logs(namespace, pod, follow=True, tail=last)):
            heard.put((pod, line))

    first = True
    while True:
        for run in sorted(_runs(api.list(POD, namespace, {NAME: name})) - followed):
            followed.add(run)
            threading.Thread(target=listen, args=(run[0], tail if first else None), daemon=True).start()
        first = False
        yield from _for_a_while(heard)


def _runs(pods: Iterable[dict[str, Any]]) -> set[Run]:
    """Every container that runs, told apart from the one before it in the same pod."""
    return {
        (pod["metadata"]["name"], one.get("restartCount", 0))
        for pod in pods
        for one in pod.get("status", {}).get("containerStatuses", [])
        if "running" in one.get("state", {})
    }


def _for_a_while(heard: queue.SimpleQueue[Line]) -> Iterator[Line]:
    """What is heard until it is time to look for new replicas."""
    due = time.monotonic() + _LOOK
    while (left := due - time.monotonic()) > 0:
        try:
            yield heard.get(timeout=left)
        except queue.Empty:
            return
