"""What `[[data]]` and `[model] gpu` may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tiffin.config.project import DataSection
from tiffin.config.read import read_project
from tiffin.errors import ConfigError

GOOD = 'name = "iris"\n[model]\npath = "model.joblib"\n'


def read(folder: Path, text: str) -> tuple[DataSection, ...]:
    (folder / "tiffin.toml").write_text(GOOD + text)
    return read_project(folder)[1].data


def data(name: str = "features", path: str = "/data", more: str = "") -> str:
    return f'[[data]]\nname = "{name}"\npath = "{path}"\n{more}\n'


def test_data_is_read_only_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert read(tmp_path, data() + data("out", "/app/out", "write = true")) == (
        DataSection(name="features", path="/data"),
        DataSection(name="out", path="/app/out", write=True),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (data(more="writ = true"), "unknown field `writ` - at `$.data[0]`"),
        ('[[data]]\nname = "a"', "missing required field `path` - at `$.data[0]`"),
        (data("Features!"), "`name` takes lower-case letters, digits and . _ - - at `$.data[0].name`"),
        (data() + data(path="/other"), "the name 'features' is there twice - at `$.data[1].name`"),
        (data(path="data"), "'data' is not an absolute path in its shortest form - at `$.data[0].path`"),
        (data(path="/data/"), "'/data/' is not an absolute path in its shortest form"),
        (data(path="/a/../b"), "is not an absolute path in its shortest form"),
        (data(path="/"), "'/' would hide what is in the image"),
        (data(path="/app"), "'/app' would hide what is in the image"),
        (data(path="/opt"), "'/opt' would hide what is in the image"),
        (data(path="/proc/x"), "'/proc/x' is the kernel's"),
        (data() + data("deep", "/data/deep"), "'/data/deep' and '/data' lie in each other - at `$.data[1].path`"),
        ('gpu = "maybe"', "Invalid enum value 'maybe' - at `$.model.gpu`"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        read(tmp_path, text)


def test_an_unknown_key_of_data_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, data(more="writ = true"))
    assert caught.value.hint == "did you mean `write`? [data] may have name, path, write"
