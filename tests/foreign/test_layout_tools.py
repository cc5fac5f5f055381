"""skopeo, umoci and docker-registry take the layout as they take anybody's."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from programs.iris import Iris
from programs.process import run


@pytest.mark.program("skopeo")
def test_skopeo_inspects_the_layout(iris: Iris) -> None:
    seen = json.loads(run("skopeo", "inspect", iris.source))
    assert seen["Digest"] == iris.digest
    assert seen["Os"] == "linux"
    assert seen["Labels"]["dev.tiffin.format"] == "sklearn-joblib"
    assert seen["Labels"]["dev.tiffin.sockets"] == "http=8080,grpc=8081,metrics=8082"


@pytest.mark.program("skopeo")
def test_skopeo_sees_the_config_the_builder_wrote(iris: Iris) -> None:
    config = json.loads(run("skopeo", "inspect", "--config", iris.source))
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Cmd"] == ["all"]
    assert config["config"]["StopSignal"] == "SIGTERM"
    assert "8080/tcp" in config["config"]["ExposedPorts"]
    assert len(config["rootfs"]["diff_ids"]) == len(config["history"])


@pytest.mark.program("skopeo")
def test_skopeo_copies_it_to_another_layout_with_the_same_digest(iris: Iris, tmp_path: Path) -> None:
    target = f"oci:{tmp_path}/copy:iris"
    run("skopeo", "copy", "--preserve-digests", iris.source, target)
    assert json.loads(run("skopeo", "inspect", target))["Digest"] == iris.digest


@pytest.mark.program("skopeo")
def test_skopeo_copies_it_to_a_folder_with_the_same_digest(iris: Iris, tmp_path: Path) -> None:
    run("skopeo", "copy", "--preserve-digests", iris.source, f"dir:{tmp_path}/copy")
    manifest = (tmp_path / "copy" / "manifest.json").read_bytes()
    assert f"sha256:{hashlib.sha256(manifest).hexdigest()}" == iris.digest


@pytest.mark.program("skopeo", "docker-registry")
def test_a_registry_takes_and_gives_it_by_the_same_digest(iris: Iris, own_registry: str) -> None:
    pushed = f"docker://{own_registry}/team/iris"
    run("skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", iris.source, f"{pushed}:1")
    seen = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"{pushed}@{iris.digest}"))
    assert seen["RepoTags"] == ["1"]


@pytest.mark.program("umoci")
def test_umoci_unpacks_the_files_without_root(iris: Iris, bundle: Path) -> None:
    root = bundle / "rootfs"
    assert (root / "models" / "model.joblib").read_bytes() == (iris.folder / "model.joblib").read_bytes()
    assert (root / "app" / "train.py").read_bytes() == (iris.folder / "train.py").read_bytes()
    assert json.loads((root / "opt" / "tiffin" / "service.json").read_text())["version"] == "1"
    assert (root / "opt" / "venv" / "lib" / "site-packages" / "sklearn" / "__init__.py").is_file()
    assert os.access(root / "usr" / "bin" / "python3.11", os.X_OK)


@pytest.mark.program("umoci")
def test_umoci_makes_a_bundle_that_starts_the_server_as_nobody(bundle: Path) -> None:
    process = json.loads((bundle / "config.json").read_text())["process"]
    assert process["args"] == ["/usr/bin/python3.11", "-I", "-S", "/opt/tiffin/front", "all"]
    assert (process["user"]["uid"], process["user"]["gid"]) == (65532, 65532)
    assert process["cwd"] == "/app"
