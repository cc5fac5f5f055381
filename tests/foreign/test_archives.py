"""The tar that `save` writes is everybody's, and everybody's is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from programs.client import Client
from programs.iris import Iris
from programs.podman import podman
from programs.process import run


def tiffin(home: Path, *arguments: str) -> str:
    return run(sys.executable, "-m", "tiffin", *arguments, env={**os.environ, "TIFFIN_HOME": str(home)})


@pytest.fixture(scope="module")
def saved(iris: Iris, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as `save` writes it."""
    path = tmp_path_factory.mktemp("saved") / "iris.tar"
    tiffin(home, "save", iris.name, "--output", str(path))
    return path


@pytest.fixture(scope="module")
def config(iris: Iris) -> str:
    """The digest of the image's config, which docker and podman call its ID."""
    manifest = json.loads((iris.layout / "blobs" / iris.digest.replace(":", "/")).read_bytes())
    return str(manifest["config"]["digest"])


@pytest.mark.program("dockerd")
def test_docker_loads_what_tiffin_saved_and_tiffin_what_docker_saved(
    docker: Client, saved: Path, iris: Iris, config: str, tmp_path: Path
) -> None:
    assert iris.name in docker("load", "--input", str(saved))
    seen = json.loads(docker("image", "inspect", iris.name))[0]
    assert seen["Id"] == config
    assert iris.name in seen["RepoTags"]
    docker("save", "--output", str(tmp_path / "docker.tar"), iris.name)
    again(iris, config, tmp_path, tmp_path / "docker.tar")


@pytest.mark.program("dockerd", "ctr")
def test_containerd_imports_what_tiffin_saved(docker: Client, saved: Path, iris: Iris) -> None:
    socket = Path(docker.environment["DOCKER_HOST"].removeprefix("unix://")).with_name("exec")
    own = ["ctr", "--address", f"{socket}/containerd/containerd.sock", "--namespace", "tiffin"]
    run(*own, "images", "import", "--no-unpack", str(saved))
    (listed,) = run(*own, "images", "check").splitlines()[1:]
    assert f"docker.io/library/{iris.name}" in listed
    assert iris.digest in listed
    assert " complete " in listed


@pytest.mark.program("podman", "runc")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman_loads_what_tiffin_saved_and_tiffin_what_podman_saved(
    saved: Path, iris: Iris, config: str, tmp_path: Path, form: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with podman() as own:
        assert iris.name in own("load", "--input", str(saved))
        (seen,) = json.loads(own("image", "inspect", iris.name))
        assert f"sha256:{seen['Id']}" == config
        own("save", "--format", form, "--output", str(tmp_path / "podman.tar"), iris.name)
    again(iris, config, tmp_path, tmp_path / "podman.tar")


@pytest.mark.program("skopeo")
def test_skopeo_reads_what_tiffin_saved_as_either_kind_of_archive(saved: Path, iris: Iris, config: str) -> None:
    assert json.loads(run("skopeo", "inspect", f"oci-archive:{saved}"))["Digest"] == iris.digest
    assert json.loads(run("skopeo", "inspect", f"oci-archive:{saved}:{iris.name}"))["Digest"] == iris.digest
    raw = json.loads(run("skopeo", "inspect", "--raw", f"docker-archive:{saved}:{iris.name}"))
    assert raw["config"]["digest"] == config


def again(iris: Iris, config: str, scratch: Path, archive: Path) -> None:
    """Load an archive into another home, packed by gzip: it is the same image, and its files are the same."""
    subprocess.run(["gzip", "-1", str(archive)], check=True)
    elsewhere = scratch / "elsewhere"
    assert tiffin(elsewhere, "load", "--input", f"{archive}.gz").startswith(f"{iris.name}@sha256:")
    seen = json.loads(tiffin(elsewhere, "inspect", iris.name))
    assert seen["manifest"]["config"]["digest"] == config
    started = tiffin(elsewhere, "run", "-d", "--name", "again", "-p", "0", iris.name)
    try:
        iris.check_answers(started.removeprefix("http://"))
    finally:
        tiffin(elsewhere, "rm", "-f", "again")
