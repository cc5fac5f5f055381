"""What it takes to move a container from one engine to another: decided from what is seen on both, done elsewhere.

The new one is ready before the old one is stopped, unless both would need the same thing: a port of the host, or a
volume that is written. Everything else is then done first, and what the old one was doing is done again by it should
anything fail before the new one is ready. What was decided once is decided again, from what is there, after a crash.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from tiffin.engine.spec import ContainerSpec, Network, Status, named_volumes
from tiffin.errors import ConflictError, NotFoundError, UnsupportedError


class Act(Enum):
    """One thing to do; `old` is the container where it is, `new` the one where it goes."""

    LOAD = "load its image"
    REHEARSE = "copy a volume while it is in use, to see that it can be"
    COPY = "copy a volume"
    CREATE = "create the new one"
    DISCARD = "remove the new one, which is not ready"
    STOP = "stop the old one"
    START = "start the new one"
    READY = "wait until the new one is ready"
    REMOVE = "remove the old one"
    FORGET = "remove a volume of the old one"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """An act, and the volume it is about."""

    act: Act
    volume: str = ""

    @property
    def described(self) -> str:
        """The step in words."""
        return f"{self.act.value}: {self.volume}" if self.volume else self.act.value


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """All steps in order: a failure of the first undoes them, those that `finish` are done whatever happens then.

    `interrupts` says why nobody serves between `stop` and `ready`; it is empty where somebody always does. Not `undone`
    is what fails where the new one may have served, or is all there is.
    """

    steps: tuple[Step, ...]
    finish: tuple[Step, ...]
    interrupts: str = ""
    undone: bool = True


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What is seen of the container of this name: on the engine it leaves, on the one it goes to.

    `begun` says that this very container was being moved there when whoever moved it died. `taken` are volumes of its
    on the other engine that were there before, `shared` those that another container of its own engine has too.
    """

    here: Status | None
    there: Status | None
    begun: bool = False
    taken: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def plan_move(spec: ContainerSpec, sight: Sight, *, drop_writes: bool = False) -> Move:
    """Decide how to move a container; raises ConflictError and UnsupportedError for one that cannot be moved."""
    _refuse(spec, sight, drop_writes=drop_writes)
    reason = why_interrupted(spec)
    volumes = named_volumes(spec)
    copies = [Step(act=Act.COPY, volume=name) for name in volumes]
    forgotten = [Step(act=Act.FORGET, volume=name) for name in volumes if name not in sight.shared]
    finish = [*_steps(Act.STOP), *_steps(Act.REMOVE), *forgotten] if sight.here else forgotten
    made, discarded = _steps(Act.CREATE, Act.START, Act.READY), _steps(Act.DISCARD) if sight.there else []
    if sight.there is Status.RUNNING and sight.here is not Status.RUNNING:
        return Move(steps=tuple(_steps(Act.READY)), finish=tuple(finish), undone=False)
    if not sight.here:
        return Move(steps=tuple(_steps(Act.START, Act.READY)), finish=tuple(finish), undone=False)
    if sight.here is not Status.RUNNING:
        steps = [*_steps(Act.LOAD), *discarded, *copies, *made]
    elif not reason:
        steps = [*discarded, *_steps(Act.LOAD), *copies, *made]
    else:
        rehearsal = [Step(act=Act.REHEARSE, volume=name) for name in volumes]
        prepared = [*discarded, *_steps(Act.LOAD), *rehearsal, *_steps(Act.CREATE, Act.STOP)]
        # A volume is copied where no container has it.
        steps = [*prepared, *_steps(Act.DISCARD), *copies, *made] if volumes else [*prepared, *made[1:]]
        finish = [step for step in finish if step.act is not Act.STOP]
    return Move(steps=tuple(steps), finish=tuple(finish), interrupts=reason)


def why_interrupted(spec: ContainerSpec) -> str:
    """Say what two containers of this spec cannot have at once, or nothing where there may be two for a while."""
    for port in spec.ports:
        if port.host_port:
            return f"both would listen on {port.host}:{port.host_port}"
    if spec.network is Network.HOST:
        return "both would listen on the host's own ports"
    for mount in spec.mounts:
        if mount.volume and not mount.read_only:
            return f"what one writes to its volume {mount.source} would not reach the other"
    return ""


def _refuse(spec: ContainerSpec, sight: Sight, *, drop_writes: bool) -> None:
    if not sight.here and not sight.there:
        raise NotFoundError(f"neither engine has a container called {spec.name!r}", "`tiffin ps -a` lists them")
    if not sight.begun:
        if sight.here is not Status.RUNNING:
            raise ConflictError(f"{spec.name} does not run", f"start it: `tiffin start {spec.name}`")
        if sight.there:
            raise ConflictError(
                f"another container is called {spec.name!r} where it should go", "remove that one first: `tiffin rm`"
            )
        if sight.taken:
            raise ConflictError(
                f"the volume {sight.taken[0]!r} is there already where it should go, and would be lost",
                f"remove it if nobody needs it: `tiffin volume rm {sight.taken[0]}`, with that `--engine`",
            )
    if not spec.read_only and not drop_writes:
        raise UnsupportedError(
            f"{spec.name} may write to its own root, and what it wrote there is not moved",
            "keep what matters in a volume, `-v data:/data`, and say `--drop-writes`",
        )


def _steps(*acts: Act) -> list[Step]:
    return [Step(act=act) for act in acts]
