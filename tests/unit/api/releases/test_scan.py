"""An image is looked at layer by layer, by a scanner where one is asked for, and judged as its project wants it."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
from pathlib import Path

import pytest

from programs.base_image import packed
from tiffin.api.machine.home import Home
from tiffin.api.releases.scan import scan
from tiffin.config.release import ReleaseSection
from tiffin.errors import CommandError, IntegrityError, UnavailableError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, History, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image

SARIF = {
    "runs": [{"tool": {"driver": {}}, "results": [{"ruleId": "CVE-1", "level": "error", "message": {"text": "x"}}]}]
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.of({"TIFFIN_HOME": str(tmp_path)})


def image(home: Home, user: str, *layers: dict[str, bytes | str | None]) -> Image:
    """An image of somebody else's, in the store as `other`."""
    tars = [packed(files) for files in layers]
    descriptors = [Descriptor.of(tar, LAYER) for tar in tars]
    for tar, descriptor in zip(tars, descriptors, strict=True):
        home.store.put(descriptor, io.BytesIO(tar))
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RunConfig(user=user),
        rootfs=RootFS(diff_ids=[Digest.of(tar) for tar in tars]),
        history=[History(created_by=f"COPY {number} /") for number in range(len(tars))],
    )
    made = Image.make(config, descriptors, {})
    made.write(home.store)
    home.store.tag("other:latest", made.descriptor)
    return made


def test_findings_name_the_layer_that_they_are_in_and_are_remembered(home: Home) -> None:
    image(home, "1000", {"app/a.txt": b"nothing"}, {"app/.env": b"X=1"})
    for _ in range(2):
        found = scan("other", home=home)
        assert [(one.rule, one.layer, one.path) for one in found.findings] == [
            ("secret-file", "COPY 1 /", "app/.env"),
            ("no-bill-of-materials", "", ""),
        ]


class Harm:
    """What a pickle can do to whoever loads it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_a_model_that_runs_code_is_told_whoever_built_the_image(home: Home) -> None:
    data = packed({"models/model.pkl": pickle.dumps(Harm()), "models/good.pkl": pickle.dumps([1, 2])})
    descriptor = Descriptor.of(data, LAYER)
    home.store.put(descriptor, io.BytesIO(data))
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RunConfig(user="65532", labels={"dev.tiffin.format": "sklearn-pickle"}),
        rootfs=RootFS(diff_ids=[Digest.of(data)]),
        history=[History(created_by="tiffin", comment="weights")],
    )
    made = Image.make(config, [descriptor], {})
    made.write(home.store)
    home.store.tag("harm:latest", made.descriptor)
    for _ in range(2):
        [finding] = [one for one in scan("harm", home=home).findings if one.rule == "model-code"]
        assert (finding.layer, finding.path) == ("weights", "models/model.pkl")
        assert "system" in finding.message
        assert str(home.data) not in finding.message


def test_damaged_bytes_are_refused(home: Home) -> None:
    made = image(home, "1000", {"app/a.txt": b"nothing"})
    home.store.path(made.manifest.layers[0]).chmod(0o644)
    home.store.path(made.manifest.layers[0]).write_bytes(packed({"app/b.txt": b"another"}))
    with pytest.raises(IntegrityError):
        scan("other", home=home)


def test_a_scanner_that_is_asked_for_and_absent_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnavailableError, match="asks for grype, which is not on this machine"):
        scan("other", ReleaseSection(scanner="grype"), home=home)


def test_a_scanner_is_given_a_bill_of_materials_and_an_image_without_one_is_refused(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image(home, "1000", {"app/a.txt": b"nothing"})
    scanner(tmp_path, monkeypatch, "exit 0")
    with pytest.raises(UnsupportedError, match="given a bill of materials"):
        scan("other", ReleaseSection(scanner="grype"), home=home)


def scanner(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program called grype that does what a script says."""
    (folder / "bin").mkdir()
    (folder / "bin" / "grype").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / "grype").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


def own(home: Home) -> None:
    """An image with a bill of materials, as `tiffin build` keeps one."""
    data = packed({"opt/tiffin/sbom.cdx.json": b'{"components": []}'})
    blob = gzip.compress(data)
    descriptor = Descriptor.of(blob, "application/vnd.oci.image.layer.v1.tar+gzip")
    home.store.put(descriptor, io.BytesIO(blob))
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RunConfig(user="65532"),
        rootfs=RootFS(diff_ids=[Digest.of(data)]),
        history=[History(created_by="tiffin", comment="metadata")],
    )
    made = Image.make(config, [descriptor], {})
    made.write(home.store)
    home.store.tag("own:latest", made.descriptor)


def test_what_a_scanner_finds_in_the_bill_of_materials_is_taken_in(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(home)
    scanner(tmp_path, monkeypatch, f"test -s \"${{1#sbom:}}\" || exit 3; echo '{json.dumps(SARIF)}'")
    found = scan("own", ReleaseSection(scanner="grype"), home=home).findings
    assert ("CVE-1", "grype") in {(one.rule, one.tool) for one in found}


def test_a_scanner_that_fails_is_told_with_its_words(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(home)
    scanner(tmp_path, monkeypatch, "echo 'no database' >&2; exit 1")
    with pytest.raises(CommandError, match="grype ended with status 1: no database"):
        scan("own", ReleaseSection(scanner="grype"), home=home)
