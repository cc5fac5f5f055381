"""What is done with containers: list, look, stop, remove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tiffin.api.machine.engines import open_engine
from tiffin.api.machine.home import Home
from tiffin.engine.plan import parse_signal
from tiffin.engine.spec import Container, Engine, Port, State, Status, Surveys
from tiffin.errors import ConflictError, NotFoundError
from tiffin.progress import parallel

HTTP = "http"


class ContainerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A container, as a list shows it."""

    name: str
    image: str
    status: str
    ports: str
    id: str


def engine_of(home: Home | None = None) -> Engine:
    """The engine that is meant (see `engines`)."""
    return open_engine(home or Home.of())


def is_container(name: str, home: Home) -> bool:
    """Say whether the engine that is meant has a container of this name."""
    try:
        engine_of(home).find(name)
    except NotFoundError:
        return False
    return True


def containers(*, ended: bool = False) -> list[ContainerRow]:
    """List the containers that run, and with `ended` those that do not."""
    return [_row(*row) for row in _survey(engine_of()) if ended or row[1].status is Status.RUNNING]


def _survey(engine: Engine) -> Sequence[tuple[Container, State]]:
    """Look at every container, at once where the engine can."""
    if isinstance(engine, Surveys):
        return engine.survey()
    return [row for rows in parallel(_looked_at, engine.list()) for row in rows]


def _looked_at(container: Container) -> list[tuple[Container, State]]:
    """A container and what it is doing; none where it has just been removed."""
    try:
        return [(container, container.state())]
    except NotFoundError:
        return []


def stop(names: Sequence[str], seconds: float | None = None) -> None:
    """Stop containers: their stop signal, and `seconds` later the end."""
    found = [engine_of().find(name) for name in names]
    parallel(lambda container: container.stop(seconds), found, workers=len(found))


def kill(names: Sequence[str], signal: str = "SIGKILL") -> None:
    """Send containers a signal, by name or number; raises ConflictError for one that does not run."""
    number = parse_signal(signal)
    for container in [engine_of().find(name) for name in names]:
        container.kill(number)


def wait(names: Sequence[str]) -> Iterator[int]:
    """Wait for the end of each container in turn and give their exit codes."""
    yield from (container.wait() for container in [engine_of().find(name) for name in names])


def remove(names: Sequence[str], *, force: bool = False) -> None:
    """Forget containers; raises ConflictError for one that runs unless `force` stops it first."""
    for container in [engine_of().find(name) for name in names]:
        container.remove(force=force)


def url_of(name: str) -> str:
    """Where a container listens for HTTP; raises NotFoundError, or ConflictError for one that does not run."""
    state = engine_of().find(name).state()
    if state.status is not Status.RUNNING:
        raise ConflictError(f"{name} does not run: {described(state)}", f"`tiffin logs {name}` shows what it wrote")
    if port := http_port(state.ports):
        return url(port)
    raise NotFoundError(f"{name} publishes no HTTP port", "run it with `-p`")


def http_port(ports: Sequence[Port]) -> Port | None:
    """The port that HTTP is published on: the socket of that name, else the first one."""
    named = [port for port in ports if port.socket == HTTP]
    return next(iter(named or ports), None)


def address(port: Port) -> str:
    """A port as people open it: a URL where it is known to speak HTTP, else host and port."""
    return url(port) if port.socket == HTTP else _place(port)


def url(port: Port) -> str:
    """A port as it is asked by HTTP."""
    return f"http://{_place(port)}"


def _place(port: Port) -> str:
    return f"{f'[{port.host}]' if ':' in port.host else port.host}:{port.host_port}"


def described(state: State) -> str:
    """What a container is doing, in words."""
    if state.status is Status.RUNNING and state.restarts:
        times = "once" if state.restarts == 1 else f"{state.restarts} times"
        return f"{'running' if state.pid else 'restarting'} (restarted {times})"
    if state.status is not Status.EXITED:
        return str(state.status.value)
    return f"exited {state.exit_code}" + (f" ({state.reason})" if state.reason else "")


def _row(container: Container, state: State) -> ContainerRow:
    spec = container.spec
    return ContainerRow(
        name=spec.name,
        image=spec.image,
        status=described(state),
        ports=", ".join(f"{port.host}:{port.host_port}->{port.container_port}" for port in state.ports),
        id=container.id,
    )
