"""`build`: make the image of a project; the wiring of the builder to this machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiffin.api.building.baselines import project_baseline
from tiffin.api.building.imports import approve_weights
from tiffin.api.building.lock_layers import LockedLayers, completed
from tiffin.api.building.overlaps import kept_wheels, with_overlaps
from tiffin.api.building.projects import Checkout, debian_of, fresh_lock, index_of
from tiffin.api.machine.container import this_container
from tiffin.api.machine.home import Home
from tiffin.build.carried import lock_text
from tiffin.build.conversion import ONNX, attach_report, check_format
from tiffin.build.fingerprint import Fingerprints
from tiffin.build.foundation import Foundation, foundation_of
from tiffin.build.make import make, make_layers
from tiffin.build.plan import BuildPlan, Environment, Payload, ServerParts, plan_below_weights, plan_image
from tiffin.build.prove import Archive, prove
from tiffin.build.recipes import SourceFile
from tiffin.build.server import grpc_wheels, server_files, server_wheels
from tiffin.build.sources import code_of, project_model, weights_of
from tiffin.build.workshop import Workshop
from tiffin.config.checks import read_checks
from tiffin.config.project import Project
from tiffin.layers.layer import Layer
from tiffin.models.model import Model
from tiffin.oci.documents import encode
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform
from tiffin.oci.reference import Reference
from tiffin.packages.lock import Lock, write_lock
from tiffin.packages.pins import DebPin, WheelPin
from tiffin.progress import note

if TYPE_CHECKING:
    from tiffin.api.building.conversion import Product
    from tiffin.layers.compiler import Compiler


def build(folder: Path, *, tag: str = "", locked: bool = False, offline: bool = False, home: Home | None = None) -> str:
    """Make the image of the project in a folder, name it, and return `name@digest`."""
    return str(build_image(folder, tag=tag, locked=locked, offline=offline, home=home or Home.of())[0])


def build_image(
    folder: Path, *, tag: str, locked: bool, home: Home, offline: bool = False, trained: Path | None = None
) -> tuple[Reference, Image]:
    """Make the image of the project in a folder and name it; the lock learns what layers its packages became.

    `trained` is a model that takes the place of the one that `[model] path` names.
    """
    home.sweep()
    checkout, lock, plan, workshop, product = prepare(
        folder, locked=locked or offline, home=home, offline=offline, trained=trained
    )
    reference = Reference.parse(tag or checkout.project.name)
    image = make(plan, _without_network(checkout, home, lock, plan, workshop) if offline else workshop)
    archive = Archive(store=home.store, libraries=workshop.libraries, proofs=home.records("proofs"))
    prove(plan, image, archive, checkout.project.image.allow_missing)
    if product:
        attach_report(home.store, image.descriptor, product.converted.report)
    if not locked:
        _complete(checkout, lock, completed(lock, plan.recipes, image.manifest.layers, workshop.layers))
    home.store.tag(reference.tagged, image.descriptor)
    return Reference(
        registry=reference.registry, repository=reference.repository, digest=image.descriptor.digest
    ), image


def have_below_weights(checkout: Checkout, home: Home) -> list[Layer]:
    """Have the layers that an image of a project has below its weights, and the lock know them.

    Whoever has the lock and may read these layers builds an image of any model with neither packages nor a compiler.
    """
    server = server_files()
    lock = fresh_lock(checkout, home)
    foundation = foundation_of(lock)
    seen = Fingerprints(home.records("files"), checkout.folder)
    workshop = workshop_of(checkout, home, lock, foundation.program, server)
    workshop = msgspec.structs.replace(workshop, layers=LockedLayers(workshop.layers, lock.layers))
    lock = with_overlaps(lock, home.records("overlaps"), workshop.wheels)
    parts = server_parts(checkout.project, lock.python, lock.platform, seen.files(server))
    recipes = plan_below_weights(checkout.project, environment_of(lock, foundation), parts)
    layers = make_layers(recipes, workshop)
    _complete(checkout, lock, completed(lock, recipes, [layer.descriptor for layer in layers], workshop.layers))
    seen.save()
    return layers


def plan_text(folder: Path, *, locked: bool = False, home: Home | None = None) -> str:
    """Return the plan of a project's image as JSON."""
    _, _, plan, _, _ = prepare(folder, locked=locked, home=home or Home.of(), offline=True)
    return encode(plan).decode()


def _complete(checkout: Checkout, lock: Lock, complete: Lock) -> None:
    """Write a lock that became another; a folder that cannot be written to is no reason to fail a build."""
    if complete is lock:
        return
    try:
        write_lock(complete, checkout.lock_path)
    except OSError as error:
        note(f"the layers are not added to {checkout.lock_path}: {error.strerror}")


def _without_network(checkout: Checkout, home: Home, lock: Lock, plan: BuildPlan, workshop: Workshop) -> Workshop:
    from tiffin.api.building.bases import kept_build
    from tiffin.api.building.offline import Caches, offline

    caches = Caches(
        index=cache(partial(index_of, checkout, home, lock.base_image)),
        debian=cache(partial(debian_of, checkout, home)),
        archive=partial(kept_build, home),
    )
    return offline(workshop, plan, caches)


def prepare(
    folder: Path, *, locked: bool, home: Home, offline: bool = False, trained: Path | None = None
) -> tuple[Checkout, Lock, BuildPlan, Workshop, Product | None]:
    """Read a project, its lock and its files, and plan its image; `offline` looks at no wheel that is not here."""
    checkout = Checkout.of(folder)
    model = project_model(checkout.folder, checkout.project, trained)
    weights, code = weights_of(model), code_of(checkout.folder, checkout.project, model)
    if checkout.project.model.convert:
        check_format(model, str(model.named))
    server, checks = server_files(), read_checks(checkout.folder, checkout.project.check)
    lock = fresh_lock(checkout, home, locked=locked)
    foundation = foundation_of(lock)
    seen = Fingerprints(home.records("files"), checkout.folder)
    approve_weights(seen.files(weights), weights, model.format, checkout.project.model.allow_imports, home)
    product = _converted(checkout, home, lock, model, seen, offline=offline)
    weights = product.weights if product else weights
    workshop = workshop_of(checkout, home, lock, foundation.program, {**weights, **code, **server})
    fetch = partial(kept_wheels, partial(index_of, checkout, home, lock.base_image)) if offline else workshop.wheels
    lock = with_overlaps(lock, home.records("overlaps"), fetch)
    payload = msgspec.structs.replace(
        _payload(model, weights, code, seen, product),
        checks=checks,
        baseline=project_baseline(checkout, seen, home),
    )
    plan = plan_image(
        checkout.project,
        environment_of(lock, foundation),
        server_parts(checkout.project, lock.python, lock.platform, seen.files(server)),
        payload,
    )
    seen.save()
    layers = LockedLayers(workshop.layers, lock.layers)
    return checkout, lock, plan, msgspec.structs.replace(workshop, layers=layers), product


def _converted(
    checkout: Checkout, home: Home, lock: Lock, model: Model, seen: Fingerprints, *, offline: bool
) -> Product | None:
    """Convert the model, where that is asked for."""
    if not checkout.project.model.convert:
        return None
    from tiffin.api.building.conversion import convert

    return convert(checkout, home, lock, model, seen, offline=offline)


def _payload(
    model: Model, weights: dict[str, Path], code: dict[str, Path], seen: Fingerprints, product: Product | None
) -> Payload:
    """Say what is the user's own in the image: the model, or what it was converted to."""
    return Payload(
        format=ONNX if product else model.format,
        weights=seen.files(weights),
        code=seen.files(code),
        conversion=product.conversion if product else None,
    )


def server_parts(project: Project, python: str, platform: Platform, files: tuple[SourceFile, ...]) -> ServerParts:
    """Say what the server layer is made of."""
    grpc = grpc_wheels(python, platform) if project.serve.grpc else ()
    return ServerParts(files=files, wheels=server_wheels(python, platform), grpc=grpc)


def environment_of(lock: Lock, foundation: Foundation) -> Environment:
    """What a project's image stands on and its packages, as its lock pins them."""
    return Environment(
        lock=lock_text(lock),
        foundation=foundation,
        platform=lock.platform,
        wheels=lock.wheels,
        overlaps=lock.overlaps or (),
    )


def workshop_of(checkout: Checkout, home: Home, lock: Lock, program: str, sources: dict[str, Path]) -> Workshop:
    """Wire the builder to this machine's store, caches and networks; `program` is the image's own interpreter."""
    from tiffin.api.building.bases import bringing, fetch_build

    unpacking, asking = threading.Lock(), threading.Lock()
    index = cache(partial(index_of, checkout, home, lock.base_image))

    def wheels(pins: Sequence[WheelPin]) -> list[Path]:
        from tiffin.packages.index import fetch_all
        from tiffin.packages.pypi.wheels import refuse_misfits

        refuse_misfits((pin.filename for pin in pins), checkout.image_python(lock.base_image))
        with asking:  # several layers are made at once; they share one index and its connections
            packages = index()
            if not lock.origins.keys().isdisjoint(pin.name for pin in pins):
                from tiffin.api.building.workroom import build_again

                build_again(checkout, home, lock, pins)
        return fetch_all(packages, pins)

    def debs(pins: Sequence[DebPin]) -> list[Path]:
        return debian_of(checkout, home).fetch_all(pins)

    def compiler(layers: Sequence[Layer]) -> Compiler:
        from tiffin.api.building.workroom import unpacked_folders
        from tiffin.engine.embedded.machine import Machine
        from tiffin.engine.embedded.tool import tool_argv
        from tiffin.layers.compiler import ProcessCompiler

        container = this_container()
        if container and {layer.diff_id for layer in layers} <= set(container.layers):
            return ProcessCompiler([program])  # which is here: these layers are this very container's
        with unpacking:  # several layers are compiled at once; the first unpacks for all
            folders = unpacked_folders(home, layers)
        sandbox = partial(tool_argv, folders, machine=Machine.here(), env={"PYTHONHASHSEED": "0"})
        return ProcessCompiler([program], sandbox=sandbox)

    return Workshop(
        store=home.store,
        layers=home.records("layers"),
        images=home.records("images"),
        bytecode=home.records("bytecode"),
        libraries=home.records("libraries"),
        wheels=wheels,
        debs=debs,
        bring=bringing(checkout, home),
        archive=lambda _: fetch_build(checkout, home)[0],
        compiler=compiler,
        sources=sources,
    )
