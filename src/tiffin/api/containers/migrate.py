"""`migrate`: a container that runs goes on with another engine."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tiffin.api.containers.mover import READY_SECONDS, Mover, Side
from tiffin.api.containers.volumes import volumes_of
from tiffin.api.machine.engines import choosing, engine_name, open_engine
from tiffin.api.machine.home import Home
from tiffin.durable import lock, renamed
from tiffin.engine.moving import Act, Move, Sight, plan_move
from tiffin.engine.spec import Container, ContainerSpec, Refuses, named_volumes
from tiffin.errors import ConfigError, ConflictError, NotFoundError
from tiffin.oci.documents import decode, encode
from tiffin.progress import note


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a user says about a move: who moves, how long the new one may take, whether its root may stay behind."""

    name: str
    seconds: float = READY_SECONDS
    drop_writes: bool = False


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """A move that has begun: which container left which engine for which; it is kept until the move has ended."""

    id: str
    source: str
    target: str


def migrate(options: Options, to: str, home: Home | None = None) -> str:
    """Move a container to the engine called `to`, and return where it answers there, or its name.

    Whatever fails before the new one is ready, the old one serves and the new one is gone; a move that was killed is
    carried on by the next.
    """
    home = home or Home.of()
    return move(options, *sides(to, home), home)


def plan_text(options: Options, to: str, home: Home | None = None) -> str:
    """Say what would be done, a line a step."""
    home = home or Home.of()
    source, target = sides(to, home)
    plan, _, _, _ = _decide(_named(options, source), source, target, home)
    steps = (*plan.steps, *plan.finish)
    lines = [f"{number}. {one.described}" for number, one in enumerate(steps, start=1)]
    if plan.interrupts:
        lines.append(f"nobody serves from `{Act.STOP.value}` to `{Act.READY.value}`: {plan.interrupts}")
    return "\n".join(lines)


def sides(to: str, home: Home) -> tuple[Side, Side]:
    """The engine that is meant, and the one called `to`."""
    name = engine_name()
    if name == to:
        raise ConfigError(f"{to} is the engine that it is on", f"say where it is: `--engine … --to {to}`")
    with choosing(to):
        target = open_engine(home)
    return Side(name=name, engine=open_engine(home)), Side(name=to, engine=target)


def move(options: Options, source: Side, target: Side, home: Home) -> str:
    """Move a container from one engine to another, alone: who moves the same one waits."""
    options = _named(options, source)
    path = _journal(options.name, home)
    with lock(path.with_suffix(".lock")):
        plan, spec, old, new = _decide(options, source, target, home)
        if old.container:
            with renamed(path) as file:
                file.write(encode(Journal(id=old.container.id, source=old.name, target=new.name)))
        mover = Mover(spec, old, new, home, options.seconds)
        try:
            address = mover.do(plan)
        finally:
            if mover.settled:
                path.unlink(missing_ok=True)
    note(f"{spec.name} is {new.name}'s now: `tiffin ps --engine {new.name}`")
    return address


def _named(options: Options, source: Side) -> Options:
    """Call the container by its name, though it may have been called by its ID."""
    found = source.found(options.name).container
    if found is None and ("/" in options.name or options.name.startswith(".")):
        raise _lost(options.name, source, source)
    return msgspec.structs.replace(options, name=found.spec.name) if found else options


def _decide(options: Options, source: Side, target: Side, home: Home) -> tuple[Move, ContainerSpec, Side, Side]:
    """Look at both sides and decide; what the target cannot have is refused before anything moves."""
    old, new = source.found(options.name), target.found(options.name)
    begun = _begun(options.name, old, new, home)
    found = old.container or (new.container if begun else None)
    if found is None:
        raise _lost(options.name, old, new)
    sight = Sight(
        here=old.status, there=new.status, begun=begun, taken=_taken(found.spec, new), shared=_shared(found, old)
    )
    plan = plan_move(found.spec, sight, drop_writes=options.drop_writes)
    if isinstance(new.engine, Refuses):
        new.engine.refuse(found.spec)
    return plan, found.spec, old, new


def _lost(name: str, old: Side, new: Side) -> NotFoundError:
    if new.container:
        return NotFoundError(f"{name} is {new.name}'s already", f"`tiffin ps -a --engine {new.name}` shows it")
    return NotFoundError(f"{old.name} has no container called {name!r}", f"`tiffin ps -a --engine {old.name}`")


def _begun(name: str, old: Side, new: Side, home: Home) -> bool:
    """Say whether the move of this very container was begun and not ended; raises ConflictError for another way."""
    path = _journal(name, home)
    if not path.exists():
        return False
    journal = decode(Journal, path.read_bytes(), str(path))
    if journal.source != old.name or (old.container and old.container.id != journal.id):
        return False
    if journal.target != new.name:
        carry_on = f"tiffin migrate {name} --engine {journal.source} --to {journal.target}"
        raise ConflictError(f"a move of {name} to {journal.target} was begun", f"carry it on first: `{carry_on}`")
    return _same(old.container, new.container)


def _same(old: Container | None, new: Container | None) -> bool:
    return old is None or new is None or old.spec == new.spec


def _taken(spec: ContainerSpec, new: Side) -> tuple[str, ...]:
    """The volumes of the container that the other engine has, too."""
    names = named_volumes(spec)
    there = volumes_of(new.engine).volumes() if names else ()
    return tuple(name for name in names if name in there)


def _shared(found: Container, old: Side) -> tuple[str, ...]:
    """The volumes that other containers of the same engine have, too."""
    names = named_volumes(found.spec)
    others = [other.spec for other in old.engine.list() if other.id != found.id] if names else []
    return tuple(name for name in names if any(name in named_volumes(other) for other in others))


def _journal(name: str, home: Home) -> Path:
    return home.data / "migrations" / f"{name}.json"
