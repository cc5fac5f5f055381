"""`migrate` of a service of this machine to a cluster: ready there, told, and only then let go of here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tiffin.api.machine.home import Home
from tiffin.api.services.deploy import Order, means_of, section_of
from tiffin.api.services.deployed import FoundImage, bring, find, with_weights
from tiffin.api.services.targets import (
    KUBERNETES,
    Means,
    Place,
    Where,
    choose,
    forget,
    open_target,
    project_in,
    remember,
)
from tiffin.api.services.up import this_machine
from tiffin.config.deploy import DeploySection
from tiffin.config.project import Project
from tiffin.deploy.service import Service, Template
from tiffin.deploy.target import Target
from tiffin.errors import CommandError, ConfigError, ConflictError, NotFoundError
from tiffin.progress import note

_OF_A_MACHINE = {"engine"}
"""What a template may say that is of no meaning elsewhere."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Which service of this machine goes, and where: `kubernetes`, or an environment of tiffin.toml here.

    `push` is the name by which its image goes to a registry, and `keep` leaves it here as well. `seconds` is for how
    long nothing may come forward there.
    """

    name: str
    to: str
    push: str = ""
    keep: bool = False
    seconds: float | None = None


class _Decided(msgspec.Struct, frozen=True, kw_only=True):
    service: Service
    place: Place
    found: FoundImage
    means: Means


def migrate_service(move: Move, say: Callable[[str], None], home: Home | None = None) -> None:
    """Move a service, and say where it answers there before it is let go of here.

    What cannot move is refused before anything begins. Where it does not become available there, it goes there again,
    and goes on here; a move that was killed is carried on by the next.
    """
    home = home or Home.of()
    decided = _decide(move, home)
    target = open_target(decided.place, home, decided.means)
    _refuse_other(target, decided)
    bring(decided.found, decided.place, home)
    try:
        status = target.apply(decided.service)
    except (CommandError, ConflictError) as error:
        hint = f"{error.hint or ''}; {move.name} serves here as before".removeprefix("; ")
        raise type(error)(error.message, hint) from error
    remember(home, move.name, decided.place)
    say(next(iter(status.addresses), move.name))
    if move.keep:
        note(f"{move.name} is kept here as well: `tiffin delete {move.name} --to local` lets go of it")
        return
    this_machine(home).delete(move.name)
    forget(home, move.name, Place())


def plan_text(move: Move, home: Home | None = None) -> str:
    """Say what would be done, a line a step; nothing is pushed or applied."""
    home = home or Home.of()
    decided = _decide(move, home)
    _refuse_other(open_target(decided.place, home, decided.means), decided)
    lines = [f"push {decided.found.reference.tagged}"] if decided.found.pushes else []
    lines += [f"deploy {decided.service.template.reference} to {decided.place}, and wait until it is available"]
    lines += [] if move.keep else [f"drain {move.name} on this machine, and delete it"]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))


def _decide(move: Move, home: Home) -> _Decided:
    """Look at what is here and what is said of the other place; raises ConfigError for what cannot move."""
    service = this_machine(home).wanted(move.name)
    project = project_in(Path.cwd())
    if project and project.name != move.name and move.to == KUBERNETES:
        project = None
    place = _place(move, project)
    section = section_of(project, place.environment)
    found = find(str(service.template.digest), move.push or section.push, place, home)
    order = Order(what=str(service.template.digest), name=move.name)
    return _Decided(
        service=with_weights(_elsewhere(service, _own(project, place.environment), found, move), found),
        place=place,
        found=found,
        means=means_of(order, place, project),
    )


def _own(project: Project | None, environment: str) -> DeploySection:
    """What the environment itself says: what `[deploy]` says of data and secrets may be of this machine."""
    section = project.environment.get(environment) if project else None
    return section.over(DeploySection()) if section else DeploySection()


def _place(move: Move, project: Project | None) -> Place:
    if move.to == KUBERNETES:
        return choose(Where(to=KUBERNETES), {}, [])
    environments = project.environment if project else {}
    place = choose(Where(environment=move.to), environments, [])
    if place.target != KUBERNETES:
        raise ConfigError(f"{move.to} is this machine, where {move.name} is already", "name one that is a cluster's")
    return place


def _elsewhere(service: Service, section: DeploySection, found: FoundImage, move: Move) -> Service:
    """The same service in a cluster: as it is here, but for what is behind its data and secrets, and its host."""
    template = service.template
    lacks = [*_lacking(template, section)]
    if lacks:
        hint = f"say in tiffin.toml what is there instead: `[environment.NAME] {lacks[0][1]}`, and `--to NAME`"
        raise ConfigError(f"{service.name} has {lacks[0][0]} of this machine, which cannot move", hint)
    if service.replicas.warm:
        raise ConfigError(f"{service.name} sleeps warm here, which a cluster cannot", "deploy it without `warm` first")
    fields = {name: getattr(template, name) for name in Template.__struct_fields__ if name not in _OF_A_MACHINE}
    fields |= {
        "image": found.reference.name,
        "digest": found.descriptor.digest,
        "data": tuple(msgspec.structs.replace(one, source=section.data[one.name]) for one in template.data),
        "secrets": tuple(msgspec.structs.replace(one, source=section.secrets[one.name]) for one in template.secrets),
    }
    seconds = service.rollout.progress_seconds if move.seconds is None else move.seconds
    rollout = msgspec.structs.replace(service.rollout, rollback=True, progress_seconds=seconds)
    return msgspec.structs.replace(
        service, template=Template(**fields), rollout=rollout, host=section.host or service.host
    )


def _lacking(template: Template, section: DeploySection) -> Iterator[tuple[str, str]]:
    """What is this machine's, and nobody says what takes its place: what it is, and the key that would say so."""
    for one in template.data:
        if one.name not in section.data:
            yield f"the data {one.name} in {one.path} ({one.source})", f'data = {{ {one.name} = "CLAIM" }}'
    for secret in template.secrets:
        if secret.name not in section.secrets:
            yield f"the secret {secret.name} ({secret.source})", f'secrets = {{ {secret.name} = "SECRET" }}'


def _refuse_other(target: Target, decided: _Decided) -> None:
    """Refuse to take the place of somebody else's service; one of the same image is a move that was begun."""
    service = decided.service
    try:
        there = target.status(service.name)
    except NotFoundError:
        return
    digests = {service.template.digest, service.template.weights and service.template.weights.rest}
    if not any(one.image.partition("@")[2] in digests for one in there.revisions[:1]):
        hint = f"`tiffin status {service.name} --to kubernetes` shows it; `tiffin deploy` gives it a new revision"
        raise ConflictError(f"{decided.place} has a service {service.name} already, of another image", hint)
