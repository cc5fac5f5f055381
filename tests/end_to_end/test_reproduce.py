"""An image is made again from what it carries; what differs, and what had to be carried, is named.

Indexes are on loopback and have what the small project is made of, so that a package can be taken away.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from end_to_end.builders import ELSEWHERE, NOBODY, Builder, give, somebody
from end_to_end.small import Downloads, blob, environment, layers_of, manifest_of, run_tiffin, tiffin
from tiffin.build.server import server_wheels
from tiffin.oci.digest import Digest
from tiffin.packages.lock import Lock, read_lock
from unit.packages.debian.makers import serving
from wheelhouse import File, Index, served

BUILT = "small:latest"


class World(msgspec.Struct, frozen=True, kw_only=True):
    """A home that has the image and nothing else, and the indexes that its packages come from."""

    home: Path
    digest: str
    index: Index
    mirror: Path
    settings: dict[str, str]
    lock: Lock

    def reproduce(self, name: str = BUILT, status: int = 0) -> dict[str, Any]:
        """Reproduce an image, which ends with this exit status, and return what is said of it."""
        done = run_tiffin(self.home, "reproduce", name, "--json", **self.settings)
        assert done.returncode == status, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def tag(self, document: dict[str, Any], name: str) -> None:
        """Give a manifest of somebody else's a name."""
        data = json.dumps(document).encode()
        entry = {"mediaType": document["mediaType"], "digest": keep(self.home, data), "size": len(data)}
        index = json.loads((self.home / "data" / "index.json").read_bytes())
        index["manifests"].append({**entry, "annotations": {"org.opencontainers.image.ref.name": name}})
        (self.home / "data" / "index.json").write_text(json.dumps(index))


def keep(home: Path, data: bytes) -> str:
    digest = Digest.of(data)
    blob(home, digest).write_bytes(data)
    return digest


def verdicts(found: dict[str, Any], verdict: str) -> dict[str, str]:
    return {row["layer"]: row["why"] for row in found["layers"] if row["verdict"] == verdict}


@pytest.fixture
def world(downloads: Downloads, tmp_path: Path) -> Iterator[World]:
    """Copy the image to an empty home, and serve all that it is made of."""
    home = tmp_path / "home"
    copy_layout(downloads.home, home)
    lock = read_lock(downloads.lock)
    cache, mirror = downloads.home / "cache", tmp_path / "mirror"
    for pin in (*lock.base_debs, *lock.python_debs):
        for archive in ("debian", "security"):
            (mirror / archive / pin.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(cache / "debian" / "pool" / pin.sha256.hex / Path(pin.path).name, mirror / archive / pin.path)
    wheels = (*lock.wheels, *server_wheels(lock.python, lock.platform))
    files = [File(pin.filename, (cache / "wheels" / pin.sha256.hex / pin.filename).read_bytes()) for pin in wheels]
    with serving(mirror) as debian, served(*files) as index:
        settings = {
            "UV_DEFAULT_INDEX": index.url,
            "UV_FIND_LINKS": "",
            "PIP_FIND_LINKS": "",
            "PIP_CONFIG_FILE": os.devnull,
            "TIFFIN_DEBIAN_MIRROR": f"{debian.url}/debian {debian.url}/security",
        }
        yield World(home=home, digest=downloads.digest, index=index, mirror=mirror, settings=settings, lock=lock)


def copy_layout(source: Path, target: Path) -> None:
    """Copy an image as any tool would: blobs, index and marker of its layout."""
    (target / "data").mkdir(parents=True)
    for name in ("oci-layout", "index.json"):
        shutil.copyfile(source / "data" / name, target / "data" / name)
    shutil.copytree(source / "data" / "blobs", target / "data" / "blobs", copy_function=shutil.copyfile)


def test_every_layer_is_made_again_and_is_the_same(world: World) -> None:
    found = world.reproduce()
    assert found["identical"]
    assert found["rebuilt"] == found["digest"] == world.digest
    assert [row["layer"] for row in found["layers"]] == [
        *(t for t, _ in layers_of(world.home, world.digest)),
        "settings",
    ]
    assert {row["verdict"] for row in found["layers"]} == {"identical"}
    assert world.index.downloads(world.lock.wheels[0].filename) == 1
    assert not list((world.home / "cache").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
def test_another_user_elsewhere_comes_to_the_same(world: World) -> None:
    builder: Builder = somebody(NOBODY)
    home = Path(tempfile.mkdtemp(prefix="tiffin-elsewhere-", dir="/dev/shm"))
    try:
        copy_layout(world.home, home)
        give(home, NOBODY)
        done = subprocess.run(
            [builder.python, "-m", "tiffin", "reproduce", "small"],
            cwd="/",
            env=environment(home, PYTHONPATH=os.pathsep.join(builder.path), **ELSEWHERE, **world.settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            umask=0o077,
            timeout=120,
            check=False,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
        )
        lines = done.stdout.splitlines()
        assert lines[-1:] == [f"{world.digest} is identical"], done.stderr
        assert lines[0].split() == ["LAYER", "VERDICT", "WHY"]
    finally:
        shutil.rmtree(home)


def test_a_wheel_that_is_gone_is_carried_and_the_rest_made_again(world: World) -> None:
    (six,) = world.lock.wheels
    del world.index.files[six.filename]
    found = world.reproduce()
    assert found["identical"]
    assert found["carried"] == 2
    carried = verdicts(found, "carried")
    assert carried.keys() == {"six", "bytecode of six"}
    assert all("six" in why for why in carried.values())


def test_a_wheel_that_another_has_taken_the_place_of_is_carried(world: World) -> None:
    (six,) = world.lock.wheels
    world.index.files[six.filename] = File(six.filename, b"something else")
    assert verdicts(world.reproduce(), "carried").keys() == {"six", "bytecode of six"}


def test_bytecode_is_compiled_by_an_interpreter_that_had_to_be_carried(world: World) -> None:
    pin = world.lock.python_debs[0]
    for archive in ("debian", "security"):
        (world.mirror / archive / pin.path).unlink()
    found = world.reproduce()
    assert found["identical"]
    assert verdicts(found, "carried").keys() == {"python", "python bytecode"}
    assert Path(pin.path).name in verdicts(found, "carried")["python"]
    assert "bytecode of six" in verdicts(found, "identical")


def test_an_index_that_does_not_answer_is_no_reason_to_carry(world: World) -> None:
    world.settings["UV_DEFAULT_INDEX"] = "http://127.0.0.1:1/simple"
    done = run_tiffin(world.home, "reproduce", "small", UV_HTTP_RETRIES="0", **world.settings)
    assert done.returncode == 7, done.stderr
    assert not done.stdout


def tampered(
    home: Path, manifest: dict[str, Any], title: str, change: Callable[[tarfile.TarInfo, bytes], bytes]
) -> None:
    """Change a layer's files, and mend digests and diff ID, so that nothing is wrong with the image by itself."""
    config = json.loads(blob(home, manifest["config"]["digest"]).read_bytes())
    at = [entry["comment"] for entry in config["history"]].index(title)
    out = io.BytesIO()
    with (
        tarfile.open(blob(home, manifest["layers"][at]["digest"])) as source,
        tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as target,
    ):
        for member in source:
            file = source.extractfile(member)
            target.addfile(member, io.BytesIO(change(member, file.read())) if file else None)
    config["rootfs"]["diff_ids"][at] = Digest.of(out.getvalue())
    packed = gzip.compress(out.getvalue(), mtime=0)
    manifest["layers"][at] |= {"digest": keep(home, packed), "size": len(packed)}
    replace_config(home, manifest, config)


def replace_config(home: Path, manifest: dict[str, Any], config: dict[str, Any]) -> None:
    data = json.dumps(config).encode()
    manifest["config"] |= {"digest": keep(home, data), "size": len(data)}


def test_one_byte_in_one_file_of_one_wheel_is_named(world: World) -> None:
    def change(member: tarfile.TarInfo, data: bytes) -> bytes:
        return data.replace(b"Utilities", b"utilities", 1) if member.name.endswith("/six.py") else data

    manifest = manifest_of(world.home, world.digest)
    tampered(world.home, manifest, "six", change)
    world.tag(manifest, "tampered:latest")
    done = run_tiffin(world.home, "reproduce", "tampered", "--json", **world.settings)
    assert done.returncode == 8
    assert verdicts(json.loads(done.stdout), "differs") == {"six": "opt/venv/lib/site-packages/six.py: other content"}
    assert "1 of 10 parts differ [integrity]" in done.stderr


def test_other_settings_and_another_tiffin_are_named(world: World) -> None:
    manifest = manifest_of(world.home, world.digest)
    config = json.loads(blob(world.home, manifest["config"]["digest"]).read_bytes())
    config["config"]["User"] = "0:0"
    config["config"]["Labels"]["dev.tiffin.version"] = "0.0.1"
    replace_config(world.home, manifest, config)
    world.tag(manifest, "tampered:latest")
    done = run_tiffin(world.home, "reproduce", "tampered", "--json", **world.settings)
    assert done.returncode == 8
    assert verdicts(json.loads(done.stdout), "differs").keys() == {"settings"}
    assert json.loads(done.stdout)["made_by"] == "0.0.1"
    assert "`uvx tiffin@0.0.1 reproduce tampered`" in done.stderr


def test_a_damaged_blob_is_named(world: World) -> None:
    layers = dict(layers_of(world.home, world.digest))
    path = blob(world.home, layers["six"])
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert verdicts(world.reproduce(status=8), "differs").keys() == {"six"}


def test_an_image_of_somebody_else_s_is_refused(world: World) -> None:
    manifest = manifest_of(world.home, world.digest)
    del manifest["layers"][-1]
    config = json.loads(blob(world.home, manifest["config"]["digest"]).read_bytes())
    del config["rootfs"]["diff_ids"][-1], config["history"][-1]
    replace_config(world.home, manifest, config)
    world.tag(manifest, "other:latest")
    done = run_tiffin(world.home, "reproduce", "other", **world.settings)
    assert done.returncode == 4
    assert "other has no /opt/tiffin/project.json" in done.stderr


def test_provenance_is_found_where_the_image_was_built(world: World, downloads: Downloads) -> None:
    shown = tiffin(downloads.home, "inspect", "small", "--show", "provenance")
    assert json.loads(shown)["subject"] == [
        {"name": "small", "digest": {"sha256": world.digest.removeprefix("sha256:")}}
    ]
    assert tiffin(world.home, "inspect", "small", "--show", "provenance") == shown
    parts = json.loads(shown)["predicate"]["buildDefinition"]["resolvedDependencies"]
    digests = {part["digest"]["sha256"] for part in parts if "digest" in part}
    wanted = (*world.lock.wheels, *world.lock.base_debs, *world.lock.python_debs)
    assert {pin.sha256.hex for pin in wanted} <= digests
    assert sys.executable not in shown
