"""`run`: a project or an image becomes a container that answers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tiffin.api.containers.accounts import accounts_for
from tiffin.api.containers.needs import foreseen, mention_grpc, with_gpus
from tiffin.api.containers.options import Options
from tiffin.api.containers.verbs import HTTP, address, described, engine_of, http_port, stop
from tiffin.api.images.trust import require
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.engine.data import refuse
from tiffin.engine.gpus import parse_gpus
from tiffin.engine.listening import listens
from tiffin.engine.naming import free_name
from tiffin.engine.plan import SOCKETS, RunOptions, container_spec, parse_sockets
from tiffin.engine.spec import Container, ContainerSpec, Engine, Obstacle, Port, Status
from tiffin.errors import CommandError, NotFoundError, TiffinError
from tiffin.oci.documents import encode
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.progress import note, parallel, step

POLL_SECONDS = 0.01
PATIENCE = 60.0
"""Seconds after which a container that does not listen where it was published is left to itself."""
_TAIL = 40
"""Lines of a log that an error quotes."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What would run as JSON, and why it gets no GPU where it is refused for that."""

    text: str
    refusal: TiffinError | None = None


def plan_run(options: Options) -> Planned:
    """Say what would run, and all that is in its way; nonsense is no plan, and raises ConfigError."""
    home = Home.of()
    name, image = _image(options.what, home)
    engine, refusal = engine_of(home), None
    parse_gpus(options.run.gpus)
    try:
        options = _with_gpus(options, name, image)
    except TiffinError as error:
        refusal = error
    spec = spec_of(name, image, options, engine, home)
    in_the_way = [Obstacle(message=refusal.message, hint=refusal.hint or "")] if refusal else []
    in_the_way += foreseen(engine, spec)
    decided = msgspec.json.decode(encode(spec), type=dict[str, object])
    text = encode(decided | ({"refused": in_the_way} if in_the_way else {})).decode()
    return Planned(text=text, refusal=refusal)


def run_detached(options: Options) -> str:
    """Start a container that goes on, and return where it listens, or its name where it does not, once it is ready."""
    container = _create(options, stays=False)
    try:
        container.start()
    except BaseException:
        with contextlib.suppress(NotFoundError):  # `--rm`
            container.remove(force=True)
        raise
    try:
        return wait_ready(container)
    except NotFoundError:
        if not options.run.remove:
            raise
    if container.spec.ports:
        raise CommandError(f"{container.spec.name} ended before it was ready, and is removed", "leave `--rm` out")
    return container.spec.name


def run_attached(options: Options, *, detach_keys: str, ready: Callable[[str], None]) -> int:
    """Run a container until it ends and return its exit status; it ends with this process, unless the keys leave it.

    `ready` hears where it answers, once it does; one that has a terminal speaks for itself.
    """
    from tiffin.api.containers.attach import check, foreground

    check(stdin=options.run.stdin, tty=options.run.tty, detach_keys=detach_keys)
    container = _create(options, stays=True)

    def started() -> None:
        if container.spec.ports and not container.spec.tty:
            threading.Thread(target=_tell, args=(container, ready), daemon=True).start()

    status = foreground(container, detach_keys, started=started)
    if options.run.remove and status is not None:
        with contextlib.suppress(*[TiffinError] if container.spec.remove else []):  # it is being removed, or is
            container.remove()
    from tiffin.api.containers.rehearse import rehearse

    rehearse(options)
    return status or 0


def start(names: Sequence[str]) -> None:
    """Start containers that exist and do not run, and wait until each is ready, as `run -d` does."""
    found = [engine_of().find(name) for name in names]
    for container in found:
        container.start()
    parallel(wait_ready, found, workers=len(found))


def restart(names: Sequence[str], seconds: float | None = None) -> None:
    """Stop those of the containers that run, and start them all."""
    stop(names, seconds)
    start(names)


def wait_ready(container: Container) -> str:
    """Wait until the container answers that it is ready; raises CommandError with its last lines when it ends first.

    One of an image that binds its own port is ready when somebody listens there.
    """
    state = container.state()
    port = http_port(state.ports)
    if port is None:
        return container.spec.name
    due = time.monotonic() + PATIENCE
    with step("start", container.spec.name):
        while not (_answers(port, state.pid) and container.state().status is Status.RUNNING):
            state = container.state()
            if state.status is not Status.RUNNING:
                raise failed(container)
            if port.socket != HTTP and time.monotonic() > due:
                note(f"{container.spec.name} runs, and does not listen on port {port.container_port} yet")
                break
            time.sleep(POLL_SECONDS)
    return address(port)


def _answers(port: Port, pid: int) -> bool:
    """Say whether a container's port is of use: ready as its protocol has it, or listened on where it has none."""
    return is_ready(port) if port.socket == HTTP else bool(port.socket) or listens(pid, port.container_port)


def _create(options: Options, *, stays: bool) -> Container:
    """Make the container; who stays to its end removes it then, unless it may be left by the keys of its terminal."""
    home = Home.of()
    engine = engine_of(home)
    name, image = _image(options.what, home)
    require(home.store, image.descriptor, name, project=Path(options.what) if Path(options.what).is_dir() else None)
    spec = spec_of(name, image, _with_gpus(options, name, image), engine, home)
    if stays and not spec.tty:
        spec = msgspec.structs.replace(spec, remove=False)
    refuse(foreseen(engine, spec))
    mention_grpc(name, image, spec.ports)
    with step("load", name):
        engine.load(home.store, image)
    return engine.create(spec)


def _with_gpus(options: Options, name: str, image: Image) -> Options:
    return msgspec.structs.replace(options, run=with_gpus(name, image, options.run))


def spec_of(name: str, image: Image, options: Options, engine: Engine, home: Home) -> ContainerSpec:
    """Decide what a container is made of; raises for what cannot be."""
    accounts = accounts_for(options.run.user or image.config.config.user, image, home.store)
    return container_spec(name, image, _run_options(options, name, image, engine), accounts)


def _image(what: str, home: Home) -> tuple[str, Image]:
    """Find the image that is meant: a project's folder is built first."""
    if Path(what).is_dir():
        from tiffin.api.building.build import build_image

        reference, image = build_image(Path(what), tag="", locked=False, home=home)
        return str(reference), image
    if what.startswith((".", "/")):
        raise NotFoundError(f"no folder {what}", "name a project's folder, or an image of `tiffin images`")
    return what, _here_or_there(what, home)


def _here_or_there(name: str, home: Home) -> Image:
    """Find an image here; one that is not, and has a registry in its name, is pulled."""
    try:
        return find_image(home.store, name)
    except NotFoundError:
        if name.startswith("sha256:") or not (reference := Reference.parse(name)).registry:
            raise
    from tiffin.api.images.pull import pull_image

    return pull_image(reference, home)


def _run_options(options: Options, image_name: str, image: Image, engine: Engine) -> RunOptions:
    sockets = parse_sockets(image.config.config.labels.get(SOCKETS, ""))
    anywhere = (Port(container_port=sockets[HTTP]),) if HTTP in sockets else ()
    run = options.run
    return msgspec.structs.replace(
        run, name=run.name or _free_name(image_name, engine), publish=run.publish or anywhere
    )


def _free_name(image_name: str, engine: Engine) -> str:
    """Name a container after its image, with a number where that is taken."""
    return free_name(stem_of(image_name), {container.spec.name for container in engine.list()}.__contains__)


def stem_of(image_name: str) -> str:
    """What containers of an image are called, all but the number."""
    if image_name.startswith("sha256:"):
        return "container"
    return Reference.parse(image_name).repository.rpartition("/")[2]


def is_ready(port: Port) -> bool:
    """Ask whether the server behind a port says that it is ready (Open Inference Protocol, "Server Ready")."""
    import http.client  # while the container starts, and not before

    connection = http.client.HTTPConnection(port.host, port.host_port, timeout=5)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def failed(container: Container) -> CommandError:
    """A container ended before it was ready: its last lines."""
    lines = "".join(f"\n    {line.text}" for line in list(container.logs())[-_TAIL:])
    name = container.spec.name
    return CommandError(f"{name} {described(container.state())} before it was ready{lines}", f"`tiffin logs {name}`")


def _tell(container: Container, ready: Callable[[str], None]) -> None:
    """Say where the container answers, once it does; one that does not listen, or ends first, speaks for itself."""
    with contextlib.suppress(TiffinError):
        if (where := wait_ready(container)) != container.spec.name:
            ready(where)
