"""From an image and what the user says to a ContainerSpec."""

from __future__ import annotations

from typing import Any

import pytest

from tiffin.engine.plan import Accounts, RunOptions, container_spec, parse_signal, parse_sockets, parse_user
from tiffin.engine.spec import ContainerSpec, Limits, Mount, Port, Restart, RestartPolicy
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image

LAYERS = [Digest.of(b"one"), Digest.of(b"two")]
OURS = RunConfig(
    user="65532:65532",
    env=["PATH=/opt/venv/bin:/bin", "A=1=2", "EMPTY="],
    entrypoint=["/usr/bin/python3.11", "-I"],
    cmd=["all"],
    working_dir="/app",
    labels={"dev.tiffin.sockets": "http=8080,grpc=8081,metrics=8082", "x": "image"},
    stop_signal="SIGINT",
)


def image(run: RunConfig) -> Image:
    config = ImageConfig(architecture="amd64", os="linux", config=run, rootfs=RootFS(diff_ids=LAYERS))
    return Image.make(config, [], {})


def plan(run: RunConfig = OURS, **options: Any) -> ContainerSpec:
    return container_spec("iris", image(run), RunOptions(name="a", **options))


def test_what_the_user_does_not_say_comes_from_the_image() -> None:
    spec = plan()
    assert spec.argv == ("/usr/bin/python3.11", "-I", "all")
    assert (spec.cwd, spec.user, spec.stop_signal) == ("/app", (65532, 65532), "SIGINT")
    assert spec.env == {"PATH": "/opt/venv/bin:/bin", "A": "1=2", "EMPTY": ""}
    assert (spec.image, spec.digest, spec.layers) == ("iris", image(OURS).descriptor.digest, tuple(LAYERS))
    assert spec.sockets == {"http": 8080, "grpc": 8081, "metrics": 8082}


def test_what_the_user_says_wins() -> None:
    spec = plan(args=("worker",), env={"A": "3", "B": "4"}, cwd="/tmp/x/", user="1:2", labels={"x": "mine"})
    assert spec.argv == ("/usr/bin/python3.11", "-I", "worker")
    assert (spec.env["A"], spec.env["B"], spec.cwd, spec.user) == ("3", "4", "/tmp/x", (1, 2))
    assert spec.labels["x"] == "mine"


def test_an_own_entry_point_replaces_the_images_and_its_command() -> None:
    assert plan(entrypoint=("/bin/sh",), args=("-c", "x")).argv == ("/bin/sh", "-c", "x")
    assert plan(entrypoint=("/bin/sh",)).argv == ("/bin/sh",)


def test_an_image_that_says_nothing_gets_a_path_a_root_and_the_root_user() -> None:
    spec = plan(RunConfig(cmd=["/bin/sh"]))
    assert (spec.env["PATH"].count(":"), spec.cwd, spec.user, spec.stop_signal) == (5, "/", (0, 0), "SIGTERM")


def test_an_image_without_a_program_needs_one() -> None:
    with pytest.raises(ConfigError, match="does not say which program"):
        plan(RunConfig())


def test_a_published_port_finds_its_socket() -> None:
    spec = plan(publish=(Port(container_port=8080, host_port=9000), Port(container_port=8082)))
    assert [(port.socket, port.host_port) for port in spec.ports] == [("http", 9000), ("metrics", 0)]
    with pytest.raises(UnsupportedError, match="does not listen on port 80") as refusal:
        plan(publish=(Port(container_port=80),))
    assert "8080 (http)" in str(refusal.value.hint)


@pytest.mark.parametrize("label", ["http", "http=", "=1", "http=x", "http=0", "http=65536", "a:b=80"])
def test_a_socket_label_that_means_nothing_is_refused(label: str) -> None:
    with pytest.raises(ConfigError, match=r"dev\.tiffin\.sockets"):
        parse_sockets(label)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", (0, 0)), ("5", (5, 0)), ("65532:7", (65532, 7)), ("www", (33, 34)), ("33", (33, 34)), ("www:adm", (33, 4))],
)
def test_a_user_is_a_number_or_a_name(text: str, expected: tuple[int, int]) -> None:
    accounts = Accounts(passwd="broken\nwww:x:33:34:web:/:/bin/sh\n", group="adm:x:4:\n")  # noqa: S106 - a file's text
    assert parse_user(text, accounts) == expected


@pytest.mark.parametrize("text", ["nobody", "1:nogroup", "-1", "4294967295", "99999999999"])
def test_a_user_that_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"user|group") as refusal:
        parse_user(text, Accounts())
    assert "--user 1000:1000" in str(refusal.value.hint)


@pytest.mark.parametrize(("text", "name"), [("SIGTERM", "SIGTERM"), ("QUIT", "SIGQUIT"), ("9", "SIGKILL")])
def test_a_signal_is_named_in_many_ways(text: str, name: str) -> None:
    assert parse_signal(text) == name


@pytest.mark.parametrize("text", ["SIGNOTHING", "0", "1000", "term"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a signal"):
        parse_signal(text)


@pytest.mark.parametrize("path", ["x", "/a/../b", "/proc", "/proc/self/fd/8", "/sys/x", "/dev/shm", "/a\0b"])
def test_paths_that_lead_to_the_kernel_or_nowhere_are_refused(path: str) -> None:
    for options in ({"cwd": path}, {"tmpfs": (path,)}, {"mounts": (Mount(source="/", target=path),)}):
        with pytest.raises(ConfigError):
            plan(**options)


def test_a_mount_over_the_root_is_refused() -> None:
    with pytest.raises(ConfigError, match="hide the image"):
        plan(mounts=(Mount(source="/data", target="/"),))


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", ".a", "a" * 64, "ä"])
def test_a_name_is_letters_digits_and_a_few_signs(name: str) -> None:
    with pytest.raises(ConfigError, match="not a container name"):
        container_spec("iris", image(OURS), RunOptions(name=name))


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A": "x\0y"}])
def test_a_variable_that_no_environment_can_hold_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="not an environment variable"):
        plan(env=env)


@pytest.mark.parametrize("limits", [Limits(memory=6 << 20), Limits(cpus=0.01), Limits(processes=1), Limits()])
def test_the_least_that_docker_gives_is_given(limits: Limits) -> None:
    assert plan(limits=limits).limits == limits


@pytest.mark.parametrize("limits", [Limits(memory=(6 << 20) - 1), Limits(cpus=0.001)])
def test_a_limit_in_which_nothing_runs_is_refused(limits: Limits) -> None:
    with pytest.raises(ConfigError, match=r"too (few|little)") as caught:
        plan(limits=limits)
    assert "or more" in str(caught.value.hint)


def test_what_is_removed_at_its_end_is_not_started_again() -> None:
    assert plan(remove=True).remove
    with pytest.raises(ConfigError, match="--rm removes the container at its end, and --restart always"):
        plan(remove=True, restart=Restart(policy=RestartPolicy.ALWAYS))


@pytest.mark.parametrize(
    ("labels", "asked", "decided"),
    [
        ({"dev.tiffin.sockets": "http=8080"}, None, (True, False)),
        ({"dev.tiffin.version": "1"}, None, (True, False)),
        ({"dev.tiffin.version": "1"}, False, (False, False)),
        ({}, None, (False, True)),
        ({"maintainer": "x"}, True, (True, True)),
    ],
)
def test_images_of_others_write_to_their_root_and_have_several_users(
    labels: dict[str, str],
    asked: bool | None,  # noqa: FBT001 - a table gives it
    decided: tuple[bool, bool],
) -> None:
    spec = plan(RunConfig(cmd=["x"], labels=labels), read_only=asked)
    assert (spec.read_only, spec.several_ids) == decided


def test_a_label_that_a_user_gives_makes_no_image_tiffins() -> None:
    assert plan(RunConfig(cmd=["x"]), labels={"dev.tiffin.version": "1"}).several_ids
