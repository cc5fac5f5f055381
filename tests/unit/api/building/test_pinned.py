"""What `init` proposes to install: lines of the model, versions of the file, versions of the training environment."""

from __future__ import annotations

from pathlib import Path

from tiffin.api.building.initialise import Trained, pinned, propose
from tiffin.models.model import Model

XGBOOST = Model(format="xgboost", path=Path("/p/m.ubj"), needs=("xgboost",), trained_with={"xgboost": "3.1.0"})


def environment(**versions: str) -> Trained:
    return Trained(python="3.11", distributions={name.replace("_", "-"): version for name, version in versions.items()})


def test_the_files_version_is_pinned_under_the_name_that_is_installed() -> None:
    assert pinned(XGBOOST, environment(xgboost_cpu="3.2.0")) == ["xgboost-cpu==3.1.0"]
    assert pinned(XGBOOST, environment()) == ["xgboost==3.1.0"]


def test_what_the_file_does_not_tell_is_pinned_as_installed() -> None:
    model = Model(format="lightgbm", needs=("lightgbm",), requirements=("numpy==2.4.6",))
    assert pinned(model, environment(lightgbm="4.7.0")) == ["numpy==2.4.6", "lightgbm==4.7.0"]
    assert pinned(model, environment()) == ["numpy==2.4.6", "lightgbm"]


def test_a_folder_around_the_file_is_what_tiffin_toml_names() -> None:
    model = Model(format="lightgbm", path=Path("/p/m/a.txt"), source=Path("/p/m"), packages=("libgomp1",))
    proposal = propose(Path("/p"), model, environment())
    assert (proposal.model, proposal.packages) == ("m", ("libgomp1",))
