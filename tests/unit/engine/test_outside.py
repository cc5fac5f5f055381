"""The way to the outside: what it is made with, and what is said where it cannot be made."""

from __future__ import annotations

import pytest

from tiffin.engine.embedded.outside import Outside, outside, resolv_conf
from tiffin.engine.listening import is_listening
from tiffin.engine.spec import ContainerSpec, Network
from tiffin.errors import UnsupportedError
from tiffin.oci.digest import Digest

ABLE = Outside(program="/usr/bin/slirp4netns", tunnel=True)
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0        0 4919126 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:0051 01 00000000:00000000 00:00000000 00000000 0        0 4919127 1 0 100 0 0 10 0
"""


def spec(network: Network) -> ContainerSpec:
    return ContainerSpec(name="a", image="nginx", digest=Digest.of(b""), layers=(), argv=("nginx",), network=network)


def test_nothing_is_needed_where_nothing_is_asked() -> None:
    assert outside(spec(Network.NONE), Outside()) == outside(spec(Network.HOST), Outside()) == []


def test_the_hosts_loopback_stays_the_hosts() -> None:
    assert "--disable-host-loopback" in outside(spec(Network.USER), ABLE)


@pytest.mark.parametrize(
    ("machine", "words", "fix"),
    [
        (Outside(tunnel=True), "needs slirp4netns, which is not installed", "sudo apt-get install slirp4netns"),
        (Outside(program="/usr/bin/slirp4netns"), "needs /dev/net/tun, which only root", "sudo chmod 666 /dev/net/tun"),
    ],
)
def test_what_is_missing_is_named_with_the_fix(machine: Outside, words: str, fix: str) -> None:
    with pytest.raises(UnsupportedError, match=words) as refusal:
        outside(spec(Network.USER), machine)
    assert fix in str(refusal.value.hint)


def test_a_name_server_on_the_hosts_loopback_is_asked_through_the_program() -> None:
    text = "search lan\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver ::1\n"
    assert resolv_conf(text) == "search lan\nnameserver 10.0.2.3\nnameserver 192.0.2.1\nnameserver 10.0.2.3\n"


def test_a_listening_port_is_told_from_a_connection() -> None:
    assert [is_listening(TABLE, port) for port in (80, 8080, 81)] == [True, False, False]
