"""Formats of XGBoost, LightGBM and skops are recognised by their first bytes, and say what they need."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tiffin.errors import ConfigError, NotFoundError
from tiffin.models.detect import find_model, read_model
from tiffin.models.distributions import chosen

UBJ_KEY = b"L\0\0\0\0\0\0\0"
UBJ = b"{" + UBJ_KEY + b"\x07learner{}" + UBJ_KEY + b"\x07version[#" + UBJ_KEY + b"\x03" + b"i\x03i\x02i\x00}"
LIGHTGBM = "tree\nversion=v4\nnum_class=1\n"


def write_skops(path: Path, schema: object) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", schema if isinstance(schema, str) else json.dumps(schema))
    return path


def test_xgboosts_json_tells_its_version(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"learner":{"attributes":{}},"version":[3,2,0]}')
    found = find_model(tmp_path)
    assert (found.format, found.needs, found.trained_with) == ("xgboost", ("xgboost",), {"xgboost": "3.2.0"})


def test_xgboosts_binary_json_tells_its_version(tmp_path: Path) -> None:
    (tmp_path / "m.ubj").write_bytes(UBJ)
    assert find_model(tmp_path).trained_with == {"xgboost": "3.2.0"}
    (tmp_path / "m.ubj").write_bytes(UBJ[:-4])
    assert find_model(tmp_path).trained_with == {}


def test_any_other_json_or_text_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"version": "1.0"}')
    (tmp_path / "data.json").write_text("[1, 2]")
    (tmp_path / "requirements.txt").write_text("lightgbm\n")
    with pytest.raises(NotFoundError):
        find_model(tmp_path)


def test_lightgbm_needs_the_systems_openmp(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text(LIGHTGBM)
    found = find_model(tmp_path)
    assert (found.format, found.needs, found.packages) == ("lightgbm", ("lightgbm",), ("libgomp1",))


def test_skops_tells_versions_and_what_its_types_come_from(tmp_path: Path) -> None:
    state = {"_sklearn_version": {"__module__": "builtins", "content": '"1.9.1"'}, "step": {"__module__": "xgboost.s"}}
    schema = {"__module__": "sklearn.pipeline", "content": [state], "_skops_version": "0.16.0"}
    found = read_model(write_skops(tmp_path / "m.skops", schema))
    assert found.needs == ("scikit-learn", "skops", "xgboost")
    assert found.trained_with == {"scikit-learn": "1.9.1", "skops": "0.16.0"}
    state["feature_names_in_"] = {"__module__": "numpy"}
    assert "pandas" in read_model(write_skops(tmp_path / "m.skops", schema)).needs


@pytest.mark.parametrize("schema", ["[" * 100_000, "[]", "{}", "nonsense"])
def test_a_zip_with_another_schema_is_no_skops_model(tmp_path: Path, schema: str) -> None:
    write_skops(tmp_path / "m.skops", schema)
    with pytest.raises(NotFoundError):
        find_model(tmp_path)


def test_models_of_several_formats_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "m.ubj").write_bytes(UBJ)
    (tmp_path / "m.txt").write_text(LIGHTGBM)
    with pytest.raises(ConfigError, match=r"2 models: m\.txt, m\.ubj"):
        find_model(tmp_path)


def test_the_distribution_that_is_installed_is_the_one_that_is_meant() -> None:
    assert chosen("xgboost", {"xgboost-cpu": "3.2.0"}) == "xgboost-cpu"
    assert chosen("xgboost", {"xgboost": "3.2.0"}) == "xgboost"
    assert chosen("xgboost", {}) == "xgboost"
    assert chosen("lightgbm", {"lightgbm": "4"}) == "lightgbm"
