"""Every example is trained, packed and asked in a container; the answer is that of the training process."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.journey import travel


@pytest.mark.parametrize("example", ["xgboost", "lightgbm", "skops"])
@pytest.mark.xdist_group("scripts")
def test_a_native_file_answers_as_its_training_process(example: str, tmp_path: Path, home: Path) -> None:
    pytest.importorskip(example, reason=f"needs {example}")
    travel(example, tmp_path, home)
