"""What devices add to a launch: nodes in /dev, and libraries that the container's dynamic linker finds by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from tiffin.engine.devices import Devices
from tiffin.engine.embedded.rootfs import Layers, inside
from tiffin.engine.embedded.stage import STAGE
from tiffin.errors import DeniedError, IntegrityError


def node_name(number: int) -> str:
    """The short name of a device node."""
    return f"d{number}"


def node_options(devices: Devices) -> list[str]:
    """The options of bubblewrap that put the nodes where the container looks for them."""
    return [
        text
        for number, node in enumerate(devices.nodes)
        for text in ("--dev-bind", f"{STAGE}/{node_name(number)}", node.path)
    ]


def node_checks(devices: Devices) -> list[tuple[str, str, bool]]:
    """What the container's user must be able to open, and whether also for writing."""
    return [(node_name(number), node.source, "w" in node.permissions) for number, node in enumerate(devices.nodes)]


def links_in(devices: Devices, layers: Layers, taken: Sequence[str]) -> dict[str, str]:
    """The links to make, at paths that lead through none of the image's own; what is mounted there stays."""
    found = {_place(layers, link.path): link.target for link in devices.links}
    return {path: target for path, target in found.items() if path not in taken}


def cache_in(devices: Devices, layers: Layers) -> dict[str, str]:
    """The linker's cache with the devices' libraries in it, as a file of the top layer; none where there are none."""
    if not devices.libraries:
        return {}
    from tiffin.layers.linker_cache import PATH, cached, with_libraries  # noqa: PLC0415 - see `find_devices`

    entries = [cached(one.name, one.path, one.machine) for one in devices.libraries]
    more = [entry for entry in entries if entry]
    if not more:
        return {}
    there = layers.find(PATH)
    try:
        data = with_libraries(there.read_bytes() if there and there.is_file() else b"", more)
    except IntegrityError as error:
        raise IntegrityError(f"{PATH} of the image cannot be read: {error.message}", error.hint) from error
    return {_place(layers, PATH): data.decode("utf-8", "surrogateescape")}


def refuse_groups(devices: Devices, own: Sequence[int], *, root: bool) -> None:
    """Refuse devices whose spec asks for groups that this user is not in: only root may hand out others."""
    absent = [] if root else sorted(set(devices.needed_groups) - set(own))
    if absent:
        raise DeniedError(
            f"the devices ask for the group {absent[0]}, and you are not in it",
            f"`sudo usermod -aG $(getent group {absent[0]} | cut -d: -f1) $USER`, and log in again",
        )


def _place(layers: Layers, path: str) -> str:
    """A path whose folder is followed through the image's links, and whose own name is kept."""
    pure = PurePosixPath(path)
    return f"{inside(layers, 'a library folder', str(pure.parent)).rstrip('/')}/{pure.name}"
