"""This machine as a target: what the supervisor keeps, asked over its socket. Where none runs, that is said."""

from __future__ import annotations

import contextlib
import functools
import http.client
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tiffin.deploy.local.explain import explained
from tiffin.deploy.local.fronts import Local
from tiffin.deploy.local.logs import Following, lines
from tiffin.deploy.local.places import FOLDER, SOCKET, home_of
from tiffin.deploy.local.replicas import HOME, SERVICE
from tiffin.deploy.local.services import Applied
from tiffin.deploy.local.state import Event
from tiffin.deploy.local.watched import Watched
from tiffin.deploy.service import Service
from tiffin.deploy.target import Change, Decision, Phase, Revision, Status
from tiffin.engine.spec import Container, Engine, LogLine
from tiffin.engine.spec import Status as EngineStatus
from tiffin.errors import (
    CommandError,
    ConflictError,
    NotFoundError,
    TiffinError,
    UnavailableError,
)
from tiffin.oci.documents import decode, encode

T = TypeVar("T")

POLL_SECONDS = 0.1
GONE_SECONDS = 120.0
"""How long a service may take to go: its front finishes what it has, and then its replicas."""
WAIT_SECONDS = 15.0
"""How long the supervisor may take to answer, when it has much to start."""
EXPLAINED = 100
"""So many of the last events are explained."""
_KINDS = {kind.code: kind for kind in TiffinError.__subclasses__()}


class LocalTarget:
    """Services of a data folder, kept by `tiffin up`; `engine` is asked for what replicas write."""

    def __init__(self, data: Path, engine: Engine, called: Callable[[str], Engine] | None = None) -> None:
        self._socket = data / FOLDER / SOCKET
        self._home, self._engine, self._called = home_of(data), engine, called

    # --- Target

    def plan(self, service: Service) -> Sequence[Change]:
        """Say what `apply` would do (see `Target`)."""
        return self._ask("POST", "/plan", list[Change], service)

    def apply(self, service: Service) -> Status:
        """Make it so, and wait until it is available (see `Target`)."""
        return self._await(service.name, self._ask("POST", "/apply", Applied, service))

    def status(self, name: str) -> Status:
        """Look at a service (see `Target`)."""
        return self._ask("GET", f"/services/{name}", Status)

    def list(self) -> Sequence[Status]:
        """Every service, by name."""
        return self._ask("GET", "/services", list[Status])

    def delete(self, name: str) -> None:
        """Let go of a service, and wait until it is gone."""
        self._ask("DELETE", f"/services/{name}", dict[str, Any])
        due = time.monotonic() + GONE_SECONDS
        while time.monotonic() < due:
            try:
                self.status(name)
            except NotFoundError:
                return
            time.sleep(POLL_SECONDS)
        raise UnavailableError(
            f"{name} is not gone after {GONE_SECONDS:g} seconds", f"`tiffin events {name}` says more"
        )

    # --- abilities

    def scale(self, name: str, least: int, most: int) -> None:
        """Keep it between so many replicas (see `CanScale`)."""
        self._change(name, "scale", {"least": least, "most": most})

    def history(self, name: str) -> Sequence[Revision]:
        """The revisions that are kept, newest first (see `CanGoBack`)."""
        return self.status(name).revisions

    def rollback(self, name: str, number: int | None = None) -> Status:
        """Go back to a revision (see `CanGoBack`)."""
        return self._await(name, self._change(name, "rollback", {"number": number}))

    def canary(self, service: Service, percent: float) -> Status:
        """Give a revision a part of the requests (see `CanCanary`)."""
        body = {"service": service, "percent": percent}
        return self._await(service.name, self._ask("POST", "/canary", Applied, body))

    def promote(self, name: str) -> Status:
        """Give the canary all requests (see `CanCanary`)."""
        return self._await(name, self._change(name, "promote", {}))

    def explain(self, name: str) -> Sequence[Decision]:
        """What was decided lately, with its numbers (see `CanExplain`)."""
        self.status(name)
        return explained(self.events(name, last=EXPLAINED))

    def pause(self, name: str) -> None:
        """Begin nothing more of a rollout (see `CanPause`)."""
        self._change(name, "pause", {})

    def resume(self, name: str) -> None:
        """Go on with it (see `CanPause`)."""
        self._change(name, "resume", {})

    def move(self, name: str, engine: str) -> Status:
        """Have another engine run its replicas, one after the other, as a rollout would."""
        return self._await(name, self._change(name, "move", {"engine": engine}))

    def restart(self, name: str) -> Status:
        """Replace every replica by one alike (see `CanRestart`)."""
        return self._await(name, self._change(name, "restart", {}))

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[tuple[str, LogLine]]:
        """What the replicas write (see `CanLog`); while it follows, of those that come later too."""
        self.status(name)
        events = self.events(name)
        if not follow:
            return lines(self.replicas(name), events, tail)
        after = events[-1].id if events else 0
        heard = functools.partial(self._events_after, name)
        return Following(lambda: self.replicas(name), heard, after).lines(tail)

    def replicas(self, name: str) -> Sequence[Container]:
        """The containers of a service, oldest first; none where no service has the name."""
        wanted = {HOME: self._home, SERVICE: name}
        there = [found for engine in self._engines(name) for found in engine.list()]
        return [found for found in there if wanted.items() <= found.spec.labels.items()]

    def wanted(self, name: str) -> Service:
        """A service as it is wanted."""
        return self._ask("GET", f"/services/{name}/wanted", Service)

    def replica(self, name: str, which: str = "") -> Container:
        """A replica that runs (see `CanReach`)."""
        self.status(name)
        running = [one for one in self.replicas(name) if one.state().status is EngineStatus.RUNNING]
        names = ", ".join(one.spec.name for one in running)
        found = next((one for one in running if which in {"", one.spec.name}), None)
        if found is None:
            said = f"{name} has no replica {which}" if which else f"no replica of {name} runs"
            raise NotFoundError(said, f"those that run: {names}" if names else f"`tiffin status {name}` says why")
        return found

    def events(self, name: str = "", *, after: int = 0, last: int = 1000, wait: float = 0.0) -> Sequence[Event]:
        """What was decided and seen, oldest first; waits so many seconds for the first one."""
        query = f"service={name}&after={after}&last={last}&wait={wait:g}"
        return self._ask("GET", f"/events?{query}", list[Event], wait=wait)

    def watch(self, name: str = "") -> Sequence[Watched]:
        """How services are now, for who watches them; raises NotFoundError."""
        return self._ask("GET", f"/watch?service={name}", list[Watched])

    # --- asking

    def _change(self, name: str, verb: str, body: Mapping[str, object]) -> Applied:
        return self._ask("POST", f"/services/{name}/{verb}", Applied, body)

    def _await(self, name: str, applied: Applied) -> Status:
        """Wait until a revision is available, is given up, or somebody else wants another."""
        while True:
            status = self.status(name)
            events = self.events(name, after=applied.event)
            told = [event for event in events if event.kind in {"available", "given-up", "apply", "delete"}]
            for event in told:
                if event.kind == "given-up" and event.numbers.get("revision") == applied.revision:
                    raise _given_up(name, event, events)
            later = [event for event in told if event.kind in {"apply", "delete"}][1:]
            if later:
                raise ConflictError(
                    f"{name} was changed by somebody else meanwhile: {later[-1].message}", f"`tiffin events {name}`"
                )
            if status.phase in {Phase.AVAILABLE, Phase.PAUSED}:
                return status
            time.sleep(POLL_SECONDS)

    def _ask(self, method: str, path: str, kind: type[T], body: object = None, wait: float = 0.0) -> T:
        connection = Local(self._socket, WAIT_SECONDS + wait)
        try:
            connection.request(method, path, None if body is None else encode(body))
            answer = connection.getresponse()
            data = answer.read()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise UnavailableError(
                "nobody keeps services on this machine: no supervisor runs", "`tiffin up` starts one, in the foreground"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError(f"the supervisor does not answer: {error}", "try again") from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise _translated(msgspec.json.decode(data))
        return decode(kind, data, "the supervisor's answer")

    def _events_after(self, name: str, after: int, wait: float) -> Sequence[Event]:
        return self.events(name, after=after, wait=wait)

    def _engines(self, name: str) -> Sequence[Engine]:
        """The engines that may have replicas of a service: the usual one, and those of its revisions."""
        others = set[str]()
        with contextlib.suppress(NotFoundError, UnavailableError):
            others = {revision.engine for revision in self.status(name).revisions if revision.replicas} - {""}
        return [self._engine, *(self._called(other) for other in sorted(others) if self._called)]


def _given_up(name: str, event: Event, events: Sequence[Event]) -> CommandError:
    """Say why a revision was given up, with the last words of a replica that was lost."""
    lost = [other.numbers.get("log", []) for other in events if other.kind == "lost" and other.id < event.id]
    words = "".join(f"\n    {line}" for line in (lost[-1] if lost else []))
    return CommandError(f"{name}: {event.message}{words}", f"`tiffin events {name}` and `tiffin logs {name}`")


def _translated(answer: Mapping[str, Any]) -> TiffinError:
    told = answer["error"]
    return _KINDS.get(told["code"], TiffinError)(told["message"], told["hint"] or None)
