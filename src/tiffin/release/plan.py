"""The plan of a release: named steps, what each does with which settings, and what is left out and why. Pure.

check -> lock -> build -> test -> scan -> attest -> sign -> push -> tag -> deploy-ENVIRONMENT, each environment behind
its gate. What a project says nothing of is left out of its plan with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tiffin.config.deploy import EnvironmentSection
from tiffin.config.project import Project
from tiffin.config.release import filled
from tiffin.errors import ConfigError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode

FORMAT = "1"
DEPLOY = "deploy-"
"""How the steps that deploy begin; the environment's name follows."""
KUBERNETES = "kubernetes"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of where the project comes from: `version` and `branch` are empty where the commit has none."""

    commit: str = ""
    version: str = ""
    branch: str = ""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What a deploy waits for: the environment before runs the image and answers its checks, and somebody approves."""

    after: str = ""
    approval: bool = False
    approved: bool = False

    @property
    def waits(self) -> bool:
        """Whether somebody has yet to approve."""
        return self.approval and not self.approved


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step: what it does, in a sentence, with which settings, and which steps it needs, each with the reason.

    One that is `remembered` is not done again for the same image and settings; the truth about all others is asked
    for where it is: of the lock, the store, the registry, the target.
    """

    name: str
    does: str
    settings: Mapping[str, Any] = {}
    needs: Mapping[str, str] = {}
    remembered: bool = False
    gate: Gate | None = None

    @property
    def environment(self) -> str:
        """The environment it deploys to; empty for every other step."""
        return self.name.removeprefix(DEPLOY) if self.name.startswith(DEPLOY) else ""


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A step that is no part of the plan, and why."""

    name: str
    why: str


class ReleasePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a release does, in order. `image` is the digest that is promoted; a release builds its own."""

    format: str = FORMAT
    name: str
    image: str = ""
    steps: tuple[PlannedStep, ...]
    left: tuple[LeftOut, ...] = ()

    @property
    def digest(self) -> Digest:
        """The plan's name: the same for the same steps and settings."""
        return Digest.of(encode(self))


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed: steps by name, environments that are approved, and where a release begins."""

    skip: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    start: str = ""
    approve: tuple[str, ...] = ()


def plan_release(project: Project, source: Source, asked: Asked | None = None) -> ReleasePlan:
    """Plan the release of a project; raises ConfigError for what cannot be, NotFoundError for a name that is none."""
    asked = asked or Asked()
    environments = _environments(project)
    _refuse_same_place(project, environments)
    _known(asked.approve, tuple(environments), "environment of `[release] environments`")
    steps = [*_made(project), *_vouched(project), *_published(project, source)]
    previous = ""
    for name, section in environments.items():
        gate = Gate(after=previous, approval=section.approval, approved=name in asked.approve)
        steps.append(_deploy(project, name, section, gate))
        previous = name
    return _selected(ReleasePlan(name=project.name, steps=tuple(steps), left=_left(project, source)), asked)


def plan_promotion(project: Project, to: str, image: str, approve: tuple[str, ...] = ()) -> ReleasePlan:
    """Plan that an environment gets what the one before it runs, or `image` if that is what it runs; nothing is built.

    Raises ConfigError for the first environment, which has none before it, unless the image is said.
    """
    environments = _environments(project)
    _known((to, *approve), tuple(environments), "environment of `[release] environments`")
    _refuse_same_place(project, environments)
    names = list(environments)
    after = names[names.index(to) - 1] if names.index(to) else ""
    if not (after or image):
        raise ConfigError(
            f"{to} is the first environment, and nothing comes before it to be promoted",
            f"name the image: `tiffin release --to {to} IMAGE@sha256:…`, or `tiffin release`",
        )
    section = environments[to]
    gate = Gate(after=after, approval=section.approval, approved=to in approve)
    step = msgspec.structs.replace(_deploy(project, to, section, gate), needs={})
    return ReleasePlan(name=project.name, image=image, steps=(step,))


def service_name(project: Project, environment: str) -> str:
    """What the service is called in an environment."""
    return project.environment[environment].name or project.name


def _environments(project: Project) -> dict[str, EnvironmentSection]:
    return {name: project.environment[name] for name in project.release.environments}


def _refuse_same_place(project: Project, environments: Mapping[str, EnvironmentSection]) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for name, section in environments.items():
        place = (section.target, section.kube_context, section.namespace, service_name(project, name))
        if place in seen:
            raise ConfigError(
                f"{seen[place]} and {name} are the same service of the same place: {service_name(project, name)}",
                f'give one of them a name of its own: `[environment.{name}] name = "{project.name}-{name}"`',
            )
        seen[place] = name


def _made(project: Project) -> list[PlannedStep]:
    """The steps that make the image and hold it against what it should be."""
    return [
        PlannedStep(
            name="check",
            does="read tiffin.toml, the files of checks, the key and the scanner, and ask whether environments answer",
        ),
        PlannedStep(
            name="lock",
            does="refuse a lock that is absent or stale",
            needs={"check": "it reads the project"},
        ),
        PlannedStep(
            name="build",
            does="make the image, and prove that it can start",
            needs={"lock": "the image is what the lock says"},
        ),
        PlannedStep(
            name="test",
            does=f"start a container and ask {_count(len(project.check), 'check')}",
            settings={key: msgspec.to_builtins(getattr(project.deploy, key)) for key in ("data", "env", "gpus")},
            needs={"build": "it is the image that is started"},
            remembered=True,
        ),
        PlannedStep(
            name="scan",
            does="look for secrets, code in model files, loose rights"
            + (f", and for vulnerabilities with {project.release.scanner}" if project.release.scanner else ""),
            settings={
                "fail-on": project.release.fail_on,
                "allow": msgspec.to_builtins(project.release.allow),
                "scanner": project.release.scanner,
            },
            needs={"build": "it is the image that is looked at"},
            remembered=not project.release.scanner,  # what is vulnerable is another thing tomorrow
        ),
    ]


def _vouched(project: Project) -> list[PlannedStep]:
    steps = [
        PlannedStep(
            name="attest",
            does="see that the image has its bill of materials, and its provenance beside it",
            needs={"build": "both speak of the image"},
        )
    ]
    if key := project.release.sign.key:
        steps.append(
            PlannedStep(
                name="sign",
                does=f"sign the image, its bill of materials and its provenance with {key}",
                settings={"key": key},
                needs={"build": "it is the image that is signed"},
            )
        )
    return steps


def _published(project: Project, source: Source) -> list[PlannedStep]:
    """The steps that bring it to a registry: first by its digest alone, then its names."""
    if not project.release.push:
        return []
    tags = tags_of(project, source)
    push = PlannedStep(
        name="push",
        does=f"bring the image and what speaks of it to {project.release.push}",
        settings={"push": project.release.push},
        needs={"build": "it is the image that is pushed"},
    )
    if not tags:
        return [push]
    tag = PlannedStep(
        name="tag",
        does=f"let {', '.join(tags)} mean it there" + _unknown(project, source),
        settings={"push": project.release.push, "tags": list(tags)},
        needs={"push": "a tag leads to what the registry has"},
    )
    return [push, tag]


def _unknown(project: Project, source: Source) -> str:
    """Say which tags are left out, since what they name is not known of this commit."""
    missing = [tag for tag in project.release.tags if not _tag_of(project, source, tag)]
    return f"; without {', '.join(missing)}: this commit has none" if missing else ""


def tags_of(project: Project, source: Source) -> tuple[str, ...]:
    """The tags of a release; one that names what is not known, such as the version of an untagged commit, is left out.

    `{digest}` is filled in once the image is there.
    """
    found = (_tag_of(project, source, tag) for tag in project.release.tags)
    return tuple(dict.fromkeys(tag for tag in found if tag))


def _tag_of(project: Project, source: Source, tag: str) -> str:
    """What a tag is of this commit; empty where it names what the commit does not have."""
    numbers = source.version.split(".")
    final = source.version and source.version.replace(".", "").isdecimal()
    words = {
        "version": source.version,
        "major": numbers[0] if final else "",
        "minor": numbers[1] if final and len(numbers) > 1 else "",
        "commit": source.commit[:12],
        "branch": source.branch,
        "model": project.model.version,
        "digest": "{digest}",
    }
    return _with_digest(tag, words)


def _with_digest(tag: str, words: Mapping[str, str]) -> str:
    """Fill in all but the digest, whose place is kept."""
    parts = tag.split("{digest}")
    texts = [filled(part, words) if part else "" for part in parts]
    if any(part and not text for part, text in zip(parts, texts, strict=True)):
        return ""
    return "{digest}".join(texts)


def _deploy(project: Project, name: str, section: EnvironmentSection, gate: Gate) -> PlannedStep:
    service = service_name(project, name)
    where = f"the cluster{f' of {section.kube_context}' if section.kube_context else ''}"
    where = where if section.target == KUBERNETES else "this machine"
    behind = f", once {gate.after} runs it and answers its checks" if gate.after else ""
    approval = ", once somebody approves" if gate.approval else ""
    needs = {"build": "it is the image that is deployed"}
    if section.target == KUBERNETES:
        if not (project.release.push or section.over(project.deploy).push):
            raise ConfigError(
                f"{name} is a cluster, which pulls from a registry, and nothing says which",
                'write `[release] push = "REGISTRY/NAME"`',
            )
        if project.release.push:
            needs["push"] = "a cluster pulls it from the registry"
    if project.trust.require and project.release.sign.key:
        needs["sign"] = "`[trust] require` refuses an image without its signature"
    return PlannedStep(
        name=f"{DEPLOY}{name}",
        does=f"keep {service} running on {where}{behind}{approval}",
        settings={
            "service": service,
            "environment": msgspec.to_builtins(section),
            "deploy": msgspec.to_builtins(project.deploy),
        },
        needs=needs,
        gate=gate,
    )


def _left(project: Project, source: Source) -> tuple[LeftOut, ...]:
    """What a project says nothing of, and tags of which none is known."""
    release = project.release
    tagless = not tags_of(project, source) and f"this commit has none of {', '.join(release.tags)}"
    found = {
        "sign": not release.sign.key and 'no key is named: `[release] sign = { key = "NAME.key" }`',
        "push": not release.push and 'no repository is named: `[release] push = "REGISTRY/NAME"`',
        "tag": "nothing is pushed"
        if not release.push
        else tagless
        if release.tags
        else "no `[release] tags` are named",
        "deploy": not release.environments and 'no environment is named: `[release] environments = ["staging"]`',
    }
    return tuple(LeftOut(name=name, why=why) for name, why in found.items() if why)


def _selected(plan: ReleasePlan, asked: Asked) -> ReleasePlan:
    """Leave out what was asked to be left out; raises ConfigError where a later step needs that."""
    names = tuple(step.name for step in plan.steps)
    unknown = {one.name: one.why for one in plan.left}
    for name in (*asked.skip, *asked.only, *filter(None, [asked.start])):
        if name in unknown:
            raise ConfigError(f"this release has no step {name}: {unknown[name]}", "`tiffin release --plan` lists them")
    _known((*asked.skip, *asked.only, *filter(None, [asked.start])), names, "step")
    wanted, why = set(names), {}
    if asked.only:
        wanted = _closed(asked.only, plan.steps)
        why = dict.fromkeys(set(names) - wanted, "`--only`")
    if asked.start:
        wanted &= _closed(names[names.index(asked.start) :], plan.steps)
        why |= dict.fromkeys(set(names) - wanted - why.keys(), f"`--from {asked.start}`")
    skipped = [name for name in asked.skip if name in wanted]
    kept = [step for step in plan.steps if step.name in wanted and step.name not in skipped]
    _refuse_needed(skipped, kept)
    why |= dict.fromkeys(skipped, "`--skip`")
    left = tuple(LeftOut(name=name, why=why[name]) for name in names if name in why)
    return msgspec.structs.replace(plan, steps=tuple(kept), left=(*plan.left, *left))


def _refuse_needed(skipped: list[str], kept: list[PlannedStep]) -> None:
    for step in kept:
        for name in skipped:
            if name in step.needs:
                raise ConfigError(
                    f"{step.name} needs {name}, which `--skip` leaves out: {step.needs[name]}",
                    f"leave `--skip {name}` out, or add `--skip {step.name}`",
                )


def _closed(names: tuple[str, ...], steps: tuple[PlannedStep, ...]) -> set[str]:
    """Steps with all that they need, and what those need."""
    wanted = set(names)
    for step in reversed(steps):  # what is needed comes before
        if step.name in wanted:
            wanted |= step.needs.keys()
    return wanted


def _known(names: tuple[str, ...], there: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in there:
            raise NotFoundError(f"no {what} is called {name!r}", f"there is {', '.join(there) or 'none'}")


def _count(number: int, what: str) -> str:
    return f"its {what}" if number == 1 else f"its {number} {what}s" if number else "whether it is ready"
