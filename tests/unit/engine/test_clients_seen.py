"""What docker and podman show of containers and of their logs, and what their refusals mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tiffin.engine.clients import refusals
from tiffin.engine.clients.argv import LABEL
from tiffin.engine.clients.dialect import DOCKER, PODMAN, Dialect, refusal
from tiffin.engine.clients.follow import joined
from tiffin.engine.clients.seen import read, read_line, utc
from tiffin.engine.spec import ContainerSpec, LogLine, Mount, Port, State, Status
from tiffin.errors import (
    CommandError,
    ConfigError,
    ConflictError,
    DeniedError,
    FullError,
    NotFoundError,
    TiffinError,
    UnavailableError,
)
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode

SPEC = ContainerSpec(
    name="iris",
    image="iris",
    digest=Digest.of(b""),
    layers=(),
    argv=("/bin/x",),
    mounts=(Mount(source="/nope/x", target="/data"),),
    ports=(Port(container_port=8080, socket="http"),),
)
RUNC = "OCI runtime create failed: runc create failed: unable to start container process: "


def shown(status: str, **more: Any) -> State:
    state = {"Status": status, "Pid": 7, "StartedAt": "2026-01-02T03:04:05.5Z", "FinishedAt": "0001-01-01T00:00:00Z"}
    document = {
        "Id": "f" * 64,
        "Name": "/iris",
        "Created": "2026-01-02T03:04:05Z",
        "State": state | more,
        "Config": {"Labels": {LABEL: encode(SPEC).decode()}},
        "NetworkSettings": {"Ports": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}], "9/tcp": None}},
    }
    (seen,) = read(json.dumps([document]).encode())
    assert seen.is_ours
    assert seen.is_called("iris")
    assert seen.is_called("f" * 12)
    assert not seen.is_called("ir")
    return seen.as_state(seen.spec(), "docker")


@pytest.mark.parametrize("status", ["created", "configured", "initialized"])
def test_what_has_not_run_is_created(status: str) -> None:
    assert shown(status, StartedAt="0001-01-01T00:00:00Z") == State()


@pytest.mark.parametrize("status", ["running", "paused", "restarting", "stopping"])
def test_what_has_not_ended_runs_and_has_its_ports(status: str) -> None:
    found = shown(status)
    assert (found.status, found.pid, found.exit_code) == (Status.RUNNING, 7, None)
    assert found.ports == (Port(container_port=8080, socket="http", host_port=32768),)


def test_what_has_ended_has_an_exit_code_and_the_reason() -> None:
    found = shown("exited", ExitCode=137, OOMKilled=True, FinishedAt="2026-01-02T04:04:05.25+01:00")
    assert (found.status, found.pid, found.exit_code, found.ports) == (Status.EXITED, 0, 137, ())
    assert found.reason == "memory"
    # podman may note a start after its short program's end
    assert found.started == found.finished == "2026-01-02T03:04:05.250000000Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000000Z"),
        ("2026-01-02T03:04:05.123456789+01:00", "2026-01-02T02:04:05.123456789Z"),
        ("never", "never"),
    ],
)
def test_times_compare_as_texts(text: str, expected: str) -> None:
    assert utc(text) == expected


def test_a_line_of_the_log_keeps_its_spaces() -> None:
    line = read_line("2026-01-02T03:04:05Z  a  b ", "stderr")
    assert line == LogLine(time="2026-01-02T03:04:05.000000000Z", stream="stderr", text=" a  b ")


def test_a_line_that_was_broken_is_one_again() -> None:
    one, two, three = (b"2026-01-02T03:04:05.00000000%d+01:00 " % number for number in (1, 2, 3))
    assert joined(one + b"a " + two + b"b " + three + b"c") == one + b"a b c"
    assert joined(one + b"a" + two) == one + b"a"


def test_what_a_program_says_of_the_time_stays() -> None:
    early, stamp = b"2026-01-02T03:04:05.000000001Z ", b"2026-01-02T03:04:05.000000002Z "
    whole = stamp + early + b"GET / until 2027-01-01T00:00:00Z "
    assert joined(whole) == whole


@pytest.mark.parametrize(
    ("dialect", "said", "error", "words"),
    [
        (DOCKER, "Cannot connect to the Docker daemon at unix:///x/docker.sock. Is the docker daemon running?",
         UnavailableError, "docker's daemon does not answer at unix:///x/docker.sock"),
        (DOCKER, "failed to connect to the docker API at unix:///x/docker.sock; check if the path is correct",
         UnavailableError, "docker's daemon does not answer at unix:///x/docker.sock"),
        (DOCKER, 'permission denied while trying to connect to the Docker daemon socket at unix:///x.sock: Get "http"',
         DeniedError, "docker's daemon at unix:///x.sock is not yours to use"),
        (PODMAN, "Error: runc: error setting rlimit type 7: operation not permitted: OCI permission denied",
         DeniedError, "podman asks for higher limits"),
        (PODMAN, 'Error: no container with name or ID "zz" found: no such container', NotFoundError, "zz"),
        (DOCKER, "write /var/lib/docker/tmp/x: no space left on device", FullError, "no space left"),
        (DOCKER, "Error response from daemon: out of luck\nError: failed to start containers: x",
         CommandError, "`docker start` exited with 1: out of luck"),
        (DOCKER, "", CommandError, "nothing was said"),
    ],
)  # fmt: skip
def test_what_a_program_says_is_told_with_what_to_do(
    dialect: Dialect, said: str, error: type[TiffinError], words: str
) -> None:
    found = refusal(dialect, "start", 1, said)
    assert type(found) is error
    assert words in found.message
    assert found.hint


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (f'{RUNC}exec: "/bin/x": stat /bin/x: no such file or directory: unknown', NotFoundError,
         "no program '/bin/x'"),
        (f'{RUNC}exec: "x": executable file not found in $PATH', NotFoundError, "no program '/bin/x'"),
        ("crun: executable file `/bin/x` not found in $PATH", NotFoundError, "no program '/bin/x'"),
        ("endpoint q: Bind for 127.0.0.1:32768 failed: port is already allocated", ConflictError,
         "iris: port 32768 of 127.0.0.1 is taken"),
        ("cannot listen on the TCP port: listen tcp4 127.0.0.1:46431: bind: address already in use", ConflictError,
         "iris: port 46431 of 127.0.0.1 is taken"),
        ("rootlessport listen tcp 127.0.0.1:80: bind: permission denied", DeniedError, "is for root"),
        ("Error starting userland proxy: listen tcp4 99.1.1.1:80: bind: cannot assign requested address", ConfigError,
         "cannot listen on port 80 of 127.0.0.1: cannot assign requested address"),
        ('invalid mount config for type "bind": bind source path does not exist: /nope/x', ConfigError,
         "/nope/x of `-v /nope/x:/data` does not exist"),
        ("Error: statfs /nope/x: no such file or directory", ConfigError,
         "/nope/x of `-v /nope/x:/data` does not exist"),
    ],
)  # fmt: skip
def test_what_would_not_start_is_refused_as_every_engine_does(said: str, error: type[TiffinError], words: str) -> None:
    found = refusals.started(SPEC, said)
    assert type(found) is error
    assert words in found.message
    assert found.hint


@pytest.mark.parametrize(
    "said",
    [
        'Conflict. The container name "/iris" is already in use by container "70". You have to remove (or rename) it',
        'creating container storage: the container name "iris" is already in use by 82. that name is already in use',
    ],
)
def test_a_name_that_is_taken_is_a_conflict(said: str) -> None:
    assert isinstance(refusals.made(SPEC, said), ConflictError)


def test_docker_takes_no_name_of_one_letter() -> None:
    said = "Error response from daemon: Invalid container name (a), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    assert isinstance(refusals.made(SPEC, said), ConfigError)


def test_words_that_nobody_knows_are_nobodys_fault() -> None:
    assert refusals.made(SPEC, "out of luck") is None
    assert refusals.started(SPEC, "out of luck") is None
