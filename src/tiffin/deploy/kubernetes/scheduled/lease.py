"""Take a Lease for as long as a pipeline runs: waited for, renewed, given back; and a run that loses it ends."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from socket import gethostname
from threading import Event, Thread

from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import LEASE
from tiffin.deploy.kubernetes.scheduled.turn import Turn, giving_back, is_free, is_renewed, read_turn, taking
from tiffin.errors import ConflictError, TiffinError
from tiffin.network import Patience
from tiffin.progress import note

SECONDS = 60
"""How long a Lease counts that is not renewed: what a pod that died keeps others from."""
BRIEFLY = Patience(attempts=2, unreachable=2, silent=1, silence=5.0)
"""How long the cluster is asked about a Lease: less than the Lease counts."""
_RENEWED = 4
"""So many times a Lease is renewed in its time,"""
_LOST = 2 / 3
"""and after so much of it without an answer it is taken to be lost, before others take it."""
_LOOK = 5.0
"""Seconds between two looks of who waits."""


class Lease:
    """One Lease of a cluster, as one process sees it."""

    def __init__(  # noqa: PLR0913 - clocks are those of the process but in tests
        self,
        api: Api,
        namespace: str,
        name: str,
        *,
        me: str = "",
        seconds: int = SECONDS,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at a Lease as `me`, by default this pod; nothing is asked yet."""
        self.me = me or f"{gethostname()}_{uuid.uuid4().hex[:8]}"
        self._api, self._place, self._seconds = api, (namespace, name), seconds
        self._wall, self._clock = wall, clock

    @contextmanager
    def held(self, stopped: Event, *, wait: bool) -> Iterator[None]:
        """Have the turn; one that is lost sets `stopped`, and raises ConflictError when all has ended.

        Raises ConflictError with the holder where somebody else has it, unless it is to `wait`.
        """
        self._take(stopped, wait=wait)
        over, lost = Event(), list[str]()
        thread = Thread(target=copy_context().run, args=(self._renew, over, stopped, lost))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self._give_back()
        if lost:
            raise ConflictError(f"the run was stopped: {lost[0]}", "what it finished is kept; run it again")

    def _take(self, stopped: Event, *, wait: bool) -> None:
        """Take the turn, when it is free."""
        seen, since, told = self._read(), self._clock(), ""
        while True:
            unchanged = self._clock() - since
            if is_free(seen, self.me, unchanged):
                if self._write(seen):
                    return
            else:
                if not wait and is_renewed(seen, self._wall()):
                    raise ConflictError(f"the pipeline is being run by {_pod(seen)}", "`--wait` waits for its turn")
                if told != seen.holder:
                    told = seen.holder
                    note(f"waits for {_pod(seen)}, which runs the pipeline")
                if stopped.wait(min(seen.seconds - unchanged, _LOOK)):
                    raise ConflictError(f"stopped while {_pod(seen)} ran the pipeline", "run it again")
            if (now := self._read()) != seen:
                seen, since = now, self._clock()

    def _renew(self, over: Event, stopped: Event, lost: list[str]) -> None:
        """Renew it until all is over; where that cannot be, others may take it, and the run ends before they do."""
        renewed = self._clock()
        while not over.wait(self._seconds / _RENEWED):
            began = self._clock()
            try:
                seen = self._read()
                if seen.holder == self.me and self._write(seen):
                    renewed = began
                    continue
                why = f"{_pod(seen)} has its turn" if seen.holder not in {"", self.me} else ""
            except TiffinError as error:
                why = "" if error.temporary else error.message
            if not why and self._clock() - renewed > self._seconds * _LOST:
                why = "the cluster did not say for too long whose turn it is"
            if why:
                lost.append(why)
                stopped.set()
                return

    def _give_back(self) -> None:
        """Let the next one have it at once; who cannot be told finds out by waiting."""
        with suppress(TiffinError):
            seen = self._read()
            if seen.holder == self.me:
                self._api.patch(LEASE, *self._place, giving_back(seen))

    def _read(self) -> Turn:
        return read_turn(self._api.get(LEASE, *self._place))

    def _write(self, seen: Turn) -> bool:
        """Take or renew it; False where somebody was faster."""
        try:
            self._api.patch(LEASE, *self._place, taking(seen, self.me, self._seconds, self._wall()))
        except ConflictError:
            return False
        return True


def _pod(turn: Turn) -> str:
    """Who has the turn, as people look for it."""
    return turn.holder.partition("_")[0] or "nobody"
