"""Golden files, read by people: what is rendered today is what they hold."""

from __future__ import annotations

import pytest

from unit.deploy.kubernetes.manifests.golden_files import GOLDEN, golden


@pytest.mark.parametrize("name", golden())
def test_what_is_rendered_is_what_was_read_and_found_good(name: str) -> None:
    written = (GOLDEN / f"{name}.yaml").read_text()
    assert golden()[name] == written, "python -m unit.deploy.kubernetes.manifests.golden_files writes it anew"


def test_there_is_no_golden_file_that_nothing_makes() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(golden())
