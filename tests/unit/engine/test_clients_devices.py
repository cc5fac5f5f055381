"""Devices as docker and podman read them: by name where they know CDI, else one by one."""

from __future__ import annotations

import pytest

from tiffin.engine.clients.argv import create
from tiffin.engine.clients.devices import by_name, docker_folders, one_by_one, podman_knows, spread
from tiffin.engine.clients.dialect import DOCKER
from tiffin.engine.clients.seeing import is_here
from tiffin.engine.devices import Devices, Link, Node
from tiffin.engine.spec import ContainerSpec, Mount
from tiffin.oci.digest import Digest

SPEC = ContainerSpec(
    name="iris",
    image="iris",
    digest=Digest.of(b""),
    layers=(),
    argv=("serve",),
    env={"LD_LIBRARY_PATH": "/own", "A": "1"},
)
DRIVER = Mount(source="/host/libcuda.so.550", target="/lib/libcuda.so.550")
DEVICES = Devices(
    nodes=(Node(source="/dev/nvidia0", path="/dev/nvidia0"), Node(source="/dev/y", path="/dev/x", permissions="r")),
    mounts=(DRIVER, Mount(source="/run/socket", target="/run/socket", read_only=False)),
    env={"A": "2"},
    groups=(44,),
    links=(
        Link(path="/lib/libcuda.so.1", target="libcuda.so.550"),
        Link(path="/lib/libcuda.so", target="libcuda.so.1"),
        Link(path="/lib/other.so", target="nowhere"),
    ),
    folders=("/lib",),
)


def test_a_program_that_knows_cdi_gets_names() -> None:
    argv = create(DOCKER, SPEC, by_name(["nvidia.com/gpu=all"]))
    assert argv[argv.index("--device") + 1] == "nvidia.com/gpu=all"


def test_any_other_gets_nodes_and_groups() -> None:
    assert one_by_one(DEVICES) == [
        *("--device", "/dev/nvidia0:/dev/nvidia0:rwm"),
        *("--device", "/dev/y:/dev/x:r"),
        *("--group-add", "44"),
    ]


def test_files_and_variables_become_mounts_and_variables_and_links_further_mounts() -> None:
    spec = spread(SPEC, DEVICES)
    assert spec.mounts == (
        Mount(source="/host/libcuda.so.550", target="/lib/libcuda.so.550"),
        Mount(source="/run/socket", target="/run/socket", read_only=False),
        Mount(source="/host/libcuda.so.550", target="/lib/libcuda.so.1"),
        Mount(source="/host/libcuda.so.550", target="/lib/libcuda.so"),
    )
    assert spec.env == {"A": "2", "LD_LIBRARY_PATH": "/lib:/own"}


@pytest.mark.parametrize(
    ("info", "folders"),
    [
        (b'{"CDISpecDirs": ["/etc/cdi", "/var/run/cdi"]}', ["/etc/cdi", "/var/run/cdi"]),
        (b'{"CDISpecDirs": null}', []),
        (b'{"ServerVersion": "20.10.24"}', []),
        (b"permission denied", []),
    ],
)
def test_docker_says_where_it_looks_for_specs(info: bytes, folders: list[str]) -> None:
    assert docker_folders(info) == folders


@pytest.mark.parametrize(
    ("version", "knows"),
    [("4.3.1\n", True), ("4.1.0", True), ("5.0.0-dev", True), ("4.0.3", False), ("3.4", False), ("", False)],
)
def test_podman_knows_cdi_from_4_1_on(version: str, *, knows: bool) -> None:
    assert podman_knows(version) is knows


@pytest.mark.parametrize(
    ("address", "platform", "here"),
    [
        ("", "linux", True),
        ("unix:///run/docker.sock", "linux", True),
        ("ssh://there", "linux", False),
        ("", "darwin", False),
    ],
)
def test_an_engine_elsewhere_is_known_by_its_address(address: str, platform: str, *, here: bool) -> None:
    assert is_here("docker", {"DOCKER_HOST": address}, platform) is here
