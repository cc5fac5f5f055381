"""Requirements can be pinned from the environment where the model was trained."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tiffin.errors import NotFoundError
from tiffin.packages.pypi.installed import installed, pinned
from wheelhouse import wheel


def test_the_versions_of_a_site_packages_folder_are_found(tmp_path: Path) -> None:
    for made in (wheel("Some-Thing", "1.2"), wheel("torch", "2.13.0+cpu")):
        with zipfile.ZipFile(made.into(tmp_path)) as archive:
            archive.extractall(tmp_path / "site-packages")
    (tmp_path / "site-packages" / "broken-1.0.dist-info").mkdir()
    assert installed(tmp_path / "site-packages") == {"some-thing": "1.2", "torch": "2.13.0+cpu"}


def test_named_packages_are_pinned_to_what_is_installed() -> None:
    versions = {"scikit-learn": "1.9.1", "numpy": "2.4.6", "pip": "26"}
    assert pinned(["Scikit_Learn", "numpy", "numpy"], versions) == ["numpy==2.4.6", "scikit-learn==1.9.1"]


def test_what_is_not_installed_is_named() -> None:
    with pytest.raises(NotFoundError, match="not installed here: pandas, xgboost"):
        pinned(["xgboost", "numpy", "pandas"], {"numpy": "2"})


def test_an_empty_folder_has_nothing(tmp_path: Path) -> None:
    assert installed(tmp_path) == {}
