"""The baseline of the training data goes into the image beside service.json; the data itself does not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tiffin.api.building.baselines import project_baseline
from tiffin.api.building.projects import Checkout
from tiffin.api.machine.home import Home
from tiffin.build.carried import project_text
from tiffin.build.fingerprint import Fingerprints
from tiffin.build.plan import BASELINE, SERVICE, plan_image
from tiffin.build.recipes import Metadata
from tiffin.build.sources import code_of
from tiffin.config.project import ImageSection, ModelSection
from tiffin.errors import ConfigError
from tiffin.models.model import Model
from unit.build.test_plan import ENVIRONMENT, PAYLOAD, PROJECT, SERVER


def texts(baseline: str) -> dict[str, str]:
    payload = msgspec.structs.replace(PAYLOAD, baseline=baseline)
    metadata = plan_image(PROJECT, ENVIRONMENT, SERVER, payload).recipes[-1]
    assert isinstance(metadata, Metadata)
    return metadata.texts


def test_the_service_names_the_baseline_that_is_there() -> None:
    with_one = texts('{"rows": 60}\n')
    assert with_one[BASELINE] == '{"rows": 60}\n'
    assert msgspec.json.decode(with_one[SERVICE])["baseline"] == f"/{BASELINE}"
    without = texts("")
    assert BASELINE not in without
    assert "baseline" not in without[SERVICE]


def checkout(folder: Path, rows: int = 60, *, target: str = "") -> Checkout:
    section = ModelSection(path="model.joblib", training_data="data/train.csv", target=target)
    project = msgspec.structs.replace(PROJECT, model=section, image=ImageSection(include=("**/*",)))
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "train.csv").write_text("x,y\n" + "".join(f"{row},{row % 2}\n" for row in range(rows)))
    return Checkout(folder=folder, file=folder / "tiffin.toml", project=project)


def computed(found: Checkout, home: Home) -> str:
    return project_baseline(found, Fingerprints(home.records("files"), found.folder), home)


def test_it_is_computed_once_for_the_same_data_and_target(tmp_path: Path) -> None:
    home = Home(data=tmp_path / "home", cache=tmp_path / "cache")
    first = computed(checkout(tmp_path), home)
    assert msgspec.json.decode(first)["rows"] == 60
    assert computed(checkout(tmp_path), home) == first
    assert len(list((tmp_path / "cache" / "records" / "baselines").glob("?" * 64))) == 1
    assert computed(checkout(tmp_path, target="y"), home) != first
    assert msgspec.json.decode(computed(checkout(tmp_path, 70), home))["rows"] == 70


def test_a_path_that_leads_nowhere_is_refused_with_its_place(tmp_path: Path) -> None:
    found = checkout(tmp_path)
    (tmp_path / "data" / "train.csv").unlink()
    with pytest.raises(ConfigError, match=r"no training data at .*train\.csv - at `\$\.model\.training-data`"):
        computed(found, Home(data=tmp_path / "home", cache=tmp_path / "cache"))


def test_the_data_is_no_code_and_its_folder_is_nobodys_business(tmp_path: Path) -> None:
    found = checkout(tmp_path)
    (tmp_path / "data" / "more.csv").write_text("")
    packed = code_of(tmp_path, found.project, Model(format="python"))
    assert [name for name in packed if name.endswith(".csv")] == ["app/data/more.csv"]
    assert '"training-data": "train.csv"' in project_text(found.project)
    assert found.training_data in found.no_source
