"""What the supervisor remembers: services as wanted, their revisions, crashes, and every decision with its numbers.

One SQLite file, one writer. What runs is not in it: that is seen, by the labels of containers and from the fronts.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tiffin.deploy.local import clock
from tiffin.deploy.local.seen import Crash, Desired
from tiffin.deploy.local.tally import tallied
from tiffin.deploy.service import Service, Template, revision_of
from tiffin.errors import ConflictError, FullError, IntegrityError, NotFoundError, TiffinError, UnavailableError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import decode, encode

VERSION = 1
BUSY_SECONDS = 1.0
"""How long somebody else may hold the file: nobody but the one supervisor writes to it."""
KEPT_EVENTS = 10_000
"""So many events are kept, the newest."""
KEPT_CRASHES = 3600.0
"""Seconds for which crashes are kept."""

_TABLES = """
CREATE TABLE services (name TEXT PRIMARY KEY, service BLOB NOT NULL, desired BLOB NOT NULL, port INTEGER NOT NULL,
                       token TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE revisions (service TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, template BLOB NOT NULL,
                        created REAL NOT NULL, why TEXT NOT NULL, PRIMARY KEY (service, number)) WITHOUT ROWID;
CREATE TABLE crashes (container TEXT PRIMARY KEY, service TEXT NOT NULL, revision INTEGER NOT NULL,
                      time REAL NOT NULL, soon INTEGER NOT NULL, why TEXT NOT NULL, log BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, service TEXT NOT NULL,
                     kind TEXT NOT NULL, message TEXT NOT NULL, numbers BLOB NOT NULL);
"""
_COUNTS = """
CREATE TABLE IF NOT EXISTS counts (service TEXT NOT NULL, name TEXT NOT NULL, label TEXT NOT NULL,
                                   number INTEGER NOT NULL, PRIMARY KEY (service, name, label)) WITHOUT ROWID;
"""


_PLACES = """
CREATE TABLE IF NOT EXISTS places (service TEXT PRIMARY KEY, address TEXT NOT NULL, port INTEGER NOT NULL) WITHOUT ROWID
"""
_GRPC = """
CREATE TABLE IF NOT EXISTS grpc (service TEXT PRIMARY KEY, port INTEGER NOT NULL) WITHOUT ROWID
"""
_SERVICES = """
SELECT name, services.service, desired, services.port, token, COALESCE(address, ''), COALESCE(places.port, 0),
       COALESCE(grpc.port, 0)
FROM services LEFT JOIN places ON places.service = name LEFT JOIN grpc ON grpc.service = name
"""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was decided or seen, at a time in seconds since 1970, with the numbers that made it."""

    id: int
    time: float
    service: str
    kind: str
    message: str
    numbers: dict[str, Any] = {}


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A service as it is remembered: as it was last applied, how it is wanted now, and where it answers.

    `token` is what its workers show to its fronts. By its name it is found at an `address` of its own, at `named_port`.
    At `grpc_port` it has answered gRPC since it had a revision that does, else that is 0.
    """

    service: Service
    desired: Desired
    port: int
    token: str
    address: str = ""
    named_port: int = 0
    grpc_port: int = 0


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A revision of a service that is remembered, and can be gone back to."""

    number: int
    digest: Digest
    template: Template
    created: float
    why: str


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """A replica that ended by itself or was of no use: why, whether soon after it was there, and its last words.

    `reason` is the same in one of a few words, and `replica` what it was called: these are in the journal alone.
    """

    container: str
    revision: int
    time: float
    why: str
    reason: str = "exit"
    replica: str = ""
    soon: bool = True
    log: tuple[str, ...] = ()

    @property
    def crash(self) -> Crash:
        """As much of it as decides."""
        return Crash(revision=self.revision, time=self.time)


class State:
    """The file; methods that write are whole or not at all, and are called by the one supervisor there is."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make it where there is none; raises what `_told` says."""
        self._path = path
        self._lock = threading.RLock()
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._migrate()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    # --- services

    def services(self) -> dict[str, Kept]:
        """Every service by name."""
        with self._told():
            rows = self._database.execute(f"{_SERVICES} ORDER BY name")
            return {name: self._kept(*rest) for name, *rest in rows.fetchall()}

    def find(self, name: str) -> Kept:
        """Find a service; raises NotFoundError."""
        with self._told():
            row = self._database.execute(f"{_SERVICES} WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise NotFoundError(f"no service is called {name} here", "`tiffin status` lists those that are kept")
        return self._kept(*row[1:])

    def keep(self, kept: Kept) -> None:
        """Remember a service as it is wanted from now on."""
        row = (kept.service.name, encode(kept.service), encode(kept.desired), kept.port, kept.token)
        with self._change() as database:
            database.execute("INSERT OR REPLACE INTO services VALUES (?, ?, ?, ?, ?)", row)
            if kept.address:
                place = (kept.service.name, kept.address, kept.named_port)
                database.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", place)
            if kept.grpc_port:
                database.execute("INSERT OR REPLACE INTO grpc VALUES (?, ?)", (kept.service.name, kept.grpc_port))

    def change(self, name: str, work: Callable[[Kept], Kept | None]) -> Kept | None:
        """Change how a service is wanted, with nobody in between; None from `work` leaves it. Raises NotFoundError."""
        with self._change() as database:
            kept = work(self.find(name))
            if kept is not None:
                row = (encode(kept.service), encode(kept.desired), name)
                database.execute("UPDATE services SET service = ?, desired = ? WHERE name = ?", row)
                if kept.grpc_port:
                    database.execute("INSERT OR REPLACE INTO grpc VALUES (?, ?)", (name, kept.grpc_port))
        return kept

    def forget(self, name: str) -> None:
        """Remember nothing of a service but what happened to it."""
        with self._change() as database:
            tables = {"services": "name"} | dict.fromkeys(
                ("revisions", "crashes", "counts", "places", "grpc"), "service"
            )
            for table, column in tables.items():
                database.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))  # noqa: S608 - names of ours

    # --- revisions

    def revision(self, name: str, template: Template, why: str) -> Known:
        """Find the revision that a template is, or give it the next number."""
        digest = revision_of(template)
        with self._change() as database:
            known = self._revisions(name)
            for one in known:
                if one.digest == digest:
                    return one
            number = max((one.number for one in known), default=0) + 1
            made = Known(number=number, digest=digest, template=template, created=time.time(), why=why)
            row = (name, number, str(digest), encode(template), made.created, why)
            database.execute("INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?)", row)
        return made

    def history(self, name: str) -> list[Known]:
        """The revisions of a service, newest first."""
        with self._told():
            return self._revisions(name)

    def trim(self, name: str, kept: int, needed: Sequence[int]) -> None:
        """Forget the oldest revisions but so many, and none that is needed."""
        old = [one.number for one in self.history(name)[kept:] if one.number not in needed]
        with self._change() as database:
            rows = [(name, number) for number in old]
            database.executemany("DELETE FROM revisions WHERE service = ? AND number = ?", rows)

    # --- what happened

    def lose(self, name: str, loss: Loss) -> bool:
        """Note that a replica was lost, once for each container; says whether it is new."""
        row = (loss.container, name, loss.revision, loss.time, loss.soon, loss.why, encode(loss.log))
        with self._change() as database:
            done = database.execute("INSERT OR IGNORE INTO crashes VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            database.execute("DELETE FROM crashes WHERE time < ?", (clock.now() - KEPT_CRASHES,))
            return done.rowcount > 0

    def come_to_now(self) -> None:
        """Let nothing lie ahead: what was written while the machine's clock was ahead has happened just now."""
        now = clock.now()
        with self._change() as database:
            database.execute("UPDATE crashes SET time = ? WHERE time > ?", (now, now))
        for name, kept in self.services().items():
            if kept.desired.began > now:
                self.change(
                    name,
                    lambda kept: msgspec.structs.replace(
                        kept, desired=msgspec.structs.replace(kept.desired, began=now)
                    ),
                )

    def losses(self, name: str) -> list[Loss]:
        """The replicas of a service that were lost lately, oldest first."""
        with self._told():
            query = "SELECT container, revision, time, soon, why, log FROM crashes WHERE service = ? ORDER BY time"
            rows = self._database.execute(query, (name,)).fetchall()
        return [
            Loss(
                container=container,
                revision=revision,
                time=at,
                soon=bool(soon),
                why=why,
                log=tuple(msgspec.json.decode(log)),
            )
            for container, revision, at, soon, why, log in rows
        ]

    def note(
        self, service: str, kind: str, message: str, numbers: Mapping[str, Any] | None = None, at: float = 0.0
    ) -> None:
        """Write an event into the journal and count it, as of now unless it is said when it was."""
        row = (at or time.time(), service, kind, message, encode(dict(numbers or {})))
        with self._change() as database:
            done = database.execute(
                "INSERT INTO events (time, service, kind, message, numbers) VALUES (?, ?, ?, ?, ?)", row
            )
            database.execute("DELETE FROM events WHERE id <= ?", ((done.lastrowid or 0) - KEPT_EVENTS,))
            database.executemany(
                "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number",
                [(service, *each) for each in tallied(kind, numbers or {})],
            )

    def counts(self, service: str) -> dict[str, dict[str, int]]:
        """What happened to a service since it is kept, how often: counts by their name, and in each by a label."""
        with self._told():
            query = "SELECT name, label, number FROM counts WHERE service = ? ORDER BY name, label"
            rows = self._database.execute(query, (service,)).fetchall()
        found: dict[str, dict[str, int]] = {}
        for name, label, number in rows:
            found.setdefault(name, {})[label] = number
        return found

    def events(self, service: str = "", after: int = 0, last: int = 1000) -> list[Event]:
        """The events after one, oldest first, at most the `last` ones; of all services where none is named."""
        with self._told():
            query = "SELECT * FROM events WHERE id > ? AND (service = ? OR ? = '') ORDER BY id DESC LIMIT ?"
            rows = self._database.execute(query, (after, service, service, last)).fetchall()
        return [
            Event(id=id_, time=at, service=name, kind=kind, message=message, numbers=msgspec.json.decode(numbers))
            for id_, at, name, kind, message, numbers in reversed(rows)
        ]

    # --- the file

    def _kept(self, service: bytes, desired: bytes, port: int, token: str, *place: Any) -> Kept:
        address, named_port, grpc_port = place
        return Kept(
            service=decode(Service, service, str(self._path)),
            desired=decode(Desired, desired, str(self._path)),
            port=port,
            token=token,
            address=address,
            named_port=named_port,
            grpc_port=grpc_port,
        )

    def _revisions(self, name: str) -> list[Known]:
        query = "SELECT number, digest, template, created, why FROM revisions WHERE service = ? ORDER BY number DESC"
        return [
            Known(
                number=number,
                digest=Digest.parse(digest),
                template=decode(Template, template, str(self._path)),
                created=created,
                why=why,
            )
            for number, digest, template, created, why in self._database.execute(query, (name,)).fetchall()
        ]

    def _migrate(self) -> None:
        """Make the tables, once; raises ConflictError for a file that a newer tiffin has written."""
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise ConflictError(
                f"{self._path} has version {version}, and this tiffin knows {VERSION}", "use the tiffin that wrote it"
            )
        if version < VERSION:
            self._database.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        self._database.executescript(_COUNTS)
        self._database.execute(_PLACES)
        self._database.execute(_GRPC)

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Let what is written within be there as a whole, or not at all."""
        with self._told():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has ended it already
                    self._database.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say what is wrong with the file: locked by another, no room, damaged."""
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            raise _translated(error, self._path) from error


def kept_images(path: Path) -> set[Digest]:
    """The images of every revision that a service could go back to; they are not to be deleted."""
    if not path.exists():
        return set()
    state = State(path)
    try:
        return {known.template.digest for name in state.services() for known in state.history(name)}
    finally:
        state.close()


def kept_names(path: Path) -> list[str]:
    """The services that are to be kept, whether anybody keeps them or not."""
    if not path.exists():
        return []
    state = State(path)
    try:
        return list(state.services())
    finally:
        state.close()


def _translated(error: sqlite3.Error, path: Path) -> TiffinError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return UnavailableError(f"{path} is locked by another process", f"`fuser {path}` names it; try again")
    if code == sqlite3.SQLITE_FULL:
        return FullError(f"no room to write {path}", "`tiffin prune` makes room; what was there before is whole")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return IntegrityError(
            f"{path} is damaged: {error}",
            f"`mv {path} {path}.damaged`, then deploy again: what runs goes on until then",
        )
    return UnavailableError(f"{path} cannot be used: {error}", "look at its folder's owner, mode and disk")
