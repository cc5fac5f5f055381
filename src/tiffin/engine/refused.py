"""What engines refuse in the same words, whoever noticed it."""

from __future__ import annotations

import errno

from tiffin.engine.spec import ContainerSpec, Mount, Port, Secret
from tiffin.errors import ConfigError, ConflictError, DeniedError, NotFoundError, TiffinError


def refused_port(port: Port, name: str, error: OSError) -> TiffinError:
    """Why a container cannot listen there, and what to do instead."""
    where = f"port {port.host_port} of {port.host}"
    if error.errno == errno.EADDRINUSE:
        free = (
            f"let the kernel choose: `-p 0:{port.container_port}`, or free it: `ss -ltnp 'sport = :{port.host_port}'`"
        )
        return ConflictError(f"{name}: {where} is taken", free)
    if error.errno == errno.EACCES:
        return DeniedError(f"{name}: {where} is for root", f"choose one from 1024 on: `-p 8080:{port.container_port}`")
    return ConfigError(f"{name}: cannot listen on {where}: {error.strerror}", "publish on 127.0.0.1 or 0.0.0.0")


def refused_program(spec: ContainerSpec) -> TiffinError:
    """The image does not have what it should run."""
    return NotFoundError(
        f"{spec.image} has no program {spec.argv[0]!r} that can be run",
        f"its PATH is {spec.env.get('PATH', '')}; give another program after the image's name",
    )


def refused_mount(mount: Mount, source: str) -> TiffinError:
    """The host does not have what should be mounted; `source` is its absolute path."""
    option = f"-v {mount.source}:{mount.target}"
    return ConfigError(f"{source} of `{option}` does not exist", f"make it: `mkdir -p {source}`, or name another")


def refused_name(name: str) -> TiffinError:
    """Another container has the name."""
    return ConflictError(
        f"a container called {name!r} exists already", f"remove it: `tiffin rm -f {name}`, or choose another"
    )


def still_runs(name: str) -> ConflictError:
    """A container that runs is not removed."""
    return ConflictError(f"{name} is running", f"stop it first, or `tiffin rm -f {name}`")


def runs_already(name: str) -> ConflictError:
    """A container that runs is not started."""
    return ConflictError(f"{name} runs already", f"stop it: `tiffin stop {name}`")


def does_not_run(name: str) -> ConflictError:
    """What was asked for needs a container that runs."""
    return ConflictError(f"{name} does not run", f"start it: `tiffin start {name}`")


def was_not_started(name: str) -> ConflictError:
    """A container that never ran has no end to wait for."""
    return ConflictError(f"{name} was not started", f"start it: `tiffin start {name}`")


def refused_secret(secret: Secret, error: OSError) -> TiffinError:
    """The file of a secret cannot be read by whoever starts the container."""
    if isinstance(error, FileNotFoundError):
        return NotFoundError(
            f"no file {secret.source} for the secret {secret.name}", "put it there again; its content is not kept"
        )
    return DeniedError(
        f"{secret.source} of the secret {secret.name} cannot be read: {error.strerror}",
        "have it belong to whoever starts the container",
    )


def absent_volume(name: str) -> TiffinError:
    """No volume has the name."""
    return NotFoundError(f"no volume is called {name!r}", "`tiffin volume ls` lists them")


def used_volume(name: str, container: str) -> TiffinError:
    """A container would lose it."""
    return ConflictError(
        f"the volume {name!r} belongs to the container {container!r}", f"remove that first: `tiffin rm -f {container}`"
    )
