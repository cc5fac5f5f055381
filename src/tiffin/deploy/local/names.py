"""Services of one machine by name: an address of each one's own on the loopback, and the file that leads there. Pure.

The whole of 127.0.0.0/8 is this machine's (RFC 1122, section 3.2.1.3), so every service can listen at its image's port.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import blake2b
from ipaddress import IPv4Address
from pathlib import Path

FIRST, LAST = int(IPv4Address("127.64.0.1")), int(IPv4Address("127.127.255.254"))
"""Addresses that services get: Debian's own 127.0.1.1 and a resolver's 127.0.0.53 are not among them."""
NAMED = "named"
"""The socket of a service at its own address."""
HOSTS = "hosts"
"""The file in the folder of services that containers see as `/etc/hosts`."""
INSIDE = "/etc/hosts"
_TITLE = "# services of this machine, kept by tiffin"
_LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


def address_of(name: str, taken: Collection[str] = ()) -> str:
    """The address of a service: the same on every day and every machine, unless another one has it."""
    count = LAST - FIRST + 1
    start = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % count
    for step in range(count):
        found = str(IPv4Address(FIRST + (start + step) % count))
        if found not in taken:
            return found
    raise AssertionError("more services than addresses")  # four million


def hosts_text(machine: str, addresses: Mapping[str, str]) -> str:
    """What containers on the machine's network find names in: the machine's own file, and every service."""
    own = machine or _LOCALHOST
    lines = [f"{address} {name}" for name, address in sorted(addresses.items())]
    return "\n".join([own.rstrip("\n"), _TITLE, *lines, ""])


def write_hosts(folder: Path, addresses: Mapping[str, str], machine: Path = Path(INSIDE)) -> Path:
    """Have the file say so; it is written in place, since containers have mounted this very file."""
    path = folder / HOSTS
    own = machine.read_text() if machine.is_file() else ""
    text = hosts_text(own, addresses)
    if not path.is_file() or path.read_text() != text:
        with path.open("r+" if path.is_file() else "w") as file:
            file.write(text)
            file.truncate()
        path.chmod(0o644)
    return path
