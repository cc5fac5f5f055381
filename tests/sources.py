"""Sources with a build backend of their own, and a room to build them in: bubblewrap over this machine's own Python.

An image's room needs Debian packages; what happens in a build is the same here, and takes a tenth of a second.
"""

from __future__ import annotations

import gzip
import io
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tiffin.engine.embedded.machine import find_bubblewrap
from tiffin.errors import TiffinError
from tiffin.oci.digest import Digest
from tiffin.packages.pins import WheelPin
from wheelhouse import File

BACKEND = """\
import os, zipfile
from pathlib import Path

{extra}

def build_wheel(folder, settings=None, metadata=None):
{before}
    name = "{module}-{version}-{tag}.whl"
    info = "{module}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {{need}}\\n" for need in {needs})
    members = {{path.as_posix(): path.read_bytes() for path in sorted(Path("{module}").rglob("*.py"))}}
    members[info + "/METADATA"] = ("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n" + needs).encode()
    members[info + "/WHEEL"] = b"Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: {tag}\\n"
    members[info + "/RECORD"] = "".join(path + ",,\\n" for path in [*members, info + "/RECORD"]).encode()
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, data in members.items():
            archive.writestr(zipfile.ZipInfo(path), data)
    return name
"""
PYPROJECT = """\
[build-system]
requires = [{requires}]
build-backend = "backend"
backend-path = ["."]
[project]
name = "{name}"
version = "{version}"
"""


def source_files(  # noqa: PLR0913 - what tests vary
    name: str,
    version: str = "1.0",
    *,
    needs: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
    before: str = "pass",
    extra: str = "",
    tag: str = "py3-none-any",
) -> dict[str, str]:
    """Return the files of a source; its build runs the lines `before`, and `extra` is at the top of its backend."""
    module = name.replace("-", "_")
    indented = "\n".join(f"    {line}" for line in before.splitlines())
    backend = BACKEND.format(
        name=name, module=module, version=version, needs=needs, before=indented, extra=extra, tag=tag
    )
    quoted = ", ".join(f'"{each}"' for each in requires)
    return {
        "pyproject.toml": PYPROJECT.format(name=name, version=version, requires=quoted),
        "backend.py": backend,
        f"{module}/__init__.py": f'__version__ = "{version}"\n',
    }


def source_folder(folder: Path, files: dict[str, str]) -> Path:
    """Write a source into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def sdist_of(name: str, version: str, files: dict[str, str]) -> File:
    """Pack a source as an sdist."""
    stem = f"{name.replace('-', '_')}-{version}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text in sorted(files.items()):
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return File(f"{stem}.tar.gz", gzip.compress(packed.getvalue(), mtime=0))


class HostRoom:
    """A room with this machine's Python; `asked` has what was installed in each of its sandboxes."""

    def __init__(self) -> None:
        """Begin with nothing built."""
        self.asked: list[list[str]] = []

    @property
    def identity(self) -> Digest:
        """This machine's Python."""
        return Digest.of(sys.version.encode())

    def command(self, wheels: Sequence[WheelPin], argv: Sequence[str], env: dict[str, str]) -> list[str]:
        """Run Python alone: no network, nothing to write to but a /tmp of its own."""
        self.asked.append([str(wheel) for wheel in wheels])
        settings = [text for key, value in env.items() for text in ("--setenv", key, value)]
        return [
            *(find_bubblewrap().program, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/"),
            *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind", sys.prefix, sys.prefix),
            *("--clearenv", *settings),
            *("--", sys.executable, *argv),
        ]

    def refusal(self, log: str) -> TiffinError | None:  # noqa: ARG002 - the seam has it
        """Leave every failure to the builder."""
        return None
