"""Lock the packages of the server's front for every Python and architecture it runs on.

`make lock` runs this. It writes `server_locks.json` and, of what gRPC adds, `server_grpc_locks.json` into
`src/tiffin/build`; they hold hashes and no address.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from tiffin.build.server import GRPC_LOCKS, LOCKS, ServerLock
from tiffin.oci.documents import encode
from tiffin.oci.platform import MACHINES, Platform
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.requirements import Requirements
from tiffin.packages.pypi.uv_index import UvIndex

HERE = Path(__file__).parent
PYTHONS = [f"3.{minor}" for minor in range(10, 15)]
GLIBC = (2, 28)
"""The oldest C library of a base the server is put on."""


def lock(requirements: str, python: str, architecture: str, cache: Path) -> ServerLock:
    """Resolve a file's packages for one Python and one architecture."""
    image = ImagePython(version=python, platform=Platform(os="linux", architecture=architecture), glibc=GLIBC)
    wheels = UvIndex(image, cache).resolve(Requirements.of_file(HERE / requirements))
    return ServerLock(python=python, architecture=architecture, wheels=tuple(wheels))


if __name__ == "__main__":
    for requirements, name in (("server.in", LOCKS), ("server-grpc.in", GRPC_LOCKS)):
        with tempfile.TemporaryDirectory() as cache:
            pairs = [(python, architecture) for python in PYTHONS for architecture in MACHINES]
            locks = [lock(requirements, *pair, Path(cache)) for pair in pairs]
        text = msgspec.json.format(encode(locks), indent=1).decode() + "\n"
        (HERE.parent / "src" / "tiffin" / "build" / name).write_text(text)
