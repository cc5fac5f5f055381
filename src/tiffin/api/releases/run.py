"""`release`: from a project's folder to services that run, one plan of named steps; the composition of all verbs."""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import msgspec

from tiffin.api.building.projects import Checkout
from tiffin.api.machine.home import Home
from tiffin.api.releases.deploys import Deploys
from tiffin.api.releases.source import source_of
from tiffin.api.releases.steps import Steps
from tiffin.config.project import Project
from tiffin.config.release import changed
from tiffin.errors import ConfigError, ConflictError, TiffinError
from tiffin.oci.reference import Reference
from tiffin.release.plan import Asked, PlannedStep, ReleasePlan, plan_promotion, plan_release
from tiffin.release.result import Release
from tiffin.release.run import Act, Report, Standing, run
from tiffin.store.records import Records


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to release, and what was typed of how.

    With `to` an environment gets what the one before it runs, or `image` if it does run that; nothing is built.
    """

    folder: Path = Path()
    asked: Asked = Asked()
    to: str = ""
    image: str = ""
    key: str = ""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, the project that it is for, and how whoever pulls names the image that is promoted."""

    plan: ReleasePlan
    checkout: Checkout
    reference: str = ""


def plan(order: Order) -> ReleasePlan:
    """Say what a release would do, and do nothing; raises ConfigError or NotFoundError for what cannot be."""
    return _prepared(order, Home.of()).plan


def release(order: Order, passphrase: Callable[[], bytes]) -> tuple[Release, TiffinError | None]:
    """Carry a release out, and return what came of it, with the error that ended it early.

    Raises ConfigError or NotFoundError for what cannot even be planned, ConflictError where another release of the same
    project is under way here.
    """
    home = Home.of()
    prepared = _prepared(order, home)
    home = before_registry(home, prepared.checkout.project)
    folder = home.data / "releases" / prepared.plan.name
    with _alone(folder, prepared.plan.name):
        ledger = Records(folder)
        ledger.sweep()
        return run(
            prepared.plan,
            _acts(prepared, home, passphrase),
            ledger,
            command_of(order, prepared.plan),
            _standing(prepared.reference),
        )


def before_registry(home: Home, project: Project) -> Home:
    """Have layers that the lock knows come from where the project is pushed to, unless another place was named."""
    return home if home.lazy_from else msgspec.structs.replace(home, lazy_from=project.release.push)


def _standing(reference: str) -> Standing:
    """What is known of the image before the first step: nothing, unless it is promoted."""
    return Standing(image=Reference.parse(reference).digest, reference=reference) if reference else Standing()


def _acts(prepared: Prepared, home: Home, passphrase: Callable[[], bytes]) -> dict[str, Act]:
    deploys = Deploys(prepared.checkout, home)
    steps = Steps(prepared.checkout, home, cache(passphrase), {step.name for step in prepared.plan.steps})
    acts = steps.acts()

    def check(step: PlannedStep, standing: Standing) -> Report:
        report = acts["check"](step, standing)
        for environment in filter(None, (step.environment for step in prepared.plan.steps)):
            deploys.reach(environment)
        return report

    return {**acts, "check": check, "deploy": deploys.deploy}


def _prepared(order: Order, home: Home) -> Prepared:
    checkout = Checkout.of(order.folder)
    section = changed(checkout.project.release, str(Path(order.key).absolute()) if order.key else "")
    checkout = msgspec.structs.replace(checkout, project=msgspec.structs.replace(checkout.project, release=section))
    project = checkout.project
    if not order.to:
        if order.image:
            raise ConfigError(f"{order.image} is released already", "say where it goes: `--to ENVIRONMENT`")
        source = source_of(checkout.folder, os.environ)
        return Prepared(plan=plan_release(project, source, order.asked), checkout=checkout)
    _refuse_selection(order.asked)
    first = plan_promotion(project, order.to, order.image, order.asked.approve)
    after = first.steps[0].gate.after if first.steps[0].gate else ""
    reference = order.image or Deploys(checkout, home).running(after)
    if not Reference.parse(reference).digest:
        raise ConfigError(
            f"{reference} may be another image tomorrow: what is promoted is named by its digest",
            f"`tiffin release --to {order.to} {Reference.parse(reference).name}@sha256:…`, or no image at all",
        )
    digest = str(Reference.parse(reference).digest)
    return Prepared(
        plan=plan_promotion(project, order.to, digest, order.asked.approve), checkout=checkout, reference=reference
    )


def _refuse_selection(asked: Asked) -> None:
    for option, said in (("--skip", asked.skip), ("--only", asked.only), ("--from", asked.start)):
        if said:
            raise ConfigError(f"`--to` has one step, and `{option}` is about several", f"leave `{option}` out")


def command_of(order: Order, planned: ReleasePlan) -> str:
    """The command that goes on with a release that did not come to its end."""
    words = ["tiffin", "release"]
    words += ["--to", order.to] if order.to else []
    words += [word for name in order.asked.skip for word in ("--skip", name)]
    words += [word for name in order.asked.only for word in ("--only", name)]
    words += ["--from", order.asked.start] if order.asked.start else []
    words += ["--key", order.key] if order.key else []
    deployed = {step.environment for step in planned.steps}
    words += [word for name in order.asked.approve if name in deployed for word in ("--approve", name)]
    words += [order.image] if order.image else [] if order.to or order.folder == Path() else [str(order.folder)]
    return shlex.join(words)


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Hold the project's releases; the kernel lets go when the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(f"another release of {name} is under way", "wait for its end") from error
        yield
