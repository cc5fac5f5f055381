"""A front that is played: who is ready, and who fails, is what files in its halls say; clients are told the revision.

It keeps to what the supervisor relies on of spec/fronts.md: it reads its table at the start and when it is asked to,
says what becomes of each revision, pokes when that changes, and lets clients wait while nobody is ready. A line that a
client sends before it is answered, `hold`, keeps its request in the front until the client goes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

LOCK = threading.RLock()


class State:
    def __init__(self) -> None:
        self.table: dict[str, Any] = json.loads(Path("table.json").read_text())
        self.waiting = 0
        self.requests: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.in_flight: dict[str, dict[socket.socket, float]] = {}
        self.awake: set[str] = set()
        self.turn = 0

    def hall(self, revision: str) -> tuple[dict[str, float], dict[str, str]]:
        files = list((Path(self.table["revisions"][revision]["folder"]) / "hall").glob("*"))
        ready = {file.name: file.stat().st_mtime for file in files if not file.suffix}
        return ready, {file.stem: file.read_text() for file in files if file.suffix == ".failed"}

    def state_of(self, revision: str) -> str:
        said: str = self.table["revisions"][revision].get("state", "open")
        if said == "closing" and not self.in_flight.get(revision):
            return "closed"
        return "awake" if said == "asleep" and revision in self.awake else said

    def told(self) -> dict[str, Any]:
        lanes = {}
        for revision, entry in self.table["revisions"].items():
            ready, failures = self.hall(revision)
            state = self.state_of(revision)
            lanes[revision] = {
                "state": state,
                "weight": entry.get("weight", 0.0),
                "ready": {} if state == "asleep" else ready,
                "failures": failures,
                "requests": self.requests.get(revision, 0),
                "seconds": self.seconds.get(revision, 0.0)
                + sum(time.monotonic() - began for began in self.in_flight.get(revision, {}).values()),
                "in_flight": len(self.in_flight.get(revision, {})),
            }
        return {"service": self.table["service"], "pid": os.getpid(), "waiting": self.waiting, "revisions": lanes}

    def chosen(self) -> str | None:
        """The revision with the largest share that has somebody ready, and of a hundred requests each its share."""
        able: list[tuple[float, str]] = [
            (entry.get("weight", 0.0), key)
            for key, entry in self.table["revisions"].items()
            if entry.get("state") != "closing" and self.hall(key)[0]
        ]
        if not able:
            return None
        self.turn += 1
        place, total = self.turn * 37 % 100, 0.0
        for weight, key in sorted(able):
            total += weight
            if place < total:
                return key
        return max(able)[1]


def poke(state: State) -> None:
    out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    with out, contextlib.suppress(OSError):
        out.sendto(state.table["service"].encode(), state.table["poke"])


def counted(state: State) -> str:
    """What a front says of its requests, by revision."""
    return "".join(
        f'tiffin_requests_total{{model="iris",version="1",protocol="oip",code="{code}",revision="{key}"}} {count}\n'
        f'tiffin_request_duration_seconds_bucket{{model="iris",protocol="oip",le="{le}",revision="{key}"}} {count}\n'
        for key in state.table["revisions"]
        for code, le, count in ((200, 0.1, state.requests.get(key, 0)), (500, "+Inf", 0))
    )


def reread(state: State) -> bytes:
    table = json.loads(Path("table.json").read_text())
    for entry in table["revisions"].values():
        if "refused" in (Path(entry["folder"]) / "service.json").read_text():
            return b"400 Bad Request"
    state.table = table
    for key, entry in table["revisions"].items():
        if entry.get("state") != "asleep":
            state.awake.discard(key)
    return b"200 OK"


def said(asked: bytes, state: State) -> bytes:
    return (counted(state) if asked.startswith(b"GET /metrics") else json.dumps(state.told())).encode()


def administer(listener: socket.socket, state: State) -> None:
    while True:
        client, _ = listener.accept()
        asked = client.recv(1 << 16)
        with LOCK:
            status = reread(state) if asked.startswith(b"POST") else b"200 OK"
            body = said(asked, state) if status == b"200 OK" else b'{"error": "it cannot be served"}'
        head = b"HTTP/1.1 %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(body))
        client.sendall(head + body)
        client.close()


def admit(state: State, client: socket.socket) -> str:
    """Wait until somebody is ready, and have the request counted there."""
    waits = False
    while True:
        with LOCK:
            revision = state.chosen()
            if revision is not None:
                state.waiting -= waits
                state.in_flight.setdefault(revision, {})[client] = time.monotonic()
                return revision
            if not waits:
                waits = True
                state.waiting += 1
                poke(state)
        time.sleep(0.005)


def answer(client: socket.socket, state: State) -> None:
    revision = admit(state, client)
    with LOCK:
        state.requests[revision] = state.requests.get(revision, 0) + 1
        if state.state_of(revision) == "asleep":
            state.awake.add(revision)
            poke(state)
    with contextlib.suppress(OSError):
        client.sendall(revision.encode())
        client.settimeout(0.05)
        while client.recv(100) == b"hold":
            client.settimeout(None)
    with LOCK:
        began = state.in_flight[revision].pop(client)
        state.seconds[revision] = state.seconds.get(revision, 0.0) + time.monotonic() - began
    client.close()


def watch(state: State) -> None:
    """Poke when somebody is ready, or fails, or has closed, and each second while there are requests."""
    before: object = None
    due = time.monotonic()
    while True:
        with LOCK:
            told = state.told()["revisions"]
            now = {key: (lane["state"], sorted(lane["ready"]), lane["failures"]) for key, lane in told.items()}
            busy = state.waiting or any(lane["in_flight"] for lane in told.values())
            if now != before or (busy and state.table.get("samples") and time.monotonic() >= due):
                poke(state)
                before, due = now, time.monotonic() + 1
        time.sleep(0.01)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sockets = {name: socket.socket(fileno=3 + at) for at, name in enumerate(os.environ["LISTEN_FDNAMES"].split(":"))}
    http, admin = sockets["http"], sockets["metrics"]
    state = State()
    for work in (lambda: administer(admin, state), lambda: watch(state)):
        threading.Thread(target=work, daemon=True).start()
    while not state.table["wakes"] and state.chosen() is None:
        time.sleep(0.01)
    while True:
        client, _ = http.accept()
        threading.Thread(target=answer, args=(client, state), daemon=True).start()


main()
