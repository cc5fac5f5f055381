"""ContainerSpec to bubblewrap's arguments: a golden one, and what each choice changes."""

from __future__ import annotations

from typing import Any

import pytest

from tiffin.engine.embedded.argv import bubblewrap_arguments, environment
from tiffin.engine.naming import hostname
from tiffin.engine.spec import ContainerSpec, Mount, Network, Port
from tiffin.oci.digest import Digest

DIGEST = Digest.of(b"")
GOLDEN = """
--unshare-user --unshare-pid --as-pid-1 --unshare-ipc --unshare-uts --unshare-cgroup-try --die-with-parent --new-session
--cap-drop ALL --unshare-net --uid 65532 --gid 65532 --hostname iris-1
--overlay-src /tmp/0 --overlay-src /tmp/1 --overlay-src /tmp/top --ro-overlay /
--proc /proc --dev-bind /dev/null /proc/kcore --tmpfs /proc/acpi --remount-ro /proc/acpi
--dev /dev --perms 1777 --tmpfs /dev/shm --remount-ro /dev
--tmpfs /sys --ro-bind-try /sys/devices/system/cpu /sys/devices/system/cpu
--ro-bind-try /sys/devices/system/node /sys/devices/system/node --remount-ro /sys
--perms 1777 --tmpfs /tmp --perms 1777 --tmpfs /run
--ro-bind /tmp/m0 /data --bind /tmp/m1 /out
--chdir /app --clearenv --setenv HOSTNAME iris-1 --setenv HOME / --setenv PATH /bin
--setenv TIFFIN_IMAGE DIGEST --setenv LISTEN_FDS 2 --setenv LISTEN_FDNAMES http:metrics
"""


def spec(**more: Any) -> ContainerSpec:
    settings: dict[str, Any] = {"name": "iris_1", "image": "iris", "digest": DIGEST, "argv": ("/bin/x",)}
    layers = (Digest.of(b"1"), Digest.of(b"2"))
    return ContainerSpec(**(settings | {"layers": layers, "env": {"PATH": "/bin"}} | more))


def test_a_whole_container() -> None:
    whole = spec(
        cwd="/app",
        tmpfs=("/run",),
        mounts=(Mount(source="/a", target="/data"), Mount(source="/b", target="/out", read_only=False)),
        ports=(Port(container_port=8080, socket="http"), Port(container_port=8082, socket="metrics")),
    )
    assert bubblewrap_arguments(whole, ["/proc/kcore", "/proc/acpi/"]) == GOLDEN.replace("DIGEST", str(DIGEST)).split()


def test_the_hosts_network_is_shared_by_leaving_one_word_out() -> None:
    alone, shared = (bubblewrap_arguments(spec(network=network), []) for network in (Network.NONE, Network.HOST))
    assert [word for word in alone if word not in shared] == ["--unshare-net"]


@pytest.mark.parametrize(("name", "expected"), [("a_b", "a-b"), ("a.", "a"), ("_", "container"), ("A.b-1", "A.b-1")])
def test_a_host_name_has_only_what_host_names_have(name: str, expected: str) -> None:
    assert hostname(name) == expected


def test_the_image_decides_its_home_but_not_who_it_is() -> None:
    found = environment(spec(env={"HOME": "/tmp", "TIFFIN_IMAGE": "another"}))
    assert (found["HOME"], found["TIFFIN_IMAGE"]) == ("/tmp", str(DIGEST))
    assert "LISTEN_FDS" not in found


def test_100_layers_fit_into_the_page_that_mount_options_have() -> None:
    layers = tuple(Digest.of(str(number).encode()) for number in range(124))
    words = bubblewrap_arguments(spec(layers=layers), [])
    sources = [words[at + 1] for at, word in enumerate(words) if word == "--overlay-src"]
    assert len(sources) == 125
    assert len("lowerdir=" + ":".join(f"/oldroot{source}" for source in sources) + ",userxattr") < 4096
