"""Models of deep learning frameworks are recognised by what their files and folders hold; none is ever loaded."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tiffin.errors import ConfigError, NotFoundError, UnsupportedError
from tiffin.models.detect import find_model, read_model

SCRIPT = ("m/data.pkl", "m/code/__torch__.py", "m/constants.pkl", "m/version")
EXPORTED = ("m/models/model.json", "m/data/weights/weight_0", "m/archive_format")
STATE = ("m/data.pkl", "m/data/0", "m/version")


def write_zip(path: Path, names: tuple[str, ...], text: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, text)
    return path


def write_folder(path: Path, **more: object) -> Path:
    path.mkdir()
    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], **more}
    (path / "config.json").write_text(json.dumps(config))
    (path / "model.safetensors").write_bytes(safetensors())
    (path / "tokenizer.json").write_text("{}")
    return path


def safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    ("file", "names", "format_"),
    [("m.pt", SCRIPT, "torchscript"), ("m.pth", SCRIPT, "torchscript"), ("m.pt2", EXPORTED, "torch-export")],
)
def test_a_file_of_torch_that_has_its_program_is_a_model(
    tmp_path: Path, file: str, names: tuple[str, ...], format_: str
) -> None:
    found = read_model(write_zip(tmp_path / file, names))
    assert (found.format, found.needs) == (format_, ("numpy", "torch"))


def test_weights_without_a_program_are_refused_with_a_way_out(tmp_path: Path) -> None:
    write_zip(tmp_path / "m.pt", STATE)
    with pytest.raises(UnsupportedError, match=r"m\.pt is of `torch\.save`") as caught:
        find_model(tmp_path)
    assert "predict:Predictor" in str(caught.value.hint)
    (tmp_path / "m.pt").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(UnsupportedError, match="without the program"):
        read_model(tmp_path / "m.pt")
    (tmp_path / "m.safetensors").write_bytes(safetensors())
    with pytest.raises(UnsupportedError, match="weights only"):
        read_model(tmp_path / "m.safetensors")


def test_what_is_no_such_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_text("hello")
    (tmp_path / "m.safetensors").write_text("hello")
    (tmp_path / "m.keras").write_bytes(b"PK\x03\x04 cut off")
    write_zip(tmp_path / "n.keras", ("metadata.json",), '{"keras_version": "x"}')
    with pytest.raises(NotFoundError):
        find_model(tmp_path)


def test_a_transformers_folder_is_one_model_whatever_lies_in_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m")
    write_zip(folder / "also.pt", SCRIPT)
    found = find_model(tmp_path)
    assert (found.format, found.path, found.needs) == ("transformers", folder, ("torch", "transformers"))
    assert find_model(folder).path == folder


def test_a_folder_that_is_the_project_as_well_keeps_tiffins_files_out_of_the_weights(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m")
    (folder / "tiffin.toml").touch()
    (folder / "pylock.tiffin.toml").touch()
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").touch()
    assert {path.name for path in read_model(folder).files} == {"config.json", "model.safetensors", "tokenizer.json"}


@pytest.mark.parametrize(
    ("more", "missing", "told"),
    [
        ({"auto_map": {"AutoModel": "own.Model"}}, "", "code of its own"),
        ({"architectures": ["ViTForImageClassification"]}, "", "ViTForImageClassification is not served"),
        ({}, "model.safetensors", "no weights as safetensors"),
        ({}, "tokenizer.json", "no tokenizer"),
    ],
)
def test_a_transformers_folder_that_cannot_be_served_says_why(
    tmp_path: Path, more: dict[str, object], missing: str, told: str
) -> None:
    folder = write_folder(tmp_path / "m", **more)
    if missing:
        (folder / missing).unlink()
    with pytest.raises(UnsupportedError, match=told):
        find_model(tmp_path)


def test_a_configuration_of_something_else_is_no_model(tmp_path: Path) -> None:
    for text in ('{"name": "app"}', '{"model_type": "bert"}', "[1]", "{"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(NotFoundError):
            find_model(tmp_path)


def test_keras_and_saved_models_are_recognised(tmp_path: Path) -> None:
    write_zip(tmp_path / "m.keras", ("metadata.json",), '{"keras_version": "3.15.1"}')
    found = find_model(tmp_path)
    assert (found.format, found.needs, found.trained_with) == (
        "keras",
        ("keras", "tensorflow"),
        {"keras": "3.15.1"},
    )
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    (tmp_path / "saved" / "variables" / "variables.index").touch()
    assert len(read_model(tmp_path / "saved").files) == 2
    with pytest.raises(ConfigError, match=r"2 models: m\.keras, saved"):
        find_model(tmp_path)
