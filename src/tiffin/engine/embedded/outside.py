"""The way from a container's network to the outside: pasta or slirp4netns, whichever is installed.

Both speak for the container with the host's own sockets, as an ordinary user; neither lets it reach the host's own
loopback.
"""

from __future__ import annotations

import re
import shutil

from tiffin.engine.embedded.mapping import PATH
from tiffin.engine.spec import ContainerSpec, Network
from tiffin.errors import UnsupportedError

_NAMESERVER = "10.0.2.3"
"""What slirp4netns answers questions for names at, and what pasta is told to."""
_LOOPBACK = re.compile(r"^(\s*nameserver\s+)(?:127\.\S+|::1)", re.MULTILINE)


def find_outside() -> str:
    """Find the program, pasta if both are there; empty where neither is."""
    return next(filter(None, (shutil.which(name, path=PATH) for name in ("pasta", "slirp4netns"))), "")


def outside(spec: ContainerSpec, program: str) -> list[str]:
    """The command that connects a network, with OWNER, NETWORK and READY to be filled in; raises UnsupportedError."""
    if spec.network is not Network.USER:
        return []
    if not program:
        raise UnsupportedError(
            f"`--network user` of {spec.image} needs pasta or slirp4netns, and neither is installed",
            "install one: `sudo apt-get install passt` or `sudo apt-get install slirp4netns`",
        )
    return _pasta(program) if program.endswith("pasta") else _slirp(program)


def resolv_conf(text: str, program: str) -> str:
    """The host's resolv.conf, with the program's own name server where the host's is on its loopback."""
    return _LOOPBACK.sub(rf"\g<1>{_NAMESERVER}", text) if program else text


def _slirp(program: str) -> list[str]:
    joining = ["--netns-type=path", "--userns-path", "OWNER", "--ready-fd", "READY"]
    return [program, "--configure", "--mtu=65520", "--disable-host-loopback", *joining, "NETWORK", "tap0"]


def _pasta(program: str) -> list[str]:
    quiet = ["--foreground", "--quiet", "--config-net", "--no-map-gw", "--dns-forward", _NAMESERVER]
    closed = ["-t", "none", "-u", "none", "-T", "none", "-U", "none"]
    return [program, *quiet, *closed, "--userns", "OWNER", "--netns", "NETWORK"]
