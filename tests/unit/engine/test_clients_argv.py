"""ContainerSpec to the command lines of docker and podman: golden ones, and what each choice changes."""

from __future__ import annotations

import csv
import io
import json
import shlex
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.engine.clients import argv
from tiffin.engine.clients.dialect import DIALECTS, DOCKER, PODMAN, Dialect
from tiffin.engine.plan import CAPABILITIES
from tiffin.engine.spec import ContainerSpec, Limits, Mount, Network, Port, Restart, RestartPolicy
from tiffin.oci.digest import Digest
from tiffin.oci.documents import decode

DIGEST = Digest.of(b"")
GOLDEN = {
    "docker": """
create --pull never --name iris_1 --memory 67108864 --memory-swap 67108864 --cpus 1.5 --pids-limit 20
--restart on-failure:3 --user 65532:65532 --cap-drop ALL --security-opt no-new-privileges
--read-only --tmpfs /tmp:rw,exec,mode=1777 --tmpfs /dev/shm:rw,exec,mode=1777 --tmpfs /run:rw,exec,mode=1777
--hostname iris-1 --publish 127.0.0.1::8080/tcp --publish '[::1]:9000:8082/tcp'
--mount type=bind,source=/a,target=/data,readonly --mount 'type=bind,"source=/b,c",target=/out'
--hidden
--workdir /app --stop-signal SIGTERM --stop-timeout 3 --label team=fruit
--entrypoint /bin/x localhost/tiffin:e3b0c44298fc -a 'b c'
""",
    "podman": """
create --pull never --name iris_1 --memory 67108864 --memory-swap 67108864 --cpus 1.5 --pids-limit 20
--restart on-failure:3 --user 65532:65532 --cap-drop ALL --security-opt no-new-privileges
--log-driver k8s-file --read-only-tmpfs=false --read-only --tmpfs /tmp:rw,exec,mode=1777,notmpcopyup
--tmpfs /dev/shm:rw,exec,mode=1777,notmpcopyup --tmpfs /run:rw,exec,mode=1777,notmpcopyup
--hostname iris-1 --publish 127.0.0.1::8080/tcp --publish '[::1]:9000:8082/tcp'
--mount type=bind,source=/a,target=/data,readonly --mount 'type=bind,"source=/b,c",target=/out'
--hidden
--workdir /app --stop-signal SIGTERM --stop-timeout 3 --label team=fruit
--entrypoint /bin/x localhost/tiffin:e3b0c44298fc -a 'b c'
""",
}


def spec(**more: Any) -> ContainerSpec:
    settings: dict[str, Any] = {"name": "iris_1", "image": "iris", "digest": DIGEST, "argv": ("/bin/x",)}
    return ContainerSpec(**(settings | {"layers": (Digest.of(b"1"),), "env": {"PATH": "/bin"}} | more))


WHOLE = spec(
    argv=("/bin/x", "-a", "b c"),
    env={"PATH": "/bin", "A": "b c"},
    cwd="/app",
    tmpfs=("/run",),
    mounts=(Mount(source="/a", target="/data"), Mount(source="/b,c", target="/out", read_only=False)),
    ports=(Port(container_port=8080, socket="http"), Port(host="::1", host_port=9000, container_port=8082)),
    labels={"team": "fruit"},
    stop_seconds=2.5,
    limits=Limits(memory=64 << 20, cpus=1.5, processes=20),
    restart=Restart(policy=RestartPolicy.ON_FAILURE, tries=3),
)


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_whole_container(name: str) -> None:
    assert argv.create(DIALECTS[name], WHOLE, ["--hidden"]) == shlex.split(GOLDEN[name])


def test_a_container_is_known_again_by_labels_that_its_programs_can_read() -> None:
    name, _, text = argv.label_lines(WHOLE)[0].partition("=")
    assert name == argv.LABEL
    assert decode(ContainerSpec, text.encode(), "label") == WHOLE
    long = spec(env={"A": "é\n" * 40_000})
    lines = argv.label_lines(long)
    assert all(len(line.encode()) < 1 << 16 and "\n" not in line for line in lines)
    assert [line.partition("=")[0] for line in lines[:2]] == [argv.LABEL, f"{argv.LABEL}.1"]
    assert decode(ContainerSpec, "".join(line.partition("=")[2] for line in lines).encode(), "label") == long


def test_what_is_removed_at_its_end_says_so_and_what_has_no_limit_says_none() -> None:
    plain = argv.create(DOCKER, spec())
    assert not {"--rm", "--memory", "--memory-swap", "--cpus", "--pids-limit", "--restart"} & {*plain}
    assert "--rm" in argv.create(DOCKER, spec(remove=True))


@pytest.mark.parametrize("dialect", [DOCKER, PODMAN])
def test_there_is_no_network_unless_it_is_asked_for(dialect: Dialect) -> None:
    alone = argv.create(dialect, spec())
    assert alone[alone.index("--network") + 1] == "none"
    assert alone[alone.index("--add-host") + 1] == "iris-1:127.0.0.1"
    shared = argv.create(dialect, spec(network=Network.HOST))
    assert shared[shared.index("--network") + 1] == "host"
    assert "--hostname" not in shared
    assert "--network" not in argv.create(dialect, spec(ports=(Port(container_port=80),)))


def test_a_root_that_may_be_written_is_asked_for_by_leaving_one_word_out() -> None:
    closed, opened = (argv.create(DOCKER, spec(read_only=value)) for value in (True, False))
    assert [word for word in closed if word not in opened] == ["--read-only"]


def test_root_of_an_image_of_others_has_the_documented_capabilities_and_nobody_else_any() -> None:
    root = argv.create(PODMAN, spec(user=(0, 0), several_ids=True))
    added = [root[at + 1] for at, word in enumerate(root) if word == "--cap-add"]
    assert added == [name.removeprefix("CAP_") for name in CAPABILITIES]
    for other in (spec(user=(33, 33), several_ids=True), spec(user=(0, 0))):
        assert "--cap-add" not in argv.create(PODMAN, other)


def test_a_network_of_the_user_is_the_programs_own() -> None:
    made = argv.create(DOCKER, spec(network=Network.USER))
    assert "--network" not in made
    assert made[made.index("--hostname") + 1] == "iris-1"


def test_short_commands_are_what_one_would_type() -> None:
    assert argv.start("x") == ["start", "x"]
    assert argv.stop("x", 0.1) == ["stop", "--time", "1", "x"]
    assert argv.stop("x", 0) == ["stop", "--time", "0", "x"]
    assert argv.kill("x", "SIGUSR1") == ["kill", "--signal", "SIGUSR1", "x"]
    assert argv.logs("x", follow=True) == ["logs", "--timestamps", "--follow", "x"]
    assert argv.logs("x", follow=False) == ["logs", "--timestamps", "x"]
    assert argv.remove("x") == ["rm", "--volumes", "x"]
    assert argv.inspect(["x", "y"]) == ["container", "inspect", "x", "y"]
    assert argv.listing() == ["ps", "--all", "--quiet", "--no-trunc", "--filter", "label=dev.tiffin.container"]


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1), st.booleans())
def test_any_path_can_be_mounted(path: str, read_only: bool) -> None:  # noqa: FBT001 - Hypothesis gives it
    text = argv.mount_text(Mount(source=path, target="/data", read_only=read_only))
    fields = next(csv.reader(io.StringIO(text)))
    assert fields[:3] == ["type=bind", f"source={path}", "target=/data"]
    assert fields[3:] == (["readonly"] if read_only else [])


def test_a_watch_runs_its_command_only_when_nobody_said_that_it_ended() -> None:
    for said, expected in (b"ended\n", b""), (b"", b"stopped\n"):
        done = subprocess.run(argv.watch(["echo", "stopped"]), input=said, capture_output=True, check=True)
        assert done.stdout == expected


def test_an_images_name_says_which_it_is() -> None:
    assert argv.image_name(DIGEST) == f"localhost/tiffin:{DIGEST.hex[:12]}"
    assert json.dumps(argv.inspect_image("x")).count("RootFS") == 1
