"""`migrate` of a service between engines of one machine: its front stays, and its replicas are replaced."""

from __future__ import annotations

from tiffin.api.containers.verbs import is_container
from tiffin.api.machine.home import Home
from tiffin.api.services.targets import LOCAL, known_places
from tiffin.api.services.up import this_machine
from tiffin.deploy.target import Status
from tiffin.progress import step


def is_kept(name: str) -> bool:
    """Say whether a name is that of a service of this machine, and of no container."""
    home = Home.of()
    return any(place.target == LOCAL for place in known_places(home, name)) and not is_container(name, home)


def move(name: str, engine: str) -> str:
    """Have an engine run the replicas of a service, and say where it answers, which is where it did.

    Raises CommandError where they do not come up there: those that were there have served all the time.
    """
    with step("migrate", f"{name} to {engine}"):
        status = this_machine(Home.of()).move(name, engine)
    return _address(status)


def move_text(name: str, engine: str) -> str:
    """Say what a move would do, a line a step."""
    status = this_machine(Home.of()).status(name)
    lines = [
        f"load the image into {engine}",
        f"replace {status.ready} replicas one after the other: ready on {engine}, then the one that was there drains",
        f"answer at {_address(status)} all the time",
    ]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))


def _address(status: Status) -> str:
    return next(iter(status.addresses), status.name)
