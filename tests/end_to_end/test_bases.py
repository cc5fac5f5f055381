"""Images on other bases than Debian's packages: each is locked, built, and answers in a container."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from end_to_end.small import Downloads, layers_of, manifest_of, run_tiffin, tiffin, write_project
from programs.base_image import Files, push, write_base
from programs.process import run
from programs.registry import registry
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.embedded.tool import tool_argv
from tiffin.layers.unpack import unpack_layer
from tiffin.oci.documents import LAYER
from tiffin.oci.image import Image, read_image
from tiffin.packages.lock import FILENAME, read_lock
from tiffin.store.layout import LayoutStore

ROWS = json.dumps([{"text": "one two three"}])
ANSWER = {"predictions": [3]}
NAME = "small:latest"


@pytest.fixture(scope="module")
def home(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the small project's packages; what one test makes the next need not."""
    return downloads.copy(tmp_path_factory.mktemp("bases") / "home")


@pytest.fixture(scope="module")
def registries() -> Iterator[str]:
    with registry() as address:
        yield address


def base(downloads: Downloads, folder: Path, *extra: Files, below: bool = False) -> Image:
    """Write a base with Debian's Python into a layout, with layers of a test's own."""
    return write_base(downloads.home / "data", NAME, folder, extra, below=below)


def project(folder: Path, **changes: str) -> Path:
    """Write the small project with keys changed, such as `base`."""
    write_project(folder)
    text = (folder / "tiffin.toml").read_text()
    for key, value in changes.items():
        section = "[python]" if key in {"build", "sha256"} else "[image]"
        text = text.replace(section, f"{section}\n{key} = {value if value.startswith('[') else json.dumps(value)}")
    (folder / "tiffin.toml").write_text(text)
    return folder


def built(home: Path, folder: Path, *options: str) -> str:
    """Build a project and return its image's digest."""
    return tiffin(home, "build", *options, folder).partition("@")[2]


def config_of(home: Path, digest: str) -> dict[str, Any]:
    store = LayoutStore(home / "data")
    hex_ = manifest_of(home, digest)["config"]["digest"].partition(":")[2]
    document: dict[str, Any] = json.loads((store.root / "blobs" / "sha256" / hex_).read_bytes())
    return document


def answer(home: Path, digest: str) -> Any:
    """Run an image and ask it how many words there are in a text."""
    try:
        url = tiffin(home, "run", "-d", "--name", "asked", digest)
        return json.loads(tiffin(home, "predict", url, ROWS))
    finally:
        run_tiffin(home, "stop", "asked")
        run_tiffin(home, "rm", "--force", "asked")


def check(home: Path, folder: Path) -> str:
    """Build a project and assert that its image answers; returns the digest."""
    digest = built(home, folder)
    assert answer(home, digest) == ANSWER
    return digest


@pytest.mark.program("skopeo", "docker-registry")
def test_an_image_of_a_registry_is_built_upon(
    downloads: Downloads, home: Path, registries: str, tmp_path: Path
) -> None:
    given = base(downloads, tmp_path / "layout")
    name = push(tmp_path / "layout", f"{registries}/team/python:3.11", "--preserve-digests")
    folder = project(tmp_path / "project", base=name)
    digest = check(home, folder)
    manifest, config = manifest_of(home, digest), config_of(home, digest)
    assert [layer["digest"] for layer in manifest["layers"][:2]] == [layer.digest for layer in given.manifest.layers]
    assert manifest["annotations"]["org.opencontainers.image.base.name"] == name
    assert manifest["annotations"]["org.opencontainers.image.base.digest"] == given.descriptor.digest
    run_ = config["config"]
    assert (run_["User"], run_["Entrypoint"][0]) == ("65532:65532", "/usr/bin/python3.11")
    assert "Volumes" not in run_
    assert "GREETING=hello" in run_["Env"]
    assert not any(text.startswith("PYTHONHOME") for text in run_["Env"])
    assert "PATH=/opt/venv/bin:/usr/bin:/usr/local/bin:/bin" in run_["Env"]


@pytest.mark.program("skopeo", "docker-registry")
def test_a_tag_that_moves_changes_nothing_until_it_is_locked_again(
    downloads: Downloads, home: Path, tmp_path: Path
) -> None:
    base(downloads, tmp_path / "layout")
    base(downloads, tmp_path / "moved", {"srv/moved": b"yes"})
    with registry() as address:
        name = push(tmp_path / "layout", f"{address}/python:3.11")
        folder = project(tmp_path / "project", base=name)
        before = built(home, folder)
        push(tmp_path / "moved", name)
        assert built(home, folder) == before
        tiffin(home, "lock", folder)
        after = built(home, folder)
        assert after != before
        locked = read_lock(folder / FILENAME).base_image
        assert locked
        assert len(locked.layers) == 3
    assert built(home, folder) == after, "nothing is asked of a registry that is gone"
    shutil.rmtree(home / "cache" / "records")
    assert built(home, folder, "--offline") == after


@pytest.mark.program("skopeo", "docker-registry")
def test_a_lock_leads_another_machine_to_the_same_image(
    downloads: Downloads, home: Path, registries: str, tmp_path: Path
) -> None:
    base(downloads, tmp_path / "layout", {"srv/x": b"1"})
    folder = project(tmp_path / "project", base=push(tmp_path / "layout", f"{registries}/other:1"))
    digest = built(home, folder)
    elsewhere = downloads.copy(tmp_path / "elsewhere")
    missing = run_tiffin(elsewhere, "build", "--offline", folder)
    assert "the base's sha256:" in missing.stderr
    assert built(elsewhere, folder, "--locked") == digest


@pytest.mark.program("skopeo", "docker-registry")
def test_a_base_in_dockers_own_words_gives_an_image_in_ocis(
    downloads: Downloads, home: Path, registries: str, tmp_path: Path
) -> None:
    base(downloads, tmp_path / "layout")
    name = push(tmp_path / "layout", f"{registries}/docker:1", "--format", "v2s2")
    digest = built(home, project(tmp_path / "project", base=name))
    assert {layer["mediaType"].partition(".v1.")[0] for layer in manifest_of(home, digest)["layers"]} == {
        "application/vnd.oci.image.layer"
    }


@pytest.mark.program("skopeo")
@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive"])
def test_an_image_that_lies_in_files_is_built_upon(downloads: Downloads, home: Path, tmp_path: Path, kind: str) -> None:
    base(downloads, tmp_path / "layout")
    name = "base:1" if kind == "docker-archive" else "1"
    if kind != "oci":
        run("skopeo", "copy", f"oci:{tmp_path}/layout:base:1", f"{kind}:{tmp_path}/base.tar:{name}")
    where = "../layout" if kind == "oci" else f"{tmp_path}/base.tar:{name}"
    digest = built(home, project(tmp_path / "project", base=f"{kind}:{where}"))
    assert "org.opencontainers.image.base.name" not in manifest_of(home, digest)["annotations"], "paths are nobody's"
    assert answer(home, digest) == ANSWER


def test_what_a_base_took_away_stays_away_and_its_links_stay_links(
    downloads: Downloads, home: Path, tmp_path: Path
) -> None:
    """The uppermost layer of the base deletes, hides and moves; /opt and /app lead elsewhere."""
    changed: Files = {
        "etc/.wh.hostname": b"",
        "usr/share/zoneinfo/.wh..wh..opq": b"",
        ".wh.opt": b"",
        "opt": "var/opt",
        "var/opt": None,
        "app": "srv/app",
        "srv/app": None,
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh",
    }
    base(downloads, tmp_path / "layout", changed)
    folder = project(tmp_path / "project", base="oci:../layout")
    digest = check(home, folder)
    seen = stacked(home, digest, tmp_path / "root")
    assert (seen / "var/opt/venv/pyvenv.cfg").is_file()
    assert (seen / "srv/app/predict.py").is_file()
    accounts = (seen / "etc/passwd").read_text().splitlines()
    assert [line.split(":")[0] for line in accounts] == ["root", "tiffin"]
    assert json.loads(tiffin(home, "sbom", digest))["bomFormat"] == "CycloneDX"
    looked = "import os; print(*map(os.path.lexists, ['/etc/hostname', '/usr/share/zoneinfo/UTC', '/opt/venv']))"
    assert inside(home, digest, "/usr/bin/python3.11", "-c", looked) == "False False True"


def inside(home: Path, digest: str, *argv: str) -> str:
    """Run a program of an image that was run before, in its layers as the kernel stacks them."""
    folders = [home / "data" / "unpacked" / text[7:] for text in config_of(home, digest)["rootfs"]["diff_ids"]]
    return run(*tool_argv(folders, argv, machine=Machine.here()))


def stacked(home: Path, digest: str, root: Path) -> Path:
    """Unpack the layers that tiffin put onto a base over one another."""
    store = LayoutStore(home / "data")
    manifest, config = manifest_of(home, digest), config_of(home, digest)
    root.mkdir()
    for number, (layer, diff_id) in enumerate(zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True)):
        if number > 2:
            (own := root.parent / f"layer{number}").mkdir()
            hex_ = layer["digest"].partition(":")[2]
            with (store.root / "blobs" / "sha256" / hex_).open("rb") as blob:
                unpack_layer(blob, layer["mediaType"], own, diff_id)
            shutil.copytree(own, root, dirs_exist_ok=True, symlinks=True)
    return root


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"usr/bin/.wh.python3.11": b""}, "the base image has no Python for x86_64"),
        ({"opt/venv/lib/site-packages/numpy.py": b""}, "has /opt/venv/lib/site-packages/numpy.py"),
        ({"models/old": b""}, "has /models/old"),
    ],
)
def test_a_base_that_will_not_do_says_why(
    downloads: Downloads, home: Path, tmp_path: Path, extra: Files, message: str
) -> None:
    base(downloads, tmp_path / "layout", extra)
    ended = run_tiffin(home, "build", project(tmp_path / "project", base="oci:../layout"))
    assert ended.returncode
    assert message in ended.stderr
    assert "hint:" in ended.stderr


def test_another_python_than_the_wanted_is_named(downloads: Downloads, home: Path, tmp_path: Path) -> None:
    base(downloads, tmp_path / "layout")
    folder = project(tmp_path / "project", base="oci:../layout")
    text = (folder / "tiffin.toml").read_text()
    (folder / "tiffin.toml").write_text(text.replace('version = "3.11"', 'version = "3.12"'))
    ended = run_tiffin(home, "build", folder)
    assert "no Python 3.12 for x86_64: /usr/bin/python3.11 is Python 3.11" in ended.stderr


# --- Python in an archive ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's Python, packed as python-build-standalone packs its own."""
    folder = tmp_path_factory.mktemp("archive")
    store = LayoutStore(downloads.home / "data")
    image = read_image(store, store.resolve(NAME))
    layer, diff_id = image.manifest.layers[1], image.config.rootfs.diff_ids[1]
    (root := folder / "root").mkdir()
    with store.open(layer) as blob:
        unpack_layer(blob, layer.media_type, root, diff_id)
    path = folder / "cpython-3.11.2-install_only.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as packed:
        packed.add(root / "usr/bin/python3.11", "python/bin/python3.11")
        (root / "usr/lib/python3.11/sitecustomize.py").unlink()  # Debian's own, which leads to /etc
        packed.add(root / "usr/lib/python3.11", "python/lib/python3.11")
        link = tarfile.TarInfo("python/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, "python3.11"
        packed.addfile(link)
    return path


def test_a_python_in_an_archive_runs_on_debian(archive: Path, home: Path, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    libraries = '["libexpat1", "libffi8", "libssl3", "zlib1g"]'
    folder = project(tmp_path / "project", build=str(archive), sha256=sha256, packages=libraries)
    digest = check(home, folder)
    assert [title for title, _ in layers_of(home, digest)][:4] == ["base", "packages", "python", "python bytecode"]
    assert config_of(home, digest)["config"]["Entrypoint"][0] == "/opt/python/bin/python3.11"
    assert built(home, folder, "--offline") == digest
    again = project(tmp_path / "again", build=str(archive), sha256="0" * 64, packages=libraries)
    ended = run_tiffin(home, "build", again)
    assert "it is not the file that was pinned" in ended.stderr


# --- Python 3.13 ------------------------------------------------------------------------------------------------------


@pytest.mark.program("skopeo", "docker-registry")
def test_python_3_13_of_trixie_is_a_base_too(home: Path, registries: str, tmp_path: Path) -> None:
    write_project(folder := tmp_path / "trixie")
    text = (folder / "tiffin.toml").read_text().replace('version = "3.11"', 'version = "3.13"')
    (folder / "tiffin.toml").write_text(text.replace("[image]", '[image]\nbase = "debian:trixie"'))
    tiffin(home, "build", "--tag", "trixie", folder)
    write_base(home / "data", "trixie:latest", tmp_path / "layout")
    name = push(tmp_path / "layout", f"{registries}/python:3.13")
    (folder / "tiffin.toml").write_text(text.replace("[image]", f'[image]\nbase = "{name}"'))
    check(home, folder)
    locked = read_lock(folder / FILENAME)
    assert locked.base_image
    assert locked.base_image.glibc == (2, 41)
    assert {layer.media_type for layer in locked.base_image.layers} != {LAYER}
