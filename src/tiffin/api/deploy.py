"""`deploy`: a project or an image becomes a service that is kept, on this machine or in a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tiffin.api.accounts import accounts_for
from tiffin.api.home import Home
from tiffin.api.images import find_image
from tiffin.api.run import stem_of
from tiffin.api.sbom import document
from tiffin.api.targets import (
    KUBERNETES,
    LOCAL,
    Means,
    Place,
    Where,
    choose,
    known_places,
    open_target,
    project_in,
    remember,
)
from tiffin.api.trust import require
from tiffin.build.plan import SERVICE
from tiffin.config.deploy import DeploySection
from tiffin.config.project import Project
from tiffin.deploy.compose import Asked, Made, Served, ServiceDocument, compose
from tiffin.deploy.service import Service
from tiffin.deploy.target import CanCanary, Change, Status, Target
from tiffin.engine.plan import parse_user
from tiffin.errors import (
    CommandError,
    ConfigError,
    ConflictError,
    DeniedError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from tiffin.oci.documents import Descriptor, decode
from tiffin.oci.image import Image, read_image
from tiffin.oci.platform import Platform
from tiffin.oci.reference import Reference
from tiffin.oci.store import Referrers
from tiffin.progress import note, step


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to deploy, where to, and what was typed of how; `canary` is a share of the requests in percent.

    `gateway` is the Gateway of the cluster that leads to its host, as NAMESPACE/NAME.
    """

    what: str
    name: str = ""
    where: Where = Where()
    asked: Asked = Asked()
    canary: float | None = None
    force: bool = False
    gateway: str = ""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a deploy would do: the service as wanted, where, and what would change there."""

    service: Service
    place: Place
    changes: Sequence[Change]


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """An image, where it lies, how whoever pulls names it, and what exactly is deployed of it: it, or its index."""

    store: Referrers
    image: Image
    reference: Reference
    descriptor: Descriptor


class _Decided(msgspec.Struct, frozen=True, kw_only=True):
    service: Service
    place: Place
    found: _Found


def deploy(order: Order) -> tuple[Status, Place]:
    """Have a service kept as it is wanted, and return how it is once it is available, and where."""
    home = Home.of()
    decided = _decide(order, home)
    service, place, found = decided.service, decided.place, decided.found
    target = open_target(place, home, Means(force=order.force, gateway=order.gateway))
    folder = Path(order.what)
    require(found.store, found.descriptor, str(found.reference), project=folder if folder.is_dir() else None)
    if place.target == KUBERNETES:
        _check_pushed(found)
    try:
        with step("deploy", f"{service.name} to {place}"):
            status = _apply(target, order, service, place)
    except (CommandError, ConflictError):  # it is there, if not as it should be
        remember(home, service.name, place)
        raise
    remember(home, service.name, place)
    return status, place


def _apply(target: Target, order: Order, service: Service, place: Place) -> Status:
    if order.canary is None:
        return target.apply(service)
    if not isinstance(target, CanCanary):
        raise UnsupportedError(f"{place} gives a revision all requests or none", "leave `--canary` out")
    return target.canary(service, order.canary)


def plan_deploy(order: Order, version: str = "") -> Planned:
    """Say what a deploy would do; of a cluster that is not asked, or does not answer, all that it would be sent."""
    home = Home.of()
    decided = _decide(order, home)
    changes: Sequence[Change] | None = None
    if not version:
        try:
            means = Means(force=order.force, gateway=order.gateway)
            changes = open_target(decided.place, home, means).plan(decided.service)
        except (UnavailableError, NotFoundError) as error:
            if decided.place.target == LOCAL:
                raise
            note(f"the cluster is not asked: {error.message}")
    if changes is None:
        from tiffin.deploy.kubernetes.changes import created

        changes = created(_objects(decided, order, version))
    return Planned(service=decided.service, place=decided.place, changes=changes)


def render(order: Order, version: str = "") -> str:
    """Return what a cluster of a version would be sent, as YAML; no cluster is asked."""
    from tiffin.deploy.kubernetes.manifests.render import to_yaml

    return to_yaml(_objects(_decide(_for_cluster(order), Home.of()), order, version))


def render_into(order: Order, folder: Path, version: str = "") -> list[str]:
    """Write it as a base for kustomize, and return the files; those of an earlier one are written over."""
    from tiffin.deploy.kubernetes.manifests.render import kustomize
    from tiffin.durable import renamed

    written = []
    for name, text in kustomize(_objects(_decide(_for_cluster(order), Home.of()), order, version)).items():
        with renamed(folder / name) as file:
            file.write(text.encode())
        written.append(str(folder / name))
    return written


def _for_cluster(order: Order) -> Order:
    """Manifests are a cluster's, whatever else is known of the name."""
    if order.where.to or order.where.environment:
        return order
    return msgspec.structs.replace(order, where=msgspec.structs.replace(order.where, to=KUBERNETES))


def _objects(decided: _Decided, order: Order, version: str) -> list[dict[str, object]]:
    """What a cluster that is not asked would be sent; of its own kinds only the gateway that is named is known."""
    from tiffin.deploy.kubernetes.manifests.cluster import HTTP_ROUTE
    from tiffin.deploy.kubernetes.manifests.render import Cluster
    from tiffin.deploy.kubernetes.revisions import rendered

    if decided.place.target != KUBERNETES:
        raise ConfigError(f"{decided.place} has no manifests", "say `--to kubernetes`, or leave `--k8s-version` out")
    kinds = frozenset({HTTP_ROUTE} if order.gateway else ())
    cluster = Cluster(namespace=decided.place.namespace or "default", gateway=order.gateway, kinds=kinds)
    if version:
        cluster = msgspec.structs.replace(cluster, version=parse_version(version))
    return rendered(decided.service, cluster)


def parse_version(text: str) -> tuple[int, int]:
    """Read a cluster's version, `1.36` or `v1.36.2`; raises ConfigError."""
    parts = text.removeprefix("v").split(".")
    if len(parts) not in {2, 3} or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"not a version of Kubernetes: {text!r}", "write it as `1.36`")
    return int(parts[0]), int(parts[1])


def _decide(order: Order, home: Home) -> _Decided:
    """Find the image, what is said of keeping it, and the place, and put the service together."""
    folder = Path(order.what)
    if order.what.startswith((".", "/")) and not folder.is_dir():
        raise NotFoundError(f"no folder {order.what}", "name a project's folder, or an image of `tiffin images`")
    project = project_in(folder) if folder.is_dir() else project_in(Path.cwd())
    root = folder if folder.is_dir() else Path.cwd()
    name = order.name or (project.name if project and folder.is_dir() else "")
    place = _place(order, name, project, home)
    found = _image(order.what, place, home)
    said = _document(found)
    called = _called(said, found)
    if project and not folder.is_dir() and project.name != called:
        if order.where.environment:
            raise ConfigError(
                f"tiffin.toml here is of {project.name}, and {order.what} of {called}", "go to its folder"
            )
        project = None
    service = compose(
        name or called,
        _made(found, said.serve if said else Served()),
        _section(project, place.environment),
        order.asked,
        root.absolute() if place.target == LOCAL else None,
    )
    return _Decided(service=service, place=place, found=found)


def _place(order: Order, name: str, project: Project | None, home: Home) -> Place:
    """Where to; before an image is found, it has the name that its own would give."""
    called = name or stem_of(order.what)
    environments = (
        project.environment if project and (name or order.where.environment or project.name == called) else {}
    )
    return choose(order.where, environments, known_places(home, called))


def _section(project: Project | None, environment: str) -> DeploySection:
    """What is said of keeping it, in the environment that is meant."""
    if project is None:
        return DeploySection()
    section = project.environment.get(environment)
    return section.over(project.deploy) if section else project.deploy


def _image(what: str, place: Place, home: Home) -> _Found:
    """Find the image that is meant: a project's folder is built first, one that is not here is in its registry."""
    if Path(what).is_dir():
        from tiffin.api.build import build_image

        reference, image = build_image(Path(what), tag="", locked=False, home=home)
        return _here(reference if place.target == LOCAL else _pushed_name(reference, image, home), image, home)
    try:
        image = find_image(home.store, what)
    except NotFoundError:
        if what.startswith("sha256:") or not Reference.parse(what).registry:
            raise
        return _there(Reference.parse(what), place, home)
    reference = Reference.parse(what) if not what.startswith("sha256:") else Reference(repository="image")
    if place.target == KUBERNETES and not reference.registry:
        reference = _pushed_name(reference, image, home)
    return _here(reference, image, home)


def _here(reference: Reference, image: Image, home: Home) -> _Found:
    return _Found(store=home.store, image=image, reference=reference, descriptor=image.descriptor)


def _there(reference: Reference, place: Place, home: Home) -> _Found:
    """Find an image in its registry; a cluster pulls it itself, and of an index takes what suits each node."""
    if place.target == LOCAL:
        from tiffin.api.pull import pull_image

        return _here(reference, pull_image(reference, home), home)
    from tiffin.store.remote.store import RemoteStore

    remote = RemoteStore.of(reference)
    descriptor = remote.resolve(reference.digest or reference.tag or "latest")
    try:
        image = read_image(remote, descriptor)
    except UnsupportedError:  # an index with nothing for this machine
        image = read_image(remote, descriptor, Platform(os="linux", architecture="amd64"))
    return _Found(store=remote, image=image, reference=reference, descriptor=descriptor)


def _pushed_name(reference: Reference, image: Image, home: Home) -> Reference:
    """A name with a registry that the same image has here; raises ConfigError where it has none."""
    for name, descriptor in sorted(home.store.names().items()):
        if descriptor.digest == image.descriptor.digest and (found := Reference.parse(name)).registry:
            return found
    name = reference.name
    raise ConfigError(
        f"{name} is only on this machine, and a cluster pulls from a registry",
        f"`tiffin push {name} REGISTRY/{name}`, then `tiffin deploy REGISTRY/{name} --to kubernetes`",
    )


def _check_pushed(found: _Found) -> None:
    """Ask the registry whether it has the image, where it answers; nodes may reach one that this machine does not."""
    from tiffin.store.remote.store import RemoteStore

    if isinstance(found.store, RemoteStore):
        return
    try:
        there = RemoteStore.of(found.reference).exists(found.descriptor)
    except (UnavailableError, DeniedError) as error:
        note(f"whether {found.reference.name} has it is not known: {error.message}")
        return
    if not there:
        name = found.reference.tagged
        raise NotFoundError(f"{found.reference.name} has no {found.descriptor.digest}", f"`tiffin push {name}` first")


def _document(found: _Found) -> ServiceDocument | None:
    """What an image of tiffin's says of how it serves."""
    name = str(found.reference)
    try:
        text = document(found.store, found.image, SERVICE, name)
    except NotFoundError:
        return None
    return decode(ServiceDocument, text.encode(), f"{name}: /{SERVICE}")


def _called(said: ServiceDocument | None, found: _Found) -> str:
    return said.name if said else stem_of(str(found.reference))


def _made(found: _Found, served: Served) -> Made:
    config = found.image.config.config
    return Made(
        image=found.reference.name,
        digest=found.descriptor.digest,
        labels=config.labels,
        exposed=tuple(config.exposed_ports),
        user=parse_user(config.user, accounts_for(config.user, found.image, found.store)),
        served=served,
    )
