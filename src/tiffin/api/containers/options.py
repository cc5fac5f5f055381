"""What a user asks of a container on the command line, read into what it means: a pure function an option."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tiffin.engine.gpus import check_devices
from tiffin.engine.plan import RunOptions
from tiffin.engine.spec import STOP_SECONDS, Limits, Mount, Network, Port, Restart, RestartPolicy, Secret
from tiffin.errors import ConfigError, NotFoundError

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(?:b|([kmgt])i?b?)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks to run: a folder or an image, and how."""

    what: str
    run: RunOptions


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `run` as they are typed; each is named as on the command line."""

    name: str = ""
    publish: Sequence[str] = ()
    volume: Sequence[str] = ()
    env: Sequence[str] = ()
    env_file: Sequence[str] = ()
    secret: Sequence[str] = ()
    label: Sequence[str] = ()
    tmpfs: Sequence[str] = ()
    read_only: bool | None = None
    user: str = ""
    workdir: str = ""
    entrypoint: str | None = None
    network: str = "none"
    memory: str = ""
    cpus: float = 0.0
    pids_limit: int = 0
    restart: str = "no"
    stop_signal: str = ""
    stop_timeout: float = STOP_SECONDS
    interactive: bool = False
    tty: bool = False
    remove: bool = False
    gpus: str = ""
    device: Sequence[str] = ()
    args: Sequence[str] = ()


def options(what: str, **typed: Any) -> Options:
    """Read options as they are typed; raises ConfigError for one that cannot be read."""
    return Options(what=what, run=run_options(Typed(**typed)))


def run_options(typed: Typed) -> RunOptions:
    """Read what is typed, each option by its own rule; a variable of `-e` wins over one of a file."""
    return RunOptions(
        name=typed.name,
        args=tuple(typed.args),
        entrypoint=None if typed.entrypoint is None else (typed.entrypoint,) if typed.entrypoint else (),
        env=files_of_variables(typed.env_file) | dict(parse_variable(text, os.environ) for text in typed.env),
        cwd=typed.workdir,
        user=typed.user,
        mounts=tuple(parse_mount(text) for text in typed.volume),
        publish=tuple(parse_port(text) for text in typed.publish),
        tmpfs=tuple(typed.tmpfs),
        read_only=typed.read_only,
        network=Network(typed.network),
        stop_signal=typed.stop_signal,
        stop_seconds=typed.stop_timeout,
        labels=dict(parse_label(text) for text in typed.label),
        stdin=typed.interactive,
        tty=typed.tty,
        limits=Limits(memory=parse_amount(typed.memory), cpus=typed.cpus, processes=typed.pids_limit),
        restart=parse_restart(typed.restart),
        secrets=tuple(parse_secret(text) for text in typed.secret),
        remove=typed.remove,
        gpus=typed.gpus,
        devices=check_devices(typed.device),
        insisted=tuple(parse_mount(text).target for text in typed.volume if text.endswith(":ro")),
    )


def parse_port(text: str) -> Port:
    """Read `[ADDRESS:]PORT[:CONTAINER-PORT]`; the container's port is 8080 unless given."""
    address, _, ports = text.rpartition("]:") if text.startswith("[") else ("", "", text)
    parts = ports.split(":")
    if not address and len(parts) > 1 and not parts[0].isdecimal():
        address, parts = parts[0], parts[1:]
    numbers = [int(part) for part in parts if part.isdecimal() and int(part) < 1 << 16]
    if len(numbers) != len(parts) or len(parts) not in {1, 2}:
        raise ConfigError(f"not a port: {text!r}", "write it as `8080`, `9000:8080` or `127.0.0.1:9000:8080`")
    return Port(
        host=address.lstrip("[") or "127.0.0.1",
        host_port=numbers[0],
        container_port=numbers[1] if numbers[1:] else 8080,
    )


def parse_mount(text: str) -> Mount:
    """Read `SOURCE:TARGET[:ro|rw]`: a source without a slash is a volume's name, as in docker.

    A path is mounted read-only unless `rw` is said, a volume can be written unless `ro` is.
    """
    parts = text.split(":")
    if len(parts) not in {2, 3} or not all(parts) or parts[2:] not in ([], ["ro"], ["rw"]):
        raise ConfigError(f"not a mount: {text!r}", "write it as `./data:/data`, `./data:/data:rw` or `cache:/cache`")
    source, target, *mode = parts
    if "/" in source or source.startswith("."):
        return Mount(source=str(Path(source).absolute()), target=target, read_only=mode != ["rw"])
    return Mount(source=source, target=target, read_only=mode == ["ro"], volume=True)


def parse_variable(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Read `NAME=VALUE`, or `NAME` for the value it has here."""
    name, given, value = text.partition("=")
    if not given and name not in environment:
        raise ConfigError(f"no {name} in the environment", f"give its value: `-e {name}=…`")
    return name, value if given else environment[name]


def files_of_variables(paths: Sequence[str]) -> dict[str, str]:
    """Read files of `NAME=VALUE` lines as docker does: `#` begins a comment line, quotes are part of a value."""
    found: dict[str, str] = {}
    for path in paths:
        for number, line in enumerate(_text(path, "environment file").splitlines(), start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                found |= _line_of_variables(line.lstrip(), f"{path}, line {number}")
    return found


def parse_label(text: str) -> tuple[str, str]:
    """Read `NAME=VALUE`, or `NAME` for an empty value."""
    name, _, value = text.partition("=")
    if not name:
        raise ConfigError(f"not a label: {text!r}", "write it as `team=search`")
    return name, value


def parse_amount(text: str) -> int:
    """Read bytes as docker does: `512m`, `1.5g`, `1Gi`; units are powers of 1024, and nothing is 0."""
    found = _AMOUNT.fullmatch(text or "0")
    if not found:
        raise ConfigError(f"not an amount of memory: {text!r}", "write it as `512m` or `2g`")
    return int(float(found[1]) * 1024 ** _POWERS[(found[2] or "").lower()])


def parse_restart(text: str) -> Restart:
    """Read `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:5`."""
    name, given, tries = text.partition(":")
    policies = {policy.value: policy for policy in RestartPolicy}
    bounded = name == RestartPolicy.ON_FAILURE.value and tries.isdecimal()
    if name not in policies or (given and not bounded):
        raise ConfigError(
            f"not a restart policy: {text!r}", f"choose one of {', '.join(policies)}; on-failure:5 bounds it"
        )
    return Restart(policy=policies[name], tries=int(tries or 0))


def parse_secret(text: str) -> Secret:
    """Read `NAME=FILE`; raises NotFoundError for a file that is not there."""
    name, _, source = text.partition("=")
    if not _SECRET.fullmatch(name) or not source:
        raise ConfigError(
            f"not a secret: {text!r}", "write it as `token=./token.txt`; it is read at /run/secrets/token"
        )
    if not Path(source).is_file():
        raise NotFoundError(
            f"no file {source} for the secret {name}", f"write it first, or name another: `{name}=FILE`"
        )
    return Secret(name=name, source=str(Path(source).absolute()))


def _line_of_variables(line: str, place: str) -> dict[str, str]:
    """One line; a name alone passes on what it is here, and nothing where it is not."""
    name, given, value = line.partition("=")
    if not name or name != name.strip():
        raise ConfigError(
            f"not a variable: {line!r} in {place}", "write it as `NAME=value`, without spaces around the ="
        )
    if given:
        return {name: value}
    return {name: os.environ[name]} if name in os.environ else {}


def _text(path: str, what: str) -> str:
    try:
        return Path(path).read_text()
    except FileNotFoundError:
        raise NotFoundError(f"no {what} {path}", "write it first, or name another") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} {path} cannot be read: {error}", "it is a text file of `NAME=value` lines") from None
