"""What whoever watches the services of a supervisor is told: how they are now, metrics, and where to find these.

Nothing is counted or asked for those who do not watch: fronts are asked when somebody asks here.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import msgspec

from tiffin.deploy.local import clock, exposition, metrics
from tiffin.deploy.local.fronts import Fronts, Local
from tiffin.deploy.local.holder import ADMIN
from tiffin.deploy.local.services import Services
from tiffin.deploy.local.state import State
from tiffin.deploy.local.table import Told
from tiffin.deploy.local.watched import Seen, Watched, watched_of
from tiffin.errors import UnavailableError
from tiffin.oci.documents import encode

PATIENCE = 2.0
"""Seconds that a front has for an answer to whoever watches."""
ALL_SECONDS = 6.0
"""Seconds that all of them have together: what hangs is left out then."""
PASSED_ON = ("accept", "accept-encoding")
TOLD = ("content-type", "content-encoding", "vary")


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer in HTTP."""

    body: bytes
    kind: str = "application/json"
    status: int = 200
    more: tuple[str, ...] = ()


def is_watched(path: tuple[str, ...]) -> bool:
    """Say whether a path is asked by who watches, of all that is asked by GET."""
    return path in {("watch",), ("metrics",), ("discovery",)} or (
        path[:1] == ("services",) and path[2:] == ("metrics",)
    )


class Watching:
    """Answers who watches; every method blocks, and may be called by several threads at once.

    `address` is where the metrics are listened for by TCP, empty where they are not.
    """

    def __init__(self, services: Services, state: State, folder: Path, address: str = "") -> None:
        self._services, self._state, self._folder, self._address = services, state, folder, address

    def answer(self, path: tuple[str, ...], query: Mapping[str, str], headers: Mapping[str, str]) -> Reply | None:
        """Answer a GET of what is watched; None for everything else. Raises NotFoundError, UnavailableError."""
        match path:
            case ("watch",):
                return Reply(body=encode(self.watched(query.get("service", ""))))
            case ("metrics",):
                return self.metrics(headers.get("accept", ""))
            case ("discovery",):
                return Reply(body=encode(self.discovery(headers.get("host", ""))))
            case ("services", name, "metrics"):
                return self.of_front(name, headers)
        return None

    def watched(self, name: str = "") -> list[Watched]:
        """How a service is now, or all of them; raises NotFoundError."""
        names, due = [name] if name else list(self._state.services()), time.monotonic() + ALL_SECONDS
        return [self._watched(one, min(PATIENCE, max(due - time.monotonic(), 0.0))) for one in names]

    def metrics(self, accept: str) -> Reply:
        """All services and the supervisor itself, in the format that is preferred."""
        openly = exposition.prefers_openmetrics(accept)
        told = chain(metrics.families(self.watched()), metrics.process())
        kind = exposition.OPEN if openly else exposition.PLAIN
        return Reply(body=exposition.text(told, openmetrics=openly).encode(), kind=kind)

    def discovery(self, host: str) -> list[dict[str, object]]:
        """Where a Prometheus that has asked `host` finds this supervisor and each service (its http_sd_config)."""
        targets = [host if host not in {"", "localhost"} else self._address]
        fronts = [{"__metrics_path__": f"/services/{name}/metrics", "service": name} for name in self._state.services()]
        labels = [{"__metrics_path__": "/metrics"}, *fronts]
        return [{"targets": targets, "labels": one} for one in labels]

    def of_front(self, name: str, headers: Mapping[str, str]) -> Reply:
        """The metrics of a service's front, as it tells them; raises NotFoundError, UnavailableError."""
        self._state.find(name)
        connection = Local(self._folder / name / ADMIN, PATIENCE)
        try:
            connection.request("GET", "/metrics", headers={one: headers[one] for one in PASSED_ON if one in headers})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError(
                f"the front of {name} does not answer: {error}", f"`tiffin status {name}` says how it is"
            ) from error
        finally:
            connection.close()
        told = {one: value for one in TOLD if (value := answer.getheader(one))}
        kind = told.pop("content-type", exposition.PLAIN)
        return Reply(
            status=answer.status, body=body, kind=kind, more=tuple(f"{one}: {value}" for one, value in told.items())
        )

    def _watched(self, name: str, patience: float) -> Watched:
        kept, status, tended = self._state.find(name), self._services.status(name), self._services.tended.get(name)
        seen = Seen(
            now=clock.now(),
            ahead=time.time() - clock.now(),
            replicas=kept.service.replicas,
            view=tended.view if tended else None,
            told=(Fronts(self._folder / name).told(patience) if patience else None) or Told(),
            counts=self._state.counts(name),
            created=min((one.created for one in self._state.history(name)), default=0.0),
        )
        return watched_of(status, seen)
