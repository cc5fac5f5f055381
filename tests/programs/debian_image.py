"""Images that are not tiffin's: programs of Debian's packages with a shell, an entry script and users of their own.

The packages come through tiffin's own index of Debian, without what only their scripts would need.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tiffin.layers.deb import opened
from tiffin.layers.write import write_layer
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform
from tiffin.packages.debian.closure import close
from tiffin.packages.debian.debian import Debian, _pins
from tiffin.packages.debian.pins import Wanted
from tiffin.packages.debian.sources import find_mirrors
from tiffin.store.layout import LayoutStore

LEFT_OUT = """
    adduser cdebconf debconf debconf-2.0 dpkg gcc-12-base init-system-helpers install-info iproute2 libllvm14 locales
    locales-all lsb-base nginx-common passwd perl perl-base postgresql-client-15 postgresql-client-common
    postgresql-common sensible-utils ssl-cert systemd sysvinit-utils tzdata ucf
"""
"""What only maintainer scripts, another init or a compiler of queries would need."""
USELESS = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/lib/postgresql/15/lib/bitcode/")
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "var/run": "/run"}
APPLETS = ("sh", "id", "mkdir", "chown", "chmod", "cat", "grep", "ls", "touch", "sleep", "rm", "echo")
USERS = (
    "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n"
)
GROUPS = "root:x:0:\nwww-data:x:33:\npostgres:x:999:\n"

Owned = tuple[str | None, int, int]
"""A file's text, or None for a folder; its owner; its mode."""


def debian_image(home: Path, name: str, packages: Sequence[str], files: Mapping[str, Owned], config: RunConfig) -> str:
    """Put an image of Debian's packages and some files into a TIFFIN_HOME; returns what it is called there."""
    store = LayoutStore(home / "data")
    below, below_id = _packages_layer(store, home, packages)
    whole = {
        "etc/passwd": (USERS, 0, 0o644),
        "etc/group": (GROUPS, 0, 0o644),
        "root": (None, 0, 0o700),
        "tmp": (None, 0, 0o1777),
        **files,
    }
    packed = _packed(whole)
    above = Descriptor.of(packed, LAYER)
    store.put(above, io.BytesIO(packed))
    image = Image.make(
        ImageConfig(
            architecture=Platform.here().architecture,
            os="linux",
            config=config,
            rootfs=RootFS(diff_ids=[below_id, Digest.of(packed)]),
        ),
        [below, above],
        {},
    )
    image.write(store)
    store.tag(f"{name}:latest", image.descriptor)
    return name


def _packages_layer(store: LayoutStore, home: Path, packages: Sequence[str]) -> tuple[Descriptor, Digest]:
    debian = Debian(home / "cache" / "debian", lambda: find_mirrors(None, os.environ))
    wanted = Wanted(suite="bookworm", python="", architecture=Platform.here().architecture)
    universe = debian._universe(wanted)
    left_out = set(LEFT_OUT.split())
    found = close(universe, ("busybox-static", "libc6", *packages), lambda _, needed: needed not in left_out)
    with opened(debian.fetch_all(_pins(found))) as debs:
        entries = {entry.path: entry for deb in debs for entry in deb.entries if not entry.path.startswith(USELESS)}
        layer = write_layer(entries.values(), store)
    return layer.descriptor, layer.diff_id


def _packed(files: Mapping[str, Owned]) -> bytes:
    """Pack files with their owners, and the links that merge /usr."""
    data = io.BytesIO()
    links = LINKS | {f"usr/bin/{applet}": "busybox" for applet in APPLETS}
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, (text, owner, mode) in files.items():
            member = tarfile.TarInfo(path)
            member.mode, member.uid, member.gid = mode, owner, owner
            member.type = tarfile.DIRTYPE if text is None else tarfile.REGTYPE
            member.size = len((text or "").encode())
            archive.addfile(member, io.BytesIO((text or "").encode()))
        for path, target in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return data.getvalue()
