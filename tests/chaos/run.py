"""Play a script on a service that is asked all the time, and keep account of what it cost."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from chaos.load import Account, Failure, Load, Times
from chaos.place import DEADLINE, NAME, PATH, STEP, Place, descendants, signal_all
from chaos.script import Kind, Moment, script
from programs.waiting import until
from tiffin.deploy.service import Service, revision_of
from tiffin.errors import CommandError, TiffinError

HANGS = 0.5
"""Seconds that a replica is stopped for: less than a quarter of a request's deadline."""
CANARY_SECONDS = 0.5
"""How long each share of a canary is held."""
STEPS = 120
"""A rollout has about so many steps of the supervisor's (see `mortal`)."""


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """One moment that has happened: from when to when, of the monotonic clock, and whether its end was waited for."""

    moment: Moment
    began: float
    ended: float
    settled: bool


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it all."""

    seed: int
    seconds: float
    account: Account
    times: Times
    played: tuple[Played, ...]
    deaths: tuple[tuple[float, float], ...]
    given_up: int

    def miscounted(self) -> bool:
        """Whether anything that was sent is neither answered nor known to have failed."""
        account = self.account
        return account.sent != account.answered + len(account.failures) or len(account.failures) != (
            account.failed + account.refused
        )

    def unexplained(self) -> list[Failure]:
        """The failures that no killed front explains: it fails what is in flight in it, once, by ending it."""
        return [one for one in self.account.failures if not self._died_with(one)]

    def _died_with(self, failure: Failure) -> bool:
        ended = failure.kind in {"BrokenError", "ConnectionResetError", "BrokenPipeError"}
        return ended and any(
            failure.sent <= died and began <= failure.ended and failure.opened <= died for began, died in self.deaths
        )


class Run:
    """A service with a load, and whatever a script says happening to it."""

    def __init__(self, place: Place, seed: int, say: Callable[[str], None] = lambda _: None) -> None:
        self._place, self._seed, self._say = place, seed, say
        self._words = (f"word-{number}" for number in itertools.count(1))
        self._wanted = place.service("word-0", 2)
        self._earlier: list[Service] = []
        self._played: list[Played] = []
        self._deaths: list[tuple[float, float]] = []
        self._given_up = self._event = 0
        self._doings: dict[Kind, Callable[[Moment], None]] = {
            Kind.UPDATE: self._update,
            Kind.UPDATE_KILLED: self._update_killed,
            Kind.CANARY: self._canary,
            Kind.CANARY_BACK: self._canary_back,
            Kind.SCALE: self._scale,
            Kind.ROLLBACK: self._roll_back,
            Kind.PAUSE: self._pause,
            Kind.MIGRATE: self._migrate,
            Kind.KILL_SUPERVISOR: self._kill_supervisor,
            Kind.KILL_REPLICA: self._kill_replica,
            Kind.KILL_HOLDER: self._kill_holder,
            Kind.KILL_FRONT: self._kill_front,
            Kind.HANG: self._hang,
        }

    @property
    def kinds(self) -> list[Kind]:
        """What can happen here."""
        return [kind for kind in self._doings if kind is not Kind.MIGRATE or self._place.moves]

    def play(self, folder: Path, *, rate: float, enough: Callable[[int, float, int], bool]) -> Told:
        """Play until enough requests were sent, seconds have passed and moments were played."""
        self._place.supervise()
        self._want(self._wanted)
        self._settle()
        load = Load(folder, self._place.port(), PATH, rate=rate, seed=self._seed)
        began = time.monotonic()
        with load.on():
            until(lambda: load.counted()[1] > rate / 2, lambda: f"nobody is answered: {load.counted()}")
            for moment in script(self._seed, self.kinds):
                if enough(load.counted()[0], time.monotonic() - began, len(self._played)):
                    break
                self._happen(moment)
                self._say(f"{moment.kind.value}: {load.counted()}")
            self._settle()
            answered = load.counted()[1]
            until(lambda: load.counted()[1] > answered + rate / 4, lambda: f"nobody is answered: {load.counted()}")
        return Told(
            seed=self._seed,
            seconds=time.monotonic() - began,
            account=load.account,
            times=load.times,
            played=tuple(self._played),
            deaths=tuple(self._deaths),
            given_up=self._given_up,
        )

    def roll_out_over(self, step: int) -> bool:
        """Roll out while the supervisor dies at a step, with nobody asking; says whether there was such a step."""
        if not self._place.supervised:
            self._place.supervise()
            self._want(self._wanted)
            self._settle()
        self._wanted = self._next()
        died = self._die_at(step, self._wanted)
        self._settle()
        return died

    def _happen(self, moment: Moment) -> None:
        time.sleep(moment.pause)
        began = time.monotonic()
        self._doings[moment.kind](moment)
        if moment.patient:
            self._settle()
        self._played.append(Played(moment=moment, began=began, ended=time.monotonic(), settled=moment.patient))

    # --- what happens

    def _next(self) -> Service:
        template = msgspec.structs.replace(self._wanted.template, env={"WORD": next(self._words)})
        return msgspec.structs.replace(self._wanted, template=template)

    def _update(self, _: Moment) -> None:
        self._want(self._next())

    def _update_killed(self, moment: Moment) -> None:
        """Roll out while the supervisor dies at one of its steps; another one goes on."""
        self._die_at(1 + int(moment.chance * STEPS), self._next())

    def _die_at(self, step: int, service: Service) -> bool:
        self._place.kill_supervisor()
        self._place.supervise_for(step)
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(self._want, service)
            until(lambda: not self._place.supervised or (asked.done() and not self._place.astray(service)))
            died = not self._place.supervised
            self._place.kill_supervisor()
            self._place.supervise()
            asked.result(DEADLINE)
        return died

    def _canary(self, _: Moment) -> None:
        service = self._next()
        if self._canaries(service, 10.0, 50.0):
            self._note_wanted(service)
            self._place.ask(lambda: self._place.begin(f"/services/{NAME}/promote", {}))

    def _canary_back(self, _: Moment) -> None:
        if self._canaries(self._next(), 10.0):
            self._roll_back_to(self._wanted)

    def _canaries(self, service: Service, *shares: float) -> bool:
        """Share the requests out, when a rollout that is under way is over; says whether it was not given up."""
        self._settle()
        for percent in shares:
            try:
                self._place.ask(lambda percent=percent: self._place.target.canary(service, percent))
            except CommandError as error:
                self._say(f"given up: {error.message}")
                self._given_up += 1
                return False
            time.sleep(CANARY_SECONDS)
        return True

    def _scale(self, moment: Moment) -> None:
        count = moment.replicas
        self._place.ask(lambda: self._place.target.scale(NAME, count, count))
        self._wanted = msgspec.structs.replace(
            self._wanted, replicas=msgspec.structs.replace(self._wanted.replicas, least=count, most=count)
        )

    def _roll_back(self, moment: Moment) -> None:
        """Go back to any of the revisions that there were."""
        if not self._earlier:
            return
        service = self._earlier[int(moment.chance * len(self._earlier))]
        self._roll_back_to(service)

    def _roll_back_to(self, service: Service) -> None:
        """Go back to the revision of a service; what is wanted otherwise stays."""
        digest = revision_of(service.template)
        status = self._place.ask(lambda: self._place.target.status(NAME))
        number = next((one.number for one in status.revisions if one.digest == digest), 0)
        if not number:
            return  # it never came to be: its rollout was overtaken before it was written down
        self._place.ask(lambda: self._place.begin(f"/services/{NAME}/rollback", {"number": number}))
        self._note_wanted(msgspec.structs.replace(self._wanted, template=service.template))

    def _migrate(self, _: Moment) -> None:
        """Have the other engine run it."""
        self._note_wanted(self._place.move(self._wanted))

    def _pause(self, moment: Moment) -> None:
        self._want(self._next())
        self._place.ask(lambda: self._place.target.pause(NAME))
        time.sleep(moment.chance)
        self._place.ask(lambda: self._place.target.resume(NAME))

    def _kill_supervisor(self, _: Moment) -> None:
        self._place.kill_supervisor()
        self._place.supervise()

    def _kill_replica(self, moment: Moment) -> None:
        if not (found := self._place.running()):
            return
        lost = found[int(moment.chance * len(found))]
        try:
            lost.kill()
        except TiffinError as error:
            self._say(f"was gone: {error}")
        until(lambda: lost.id not in {one.id for one in self._place.replicas()}, self._place.story)

    def _kill_holder(self, _: Moment) -> None:
        if pid := self._place.holder():
            signal_all([pid], signal.SIGKILL)
            until(lambda: self._place.holder() not in {0, pid})

    def _kill_front(self, _: Moment) -> None:
        self._deaths.append(self._place.kill_front())

    def _hang(self, moment: Moment) -> None:
        """Stop every process of a replica for a while."""
        if found := self._place.running():
            pids = descendants(found[int(moment.chance * len(found))].state().pid)
            signal_all(pids, signal.SIGSTOP)
            time.sleep(HANGS)
            signal_all(pids, signal.SIGCONT)

    # --- what is wanted

    def _want(self, service: Service) -> None:
        """Ask for a service, and wait for nothing."""
        self._place.ask(lambda: self._place.begin("/apply", service))
        self._note_wanted(service)

    def _note_wanted(self, service: Service) -> None:
        self._earlier.append(self._wanted)
        self._wanted = service

    def _settle(self) -> None:
        """Wait until what is wanted is there; what was given up, because the machine was slow, is asked for again."""
        due = time.monotonic() + DEADLINE
        while astray := self._place.astray(self._wanted):
            given_up = self._place.given_up(self._event)
            if given_up:
                self._event = given_up[-1].id
                self._given_up += 1
                self._say(f"given up: {given_up[-1].message}")
                until(self._place.available, self._place.story)  # it has gone back
                self._place.ask(lambda: self._place.begin("/apply", self._wanted))
            assert time.monotonic() < due, f"seed {self._seed}: {astray}\n{self._place.story()}"
            time.sleep(STEP)
