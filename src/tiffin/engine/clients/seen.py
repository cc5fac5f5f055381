"""What docker and podman show of a container, read into tiffin's words."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime

import msgspec

from tiffin.engine.clients.argv import LABEL, SECRETS
from tiffin.engine.spec import ContainerSpec, LogLine, Port, State, Status
from tiffin.oci.documents import decode, decode_foreign

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)")
_NEVER = "0001-"
_RUNNING = {"running", "paused", "restarting", "stopping", "removing"}
_ENDED = {"exited", "stopped", "dead"}


class _State(msgspec.Struct, rename="pascal"):
    status: str
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    started_at: str = ""
    finished_at: str = ""
    oom_killed: bool = msgspec.field(default=False, name="OOMKilled")


class _Binding(msgspec.Struct, rename="pascal"):
    host_ip: str = ""
    host_port: str = ""


class _Network(msgspec.Struct, rename="pascal"):
    ports: dict[str, list[_Binding]] = {}


class _Config(msgspec.Struct, rename="pascal"):
    labels: dict[str, str] = {}


class _Policy(msgspec.Struct, rename="pascal"):
    name: str = ""


class _HostConfig(msgspec.Struct, rename="pascal"):
    restart_policy: _Policy = msgspec.field(default_factory=_Policy)


class Seen(msgspec.Struct, rename="pascal"):
    """One container as `inspect` shows it."""

    id: str
    name: str
    created: str
    state: _State
    config: _Config
    restart_count: int = 0
    host_config: _HostConfig = msgspec.field(default_factory=_HostConfig)
    network_settings: _Network = msgspec.field(default_factory=_Network)

    @property
    def is_ours(self) -> bool:
        """Whether tiffin made it."""
        return LABEL in self.config.labels

    def is_called(self, name: str) -> bool:
        """Whether this is its name or ID, or the start of it that these programs show."""
        return name in {self.name.removeprefix("/"), self.id, self.id[:12]}

    def spec(self) -> ContainerSpec:
        """What it was made of."""
        labels = (self.config.labels.get(f"{LABEL}.{number}" if number else LABEL) for number in itertools.count())
        text = "".join(itertools.takewhile(lambda part: part is not None, labels))  # type: ignore[arg-type] # no None is left
        return decode(ContainerSpec, text.encode(), f"the label {LABEL} of {self.name}")

    @property
    def is_restarted(self) -> bool:
        """Whether it has a restart policy."""
        return self.host_config.restart_policy.name not in {"", "no"}

    @property
    def secrets(self) -> str:
        """Where copies of its secrets lie, if it has any."""
        return self.config.labels.get(SECRETS, "")

    def is_running(self) -> bool:
        """Whether its program runs, or will again without anybody's doing: podman says `stopped` before a restart."""
        return self.state.status in _RUNNING or (self.state.status == "stopped" and self.is_restarted)

    def as_state(self, spec: ContainerSpec, engine: str) -> State:
        """What it is doing; its limits are the engine's to hold."""
        ended = self.state.status in _ENDED and not self.is_running()
        started = _shown_time(self.state.started_at)
        finished = _shown_time(self.state.finished_at) if ended else ""
        return State(
            status=Status.RUNNING if self.is_running() else Status.EXITED if ended else Status.CREATED,
            pid=self.state.pid if self.is_running() else 0,
            exit_code=self.state.exit_code if ended else None,
            started=min(started, finished)
            if ended
            else started,  # podman may note a start after its short program's end
            finished=finished,
            ports=tuple(_bound(port, self.network_settings.ports) for port in spec.ports) if self.is_running() else (),
            reason="memory" if self.state.oom_killed else self.state.error if ended else "",
            restarts=self.restart_count,
            limits={name: engine for name, amount in msgspec.structs.asdict(spec.limits).items() if amount},
        )


def read(text: bytes) -> list[Seen]:
    """Read what `inspect` printed."""
    return decode_foreign(list[Seen], text or b"[]", "what the engine shows of its containers")


def read_line(line: str, stream: str) -> LogLine:
    """Read a line of `logs --timestamps`."""
    time, _, text = line.partition(" ")
    return LogLine(time=utc(time), stream=stream, text=text)


def utc(text: str) -> str:
    """An RFC 3339 time in UTC with nine digits after the second, so that times compare as texts do."""
    found = _TIME.fullmatch(text)
    if not found:
        return text
    whole = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00")).astimezone(UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{found[2] or '':0<9}Z"


def _shown_time(text: str) -> str:
    return "" if text.startswith(_NEVER) else utc(text)


def _bound(port: Port, bindings: dict[str, list[_Binding]]) -> Port:
    """The port as it really is, the engine's choice included."""
    there = bindings.get(f"{port.container_port}/tcp", [])
    exact = [binding for binding in there if binding.host_ip == port.host]
    for binding in [*exact, *there]:
        return msgspec.structs.replace(port, host_port=int(binding.host_port or 0))
    return port
