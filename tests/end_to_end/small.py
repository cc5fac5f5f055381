"""The smallest project that has everything: a class of the user's own, weights, code in a folder, one wheel, bytecode.

Everything it is made of is downloaded once a run; a home that holds the downloads and nothing else makes every layer
anew in about two seconds, without a network.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tiffin.build.server import server_wheels
from tiffin.packages.lock import FILENAME, read_lock

FILES = {
    "predict.py": """\
from parts.words import count


class Predictor:
    inputs = {"text": ("BYTES", [-1])}
    outputs = {"words": ("INT64", [-1])}

    def load(self, path):
        with open(path + "/more.txt") as file:
            self.more = int(file.read())

    def predict(self, inputs):
        return {"words": [count(text) + self.more for text in inputs["text"]]}
""",
    "parts/__init__.py": "",
    "parts/words.py": """\
import six


def count(text):
    return len(six.ensure_str(text).split())
""",
    "parts/tool.py": "#!/usr/bin/env python3\nprint('a file that may be executed')\n",
    "weights/more.txt": "0\n",
    "weights/übrig.bin": "what a locale could trip over\n" * 1000,
    "tiffin.toml": """\
name = "small"

[model]
predictor = "predict:Predictor"
path = "weights"

[python]
version = "3.11"
dependencies = ["six==1.17.0"]

[image]
include = ["*.py", "parts/*.py"]

[serve]
drain-seconds = 0
""",
}
EXECUTABLE = "parts/tool.py"
PASSED_ON = ("UV_", "PIP_", "SSL_", "HTTP", "http", "NO_PROXY", "no_proxy", "APT_CONFIG")


class Downloads(msgspec.Struct, frozen=True, kw_only=True):
    """What was downloaded for the project, its lock, and the digest that its image has wherever it is built."""

    home: Path
    lock: Path
    digest: str

    def copy(self, home: Path, copy: Callable[[Path, Path], Any] = os.link) -> Path:
        """Make a home that holds the downloads and nothing else."""
        lock = read_lock(self.lock)
        debs = [*lock.base_debs, *lock.python_debs, *lock.package_debs]
        wheels = [*lock.wheels, *server_wheels(lock.python, lock.platform)]
        folders = [f"debian/pool/{pin.sha256.hex}" for pin in debs] + [f"wheels/{pin.sha256.hex}" for pin in wheels]
        for folder in folders:
            (home / "cache" / folder).mkdir(parents=True)
            for file in (self.home / "cache" / folder).iterdir():
                copy(file, home / "cache" / folder / file.name)
        return home


def write_project(folder: Path, names: Sequence[str] = tuple(FILES)) -> Path:
    """Write the project's files in this order."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES[name])
    (folder / EXECUTABLE).chmod(0o755)
    return folder


def environment(home: Path, **more: str) -> dict[str, str]:
    """What tiffin is started with: a home of its own and what leads to packages."""
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    found = {"PATH": "/usr/bin:/bin", "HOME": str(home), "TIFFIN_HOME": str(home), "LANG": "C.UTF-8"}
    return passed | found | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)} | more


def tiffin(home: Path, *arguments: object, **more: str) -> str:
    """Run tiffin to its good end and return what it printed."""
    done = run_tiffin(home, *arguments, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run_tiffin(home: Path, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run tiffin to whatever end."""
    return subprocess.run(
        [sys.executable, "-m", "tiffin", *map(str, arguments)],
        env=environment(home, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def download(home: Path, folder: Path) -> Downloads:
    """Lock and build the project once, so that everything it needs is in the cache of `home`."""
    write_project(folder)
    image = tiffin(home, "build", folder)
    return Downloads(home=home, lock=folder / FILENAME, digest=image.partition("@")[2])


def blob(home: Path, digest: str) -> Path:
    return home / "data" / "blobs" / digest.replace(":", "/")


def manifest_of(home: Path, digest: str) -> dict[str, Any]:
    """The manifest of an image, as it lies in a home."""
    document: dict[str, Any] = json.loads(blob(home, digest).read_bytes())
    return document


def layers_of(home: Path, digest: str) -> list[tuple[str, str]]:
    """What each layer is called, and its digest."""
    manifest = manifest_of(home, digest)
    config = json.loads(blob(home, manifest["config"]["digest"]).read_bytes())
    titles = [entry["comment"] for entry in config["history"]]
    return [(title, layer["digest"]) for title, layer in zip(titles, manifest["layers"], strict=True)]


def check_store(home: Path) -> Mapping[str, str]:
    """Assert that every blob has its digest and every name leads to a whole image; return what the names mean."""
    for path in (home / "data" / "blobs").glob("sha256/*"):
        with path.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == path.name, f"{path} is damaged"
    index = home / "data" / "index.json"
    listed = json.loads(index.read_bytes())["manifests"] if index.exists() else []
    for entry in listed:
        manifest = manifest_of(home, entry["digest"])
        for part in (manifest["config"], *manifest["layers"]):
            assert blob(home, part["digest"]).stat().st_size == part["size"]
    key = "org.opencontainers.image.ref.name"
    named = [(entry["annotations"][key], entry["digest"]) for entry in listed if key in entry["annotations"]]
    assert len(dict(named)) == len(named)
    assert all(entry.get("artifactType") for entry in listed if key not in entry["annotations"])
    return dict(named)


def left_over(*folders: Path) -> list[str]:
    """Temporary files and folders, which nobody needs once nothing runs; uv looks after its own."""
    return [
        name
        for top in folders
        for path in top.rglob("*")
        if path.name.startswith(".") or path.parent.name == "tmp" or path.suffix in {".part", ".new", ".tmp"}
        if not (name := path.relative_to(top).as_posix()).startswith("cache/uv/")
    ]
