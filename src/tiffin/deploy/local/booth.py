"""The one front of a service as it is had: its holder, its process, its table, and the folders of its revisions."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tiffin import __version__
from tiffin.deploy.local.fronts import Fronts, Order
from tiffin.deploy.local.names import NAMED
from tiffin.deploy.local.others import FINISH_SECONDS
from tiffin.deploy.local.replicas import HALL, life_of
from tiffin.deploy.local.sight import Picture
from tiffin.deploy.local.state import Kept, Known
from tiffin.deploy.local.table import TABLE, Entry, Table, Upstream, follows, read_table, write_table
from tiffin.deploy.local.workshop import Workshop
from tiffin.deploy.service import Template
from tiffin.errors import ConfigError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode

HOST = "127.0.0.1"
GRPC = "grpc"
DRAIN_POLL_SECONDS = 0.05
POKE = "../poke.sock"
_BEARER, _TOKEN, _TOKEN_FILE = "bearer-token", "TIFFIN_BEARER_TOKEN", "TIFFIN_BEARER_TOKEN_FILE"


class Booth:
    """Has a front for a service, in a folder; every change of its table is on disk before the front hears of it."""

    def __init__(self, name: str, folder: Path, workshop: Workshop) -> None:
        self._name, self._folder, self._workshop = name, folder, workshop
        self._fronts = Fronts(folder)
        self._table: Table | None = None

    @property
    def table(self) -> Table | None:
        """What the front was last told."""
        if self._table is None:
            self._table = read_table(self._folder)
        return self._table

    def look(self, kept: Kept) -> Picture:
        """Have a front that does as its table says, and look at it; raises what keeps it from being."""
        if not kept.desired.gone:
            public = {"http": (HOST, kept.port)}
            named = {NAMED: (kept.address, kept.named_port)} if kept.address else {}
            self._fronts.hold_any([public | named, public])
            if kept.grpc_port:
                self._fronts.hold_besides(GRPC, (HOST, kept.grpc_port))
        table = self.table
        if table is None:
            return Picture()
        self._settle(table, kept)
        seen = self._fronts.look()
        order = self._order(kept)
        if not kept.desired.gone and (seen is None or seen.stamp != order.stamp):
            self._fronts.serve(order)
            seen = self._fronts.look()
        told = self._fronts.told()
        picture = Picture(table=self.table, seen=seen, told=told)
        if picture.closed:
            self._drop(picture.closed, gone=kept.desired.gone)
            picture = Picture(table=self.table, seen=seen, told=told)
        elif told is not None and self.table is not None and not follows(told, self.table):
            self._fronts.tell()
        return picture

    def open(self, kept: Kept, known: Known) -> None:
        """Have the front know a revision; raises ConfigError where it cannot serve it."""
        place, template = self.place(known.number), known.template
        (place / HALL).mkdir(mode=0o755, parents=True, exist_ok=True)
        for name, data in self._workshop.documents(template).items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
        entry = Entry(
            folder=str(known.number),
            token=kept.token,
            image=str(template.digest),
            bearer=_bearer(template, place),
            drain_seconds=template.drain_seconds,
        )
        if not template.inherits:
            entry = msgspec.structs.replace(entry, probe=template.probe, drain_seconds=FINISH_SECONDS, bearer="")
        table = self.table or Table(service=self._name, salt=life_of(kept.token), poke=POKE)
        self._change(_flagged(table, kept).opened(known.number, entry))
        if self._fronts.look() is None:
            self._fronts.serve(self._order(kept))

    def close(self, revision: int) -> None:
        """Let a revision finish what it has."""
        if self.table:
            self._change(self.table.closing(revision))

    def sleep(self, revision: int, *, on: bool) -> None:
        """Put a revision to sleep, or let it sleep no more."""
        if self.table:
            self._change(self.table.asleep(revision, on=on))

    def shift(self, weights: Mapping[int, float]) -> None:
        """Share the requests out anew."""
        if self.table:
            self._change(self.table.shifted(weights))

    def reach(self, upstreams: Mapping[int, Mapping[str, Upstream]]) -> None:
        """Have a relay know where the replicas of each revision are reached."""
        table = self.table
        for revision, reached in upstreams.items():
            table = table.reached(revision, reached) if table else None
        if table and table != self.table:
            self._change(table)

    def upstreams(self, revision: int) -> Mapping[str, Upstream]:
        """Where a relay reaches the replicas of a revision."""
        entry = self.table.revisions.get(str(revision)) if self.table else None
        return entry.upstreams if entry else {}

    def drain(self, revision: int, name: str) -> None:
        """Have a relay lead nobody more to a replica."""
        upstreams = self.upstreams(revision)
        if name in upstreams:
            draining = msgspec.structs.replace(upstreams[name], draining=True)
            self.reach({revision: {**upstreams, name: draining}})

    def await_drained(self, name: str) -> None:
        """Wait until no connection leads to a replica any more, as far as anybody says, but not forever."""
        due = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < due and (told := self._fronts.told()) is not None:
            if not any(lane.connections.get(name) for lane in told.revisions.values()):
                return
            time.sleep(DRAIN_POLL_SECONDS)

    def place(self, revision: int) -> Path:
        """The folder of a revision: its documents, and where its workers come to."""
        return self._folder / str(revision)

    def sweep(self, revision: int) -> None:
        """Delete the folders of revisions that the front does not know."""
        known = {str(revision), *(self.table.revisions if self.table else ())}
        for place in self._folder.glob("*/"):
            if place.name.isdecimal() and place.name not in known:
                shutil.rmtree(place, ignore_errors=True)

    def leave(self) -> None:
        """Look after it no longer; it goes on."""
        self._fronts.close()

    def end(self) -> None:
        """Let the front finish, and keep nothing of it."""
        self._fronts.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- the table

    def _settle(self, table: Table, kept: Kept) -> None:
        """Have the table say what the service says now."""
        if not kept.desired.gone and (flagged := _flagged(table, kept)) != table:
            self._change(flagged)

    def _drop(self, closed: list[int], *, gone: bool) -> None:
        """Take out revisions that have finished; with the last one of a service that is to go, the front goes."""
        table = self.table
        for revision in closed:
            table = table.without(revision) if table else None
        if table and table.revisions:
            self._change(table)
        elif gone:
            self._fronts.end()
            (self._folder / TABLE).unlink(missing_ok=True)
            self._table = None

    def _change(self, table: Table) -> None:
        """Write another table down, and have the front read it; one that it does not take is taken back."""
        before = self.table
        write_table(self._folder, table)
        self._table = table
        try:
            self._fronts.tell()
        except ConfigError:
            self._table = before
            if before is None:
                (self._folder / TABLE).unlink()
            else:
                write_table(self._folder, before)
            raise

    def _order(self, kept: Kept) -> Order:
        if kept.service.template.inherits:
            argv, environment = self._workshop.front()
            argv = (*argv, "front", "--table", TABLE)
        else:
            argv, environment = self._workshop.relay()
            argv = (*argv, "--table", TABLE)
        sockets = [GRPC] if kept.grpc_port else []  # a front that was started without it is followed by one that has it
        stamp = Digest.of(encode([__version__, argv, environment.get("PYTHONPATH", ""), *sockets])).hex[:12]
        return Order(argv=argv, env=environment, stamp=stamp)


def _flagged(table: Table, kept: Kept) -> Table:
    """What the front is told of the service: whether its load decides anything now, and whether it may be at zero."""
    replicas = kept.service.replicas
    samples = replicas.scales or not kept.desired.settled  # a rollout that serves worse is given up
    return msgspec.structs.replace(table, samples=samples, wakes=replicas.scales and not replicas.least)


def _bearer(template: Template, place: Path) -> str:
    """Where the tokens of clients are, of an image that asks for them."""
    secrets = {one.name: one.source for one in template.secrets}
    if _BEARER in secrets:
        return secrets[_BEARER]
    if token := template.env.get(_TOKEN):
        file = place / "bearer"
        file.touch(mode=0o600)
        file.write_text(token)
        return str(file)
    return template.env.get(_TOKEN_FILE, "")
