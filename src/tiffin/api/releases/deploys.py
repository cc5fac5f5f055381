"""The last steps of a release: each environment behind its gate, by the digest that was tested and never another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tiffin.api.building.projects import Checkout
from tiffin.api.machine.home import Home
from tiffin.api.reaching.checks import ask, checks_of, told
from tiffin.api.services.deploy import Order, deploy, plan_deploy
from tiffin.api.services.deployed import find
from tiffin.api.services.targets import KUBERNETES, LOCAL, Place, Where, choose, open_target
from tiffin.build.separate import separated
from tiffin.deploy.compose import Asked
from tiffin.deploy.target import Action, CanForward, Phase, Status
from tiffin.errors import CommandError, NotFoundError, TiffinError, UnsupportedError
from tiffin.oci.reference import Reference
from tiffin.progress import note
from tiffin.release.plan import Gate, PlannedStep, service_name
from tiffin.release.result import Case
from tiffin.release.run import Report, Standing


class Deploys:
    """Deploys a project's image to its environments."""

    def __init__(self, checkout: Checkout, home: Home) -> None:
        """Deploy this project out of this home."""
        self._checkout, self._home, self._project = checkout, home, checkout.project

    def deploy(self, step: PlannedStep, standing: Standing) -> Report:
        """Have an environment run the image, unless it does, or its gate is shut."""
        order = Order(
            what=standing.reference,
            where=Where(environment=step.environment),
            asked=Asked(rollback=True),
            project=str(self._checkout.folder),
        )
        if self._runs(step.environment, order, standing):
            return Report(message=f"{standing.reference} runs there already", already=True)
        gate = step.gate or Gate()
        cases: tuple[Case, ...] = ()
        if gate.after:
            cases, wrong = self._passes(gate.after, standing)
            if wrong:
                hint = f"`tiffin status {service_name(self._project, gate.after)}` says more"
                return Report(cases=cases, wrong=wrong, hint=hint)
        if gate.waits:
            return Report(message="waits for somebody to approve", cases=cases, waits=True)
        status, place = deploy(order)
        where = next(iter(status.addresses), str(place))
        return Report(message=f"{status.ready} of {status.wanted} replicas ready, {where}", cases=cases)

    def reach(self, environment: str) -> None:
        """Raise UnavailableError where nobody answers who would keep the service."""
        with suppress(NotFoundError):  # the first release
            self._status(environment)

    def running(self, environment: str) -> str:
        """The image that an environment runs, by its digest; raises CommandError where that is not one that serves."""
        if self._project.image.weights == "separate" and self._place(environment).target == KUBERNETES:
            raise UnsupportedError(
                f"{environment} may run the weights and the rest as two images, and neither names the whole",
                "name the image that was released: `IMAGE@sha256:…`",
            )
        status = self._status(environment)
        images = _images(status)
        if status.phase is not Phase.AVAILABLE or len(images) != 1:
            raise CommandError(
                f"{environment} has nothing to promote: {_described(status)}",
                f"`tiffin status {status.name}` says more",
            )
        return images[0]

    def _runs(self, environment: str, order: Order, standing: Standing) -> bool:
        """Say whether a deploy would change nothing."""
        try:
            status = self._status(environment)
        except NotFoundError:
            return False
        if status.phase is not Phase.AVAILABLE or not self._is(environment, status, standing):
            return False
        return all(change.action is Action.KEEP for change in plan_deploy(order).changes)

    def _is(self, environment: str, status: Status, standing: Standing) -> bool:
        """Say whether all requests go to the image, whatever registry it was pulled from.

        Where a cluster mounts the weights as an image of their own, its containers run the rest of it.
        """
        wanted = {standing.image}
        if self._project.image.weights == "separate":
            found = find(standing.reference, "", self._place(environment), self._home)
            apart = separated(found.image)
            wanted |= {apart.rest.descriptor.digest} if apart else set()
        running = {Reference.parse(image).digest for image in _images(status)}
        return bool(running) and running <= wanted

    def _passes(self, environment: str, standing: Standing) -> tuple[tuple[Case, ...], str]:
        """Hold the environment before against the image, and ask it the image's checks again, as it runs."""
        try:
            status = self._status(environment)
        except NotFoundError:
            return (), f"{environment}, which comes before, runs nothing: `tiffin release` deploys to it first"
        if not self._is(environment, status, standing):
            return (), f"{environment}, which comes before, runs another image: {', '.join(_images(status)) or 'none'}"
        if status.phase is not Phase.AVAILABLE:
            return (), f"{environment}, which comes before, is not well: {_described(status)}"
        if self._project.serve.auth != "none":
            note(f"{environment} wants a token, and is not asked its checks again; it asked itself before it was ready")
            return (), ""
        place = self._place(environment)
        found = find(standing.reference, "", place, self._home)
        checks = checks_of(found.store, found.image, standing.reference)
        try:
            with self._reached(environment, status, place) as address:
                cases = ask(address, checks)
        except TiffinError as error:
            return (), f"{environment}, which comes before, cannot be asked its checks: {error.message}"
        wrong = told(cases)
        return cases, f"{environment}, which comes before, answers wrongly: {wrong}" if wrong else ""

    @contextmanager
    def _reached(self, environment: str, status: Status, place: Place) -> Iterator[str]:
        """An address at which this machine reaches the service: its own, or a way into the cluster."""
        if place.target == LOCAL:
            yield next((address for address in status.addresses if address.startswith("http")), "")
            return
        target = open_target(place, self._home)
        if not isinstance(target, CanForward):
            raise UnsupportedError(f"{environment} leads no ports here", "`--skip` leaves its successor out")
        way = target.forward(status.name, "http", "127.0.0.1", 0)
        thread = threading.Thread(target=way.run, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{way.port}"
        finally:
            way.close()

    def _status(self, environment: str) -> Status:
        target = open_target(self._place(environment), self._home)
        return target.status(service_name(self._project, environment))

    def _place(self, environment: str) -> Place:
        return choose(Where(environment=environment), self._project.environment, [])


def _images(status: Status) -> list[str]:
    """The images that requests go to."""
    return list(dict.fromkeys(one.image for one in status.revisions if one.weight))


def _described(status: Status) -> str:
    images = ", ".join(_images(status)) or "no image"
    return f"{status.name} is {status.phase.value}, {status.ready} of {status.wanted} replicas ready, {images}"
