"""The way from a container's network to the outside: slirp4netns, where it is installed.

It speaks for the container with the host's own sockets, as an ordinary user, and does not let it reach the loopback of
the host. Decided here, run by `beside`.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec

from tiffin.engine.spec import ContainerSpec, Network
from tiffin.errors import UnsupportedError

TUN = "/dev/net/tun"
_NAMESERVER = "10.0.2.3"
"""What slirp4netns answers questions for names at, as the host would (slirp4netns(1))."""
_LOOPBACK = re.compile(r"^(\s*nameserver\s+)(?:127\.\S+|::1)", re.MULTILINE)


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine has: the program, empty where it is not installed, and whether anybody may make a tunnel."""

    program: str = ""
    tunnel: bool = False

    @classmethod
    def here(cls) -> Outside:
        """Look at this machine."""
        tunnel = Path(TUN)
        return cls(
            program=shutil.which("slirp4netns") or "",
            tunnel=tunnel.exists() and tunnel.stat().st_mode & 0o6 == 0o6,  # noqa: PLR2004 - read and write, for others
        )


def outside(spec: ContainerSpec, machine: Outside) -> list[str]:
    """The command that connects a network, with OWNER, NETWORK and READY to be filled in; raises UnsupportedError."""
    if spec.network is not Network.USER:
        return []
    if not machine.program:
        raise UnsupportedError(
            f"`--network user` of {spec.image} needs slirp4netns, which is not installed",
            "install it: `sudo apt-get install slirp4netns`; or use `--network host`",
        )
    if not machine.tunnel:
        raise UnsupportedError(
            f"`--network user` of {spec.image} needs {TUN}, which only root may use here",
            f"allow it, as most distributions do: `sudo modprobe tun && sudo chmod 666 {TUN}`; or use `--network host`",
        )
    joining = ["--netns-type", "path", "--userns-path", "OWNER", "--ready-fd", "READY"]
    return [machine.program, "--configure", "--mtu", "65520", "--disable-host-loopback", *joining, "NETWORK", "tap0"]


def resolv_conf(text: str) -> str:
    """The host's resolv.conf, with slirp4netns in the place of a name server on the host's loopback."""
    return _LOOPBACK.sub(rf"\g<1>{_NAMESERVER}", text)
