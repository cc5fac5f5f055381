"""What is no pickle is held against its own rules too; what frameworks themselves write passes."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import all_estimators

from corpus import models
from tiffin.build.sources import weights_of
from tiffin.errors import DeniedError, IntegrityError
from tiffin.models.allowed_imports import AllowedImports
from tiffin.models.approve import approve
from tiffin.models.detect import find_model, read_model
from tiffin.models.zips import opened_zip
from unit.models.test_ordinary_models import fitted

OURS = AllowedImports()
X, Y = load_iris(return_X_y=True)


def own(values: Any) -> Any:
    return values


def test_what_skops_writes_of_every_estimator_passes(tmp_path: Path) -> None:
    saved = 0
    for _, class_ in all_estimators():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                model = class_()
        except TypeError:  # it wants another estimator
            continue
        fitted(model)
        try:
            skops.io.dump(model, tmp_path / "m.skops")
        except (skops.io.exceptions.UnsupportedTypeException, AttributeError):
            continue
        approve(tmp_path / "m.skops", "skops", OURS)
        saved += 1
    assert saved > 100


def test_a_type_of_nobodys_is_refused_by_name_and_may_be_allowed(tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), FunctionTransformer(own), GradientBoostingClassifier(n_estimators=2)).fit(
        X, Y
    )
    skops.io.dump(model, tmp_path / "m.skops")
    name = f"{own.__module__}:own"
    with pytest.raises(DeniedError, match=f"m.skops would run code when it is loaded: {name}") as caught:
        approve(tmp_path / "m.skops", "skops", OURS)
    assert f'allow-imports = ["{name}"]' in str(caught.value.hint)
    approve(tmp_path / "m.skops", "skops", AllowedImports.of([name]))


def test_a_class_of_a_projects_own_in_a_network_may_be_allowed(tmp_path: Path) -> None:
    layer = models.layer("Mine", None, registered_name="pkg>Mine")
    (tmp_path / "m.keras").write_bytes(models.keras(models.sequential(layer)))
    with pytest.raises(DeniedError, match="pkg:Mine"):
        approve(tmp_path / "m.keras", "keras", OURS)
    approve(tmp_path / "m.keras", "keras", AllowedImports.of(["pkg:Mine"]))


def test_a_graph_brings_the_files_that_have_its_tensors(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    tensors = [onnx.numpy_helper.from_array(np.ones((9, 9), "f4"), name) for name in "ab"]
    graph = onnx.helper.make_graph([], "g", [], [], tensors)
    whole = onnx.helper.make_model(graph)
    onnx.save(whole, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=10)
    found = find_model(tmp_path)
    assert found.files == (tmp_path / "m.onnx", tmp_path / "m.data")
    assert sorted(weights_of(found)) == ["models/m.data", "models/m.onnx"]
    for file in found.files:
        approve(file, found.format, OURS)
    (tmp_path / "m.data").unlink()
    with pytest.raises(IntegrityError, match=r"a tensor is in 'm\.data', which is no file there"):
        read_model(tmp_path / "m.onnx")


def test_a_tensor_behind_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "w.bin").symlink_to(tmp_path / "secret")
    (tmp_path / "m" / "m.onnx").write_bytes(models.onnx(models.external("w.bin")))
    with pytest.raises(IntegrityError, match="no file there"):
        read_model(tmp_path / "m" / "m.onnx")


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "U8"])
def test_safetensors_of_every_type_pass(tmp_path: Path, dtype: str) -> None:
    size = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}.get(dtype, 1)
    told = {"b": models.tensor([], 6 * size, 7 * size, dtype), "a": models.tensor([2, 3], 0, 6 * size, dtype)}
    nothing = {"z": models.tensor([0, 4], 0, 0, dtype), "__metadata__": {"format": "pt"}}
    (tmp_path / "m.safetensors").write_bytes(models.safetensors({**told, **nothing}, bytes(7 * size)))
    approve(tmp_path / "m.safetensors", "transformers", OURS)


def test_safetensors_are_what_their_own_library_writes(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="needs safetensors")
    library.save_file({"a": np.zeros((3, 2)), "b": np.ones(5, "i8"), "c": np.zeros((0,))}, tmp_path / "m.safetensors")
    approve(tmp_path / "m.safetensors", "python", OURS)


def test_a_zip64_is_a_zip_like_any(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, document in {
            "metadata.json": {"keras_version": "3.12.0"},
            "config.json": models.sequential(),
        }.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(json.dumps(document).encode())
    approve(tmp_path / "m.keras", "keras", OURS)
    crowd = tmp_path / "crowd.zip"
    with zipfile.ZipFile(crowd, "w") as archive:
        for number in range(66_000):  # so many need zip64's end of the directory
            archive.writestr(zipfile.ZipInfo(str(number)), b"")
    with crowd.open("rb") as file:
        assert len(opened_zip(file).namelist()) == 66_000
