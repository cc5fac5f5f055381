"""The steps of a release up to the registry, each carried out by the verb that does the same by hand."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec

from tiffin.api.building.projects import Checkout, fresh_lock
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.api.reaching.checks import ask, checks_of, told
from tiffin.build.provenance import provenance_of
from tiffin.build.sbom import CYCLONEDX
from tiffin.config.checks import read_checks
from tiffin.errors import CommandError, NotFoundError
from tiffin.oci.copy import AT_ONCE
from tiffin.oci.documents import Descriptor
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.oci.store import Store
from tiffin.progress import parallel
from tiffin.release.judge import refused, summary
from tiffin.release.plan import PlannedStep
from tiffin.release.result import Case
from tiffin.release.run import Act, Report, Standing

_MEND = "mend the model or the expected answer; `tiffin run` starts the same container"
_TOLD = 10
"""Findings that an error names; the report has them all."""


class Steps:
    """Carries out what comes before a deploy: `acts` are by the names of their steps."""

    def __init__(
        self, checkout: Checkout, home: Home, passphrase: Callable[[], bytes], planned: Collection[str]
    ) -> None:
        """Release this project out of this home; the passphrase is asked for where the key has one.

        `planned` are the names of all steps: what none of them uses is not looked at.
        """
        self._checkout, self._home, self._passphrase, self._planned = checkout, home, passphrase, planned
        self._project = checkout.project

    def acts(self) -> dict[str, Act]:
        """What carries each step out."""
        return {
            "check": self._check,
            "lock": self._lock,
            "build": self._build,
            "test": self._test,
            "scan": self._scan,
            "attest": self._attest,
            "sign": self._sign,
            "push": self._push,
            "tag": self._tag,
        }

    def _check(self, _step: PlannedStep, _: Standing) -> Report:
        """Look at everything that a later step would fail at, before any work is done."""
        read_checks(self._checkout.folder, self._project.check)
        said = ["tiffin.toml"]
        if self._project.check:
            said.append(f"{len(self._project.check)} checks" if len(self._project.check) > 1 else "a check")
        if "sign" in self._planned:
            from tiffin.api.images.trust import check_key

            said.append(f"the key {check_key(self._key, self._passphrase)}")
        if (scanner := self._project.release.scanner) and "scan" in self._planned:
            from tiffin.api.releases.scan import find_scanner

            said.append(find_scanner(scanner))
        return Report(message=f"{', '.join(said)} can be read")

    def _lock(self, _step: PlannedStep, _: Standing) -> Report:
        lock = fresh_lock(self._checkout, self._home, locked=True)
        return Report(message=f"{self._checkout.lock_path.name} is fresh: {len(lock.wheels)} wheels")

    def _build(self, _step: PlannedStep, _: Standing) -> Report:
        from tiffin.api.building.build import build_image

        reference, image = build_image(self._checkout.folder, tag="", locked=True, home=self._home)
        return Report(message=str(reference), image=image.descriptor.digest, reference=str(reference))

    def _test(self, _step: PlannedStep, standing: Standing) -> Report:
        """Start a container of the image, which asks itself first, and ask it every check from outside."""
        from tiffin.api.containers.options import Options
        from tiffin.api.containers.run import run_detached
        from tiffin.api.machine.engines import engine_name

        image, name = self._image(standing), f"release-{self._project.name[:40]}"
        _have_here(image, self._home.store)
        token = secrets.token_hex(16)  # a server that wants one does not start without; nobody else knows this one
        run = msgspec.structs.replace(self._run_options(name), env=self._environment(token))
        self._forget(name)
        try:
            address = run_detached(Options(what=str(image.descriptor.digest), run=run))
            checks = checks_of(self._home.store, image, standing.reference)
            cases = (
                Case(name="ready"),
                *ask(address, checks, {"Authorization": f"Bearer {token}"}),
            )
        except CommandError as error:  # its container is gone, and what it wrote is in the message
            wrong = self._named(error.message)
            return Report(cases=(Case(name="ready", wrong=wrong),), wrong=wrong, hint=_MEND)
        finally:
            self._forget(name)
        if wrong := told(cases):
            return Report(cases=cases, wrong=f"{standing.reference} answers wrongly: {wrong}", hint=_MEND)
        done = f"ready, and {len(checks)} of {len(checks)} checks answered" if checks else "ready; it has no [[check]]"
        return Report(message=f"{done}, by {engine_name()}", cases=cases)

    def _named(self, message: str) -> str:
        """Call the files of checks what the project does, and not where the image has them."""
        for number, check in enumerate(self._project.check):
            for kind, path in (("request", check.request), ("expect", check.expect)):
                message = message.replace(f"/opt/tiffin/checks/{number}/{kind}.json", path) if path else message
        return message

    def _run_options(self, name: str) -> Any:
        """How the container is started: with the data that `[deploy]` gives it on this machine."""
        from tiffin.api.containers.options import Typed, run_options

        given, folder = self._project.deploy.data, self._checkout.folder
        volumes = [
            f"{_place(folder, given[one.name])}:{one.path}:{'rw' if one.write else 'ro'}"
            for one in self._project.data
            if one.name in given
        ]
        gpus = str(self._project.deploy.gpus) if self._project.deploy.gpus else ""
        return run_options(Typed(name=name, volume=volumes, gpus=gpus))

    def _environment(self, token: str) -> dict[str, str]:
        own = {"TIFFIN_BEARER_TOKEN": token} if self._project.serve.auth == "bearer" else {}
        return {**self._project.deploy.env, **own}

    def _forget(self, name: str) -> None:
        """Remove the container, which a release that was killed may have left."""
        from tiffin.api.containers.verbs import engine_of

        with contextlib.suppress(NotFoundError):
            engine_of(self._home).find(name).remove(force=True)

    def _scan(self, _step: PlannedStep, standing: Standing) -> Report:
        from tiffin.api.releases.scan import scan

        section = self._project.release
        found = scan(f"{self._project.name}@{standing.image}", section, home=self._home).findings
        ending = refused(found, section.fail_on)
        if not ending:
            return Report(message=summary(found), findings=found)
        lines = "".join(f"\n    {one.rule}: {one.message}" for one in ending[:_TOLD])
        more = f"\n    and {len(ending) - _TOLD} more" if len(ending) > _TOLD else ""
        hint = (
            f"{ending[0].hint}; or accept it with a reason: "
            f'`[[release.allow]] rule = "{ending[0].rule}"` in {self._checkout.file.name}'
        )
        return Report(findings=found, wrong=f"the scan found {summary(found)}:{lines}{more}", hint=hint)

    def _attest(self, _step: PlannedStep, standing: Standing) -> Report:
        from tiffin.api.images.sbom import document

        image = self._image(standing)
        bom = msgspec.json.decode(document(self._home.store, image, CYCLONEDX, standing.reference))
        if not provenance_of(self._home.store, image.descriptor):
            return Report(wrong=f"{standing.reference} has no provenance beside it", hint="build it again")
        return Report(message=f"CycloneDX with {len(bom['components'])} components, SLSA provenance")

    def _sign(self, _step: PlannedStep, standing: Standing) -> Report:
        from tiffin.api.images.trust import sign

        signed = sign(f"{self._project.name}@{standing.image}", self._key, self._passphrase, home=self._home)
        said = ", ".join(statement.what for one in signed for statement in one.statements)
        return Report(message=f"{said}, by {signed[0].key}")

    def _push(self, _step: PlannedStep, standing: Standing) -> Report:
        """Push by digest; no tag means it before everything of it, and what speaks of it, is there."""
        from tiffin.api.images.push import push
        from tiffin.store.remote.store import RemoteStore

        image = self._image(standing)
        name = f"{self._project.release.push}@{image.descriptor.digest}"
        there = RemoteStore.of(Reference.parse(name)).exists(image.descriptor)
        pushed = push(str(image.descriptor.digest), name, home=self._home)
        return Report(message=pushed, reference=pushed, already=there)

    def _tag(self, step: PlannedStep, standing: Standing) -> Report:
        from tiffin.api.images.push import push
        from tiffin.store.remote.store import RemoteStore

        image, repository = self._image(standing), self._project.release.push
        tags = [tag.replace("{digest}", image.descriptor.digest.short) for tag in step.settings["tags"]]
        moved = []
        for tag in tags:
            reference = Reference.parse(f"{repository}:{tag}")
            with contextlib.suppress(NotFoundError):
                if RemoteStore.of(reference).resolve(tag).digest == image.descriptor.digest:
                    continue
            push(str(image.descriptor.digest), str(reference), home=self._home)
            moved.append(tag)
        return Report(message=", ".join(tags), already=not moved)

    def _image(self, standing: Standing) -> Image:
        return find_image(self._home.store, str(standing.image))

    @property
    def _key(self) -> Path:
        """A key's path begins at the project's folder; one that was typed, too, unless it is whole."""
        return self._checkout.folder / Path(self._project.release.sign.key).expanduser()


def _have_here(image: Image, store: Store) -> None:
    """Have every layer on this machine, since a container is about to be started of them."""

    def fetch(layer: Descriptor) -> None:
        store.open(layer).close()

    parallel(fetch, image.manifest.layers, workers=AT_ONCE)


def _place(folder: Path, source: str) -> str:
    """A path of this machine begins at the project's folder; a bare word is a volume."""
    if "/" in source or source.startswith("."):
        return str((folder / Path(source).expanduser()).absolute())
    return source
