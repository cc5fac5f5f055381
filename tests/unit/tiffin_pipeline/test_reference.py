"""The code of docs/reference/pipeline.md is a file of pipelines that can be run."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from tiffin.pipeline.graph import Graph
from tiffin.pipeline.meaning.check import check
from tiffin_pipeline import Pipeline, __all__
from unit.tiffin_pipeline.writing import module_of

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "pipeline.md").read_text()
CODE = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return module_of(CODE, tmp_path_factory.mktemp("page"))


@pytest.mark.parametrize("name", re.findall(r"^@pipeline\ndef (\w+)", CODE, re.MULTILINE))
def test_a_pipeline_of_the_page_can_be_run(name: str, page: ModuleType) -> None:
    written: Pipeline = getattr(page, name)
    check(msgspec.convert(written.trace(), Graph))


def test_steps_of_the_page_run(page: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b\n1,2\n3,4\n")
    page.fit(rows, model=tmp_path / "model.pkl")
    assert page.score(tmp_path / "model.pkl", rows, tmp_path / "scores.json") == 0.97
    assert (tmp_path / "scores.json").read_text() == '{\n "accuracy": 0.97\n}\n'
    assert page.describe(rows, [rows]) == (3, [str(rows)])
    assert page.depths(rows) == [{"depth": 2}, {"depth": 3}]
    page.choose([tmp_path / "model.pkl", rows], [0.1, 0.2], tmp_path / "best")
    assert (tmp_path / "best").read_text() == rows.read_text()


def test_the_error_of_the_page_is_what_is_said(page: ModuleType, tmp_path: Path) -> None:
    said = re.search(r"```text\npipeline.py:\d+: (.*)\nhint: (.*)\n```", PAGE)
    assert said
    wrong = CODE.replace("score(fitted.model, parts.test).output", "fit(fitted.model)")
    with pytest.raises(Exception, match="which is a Model") as raised:
        module_of(wrong, tmp_path).train.trace()
    assert (raised.value.message, raised.value.hint) == said.groups()  # type: ignore[attr-defined]
    assert page


def test_everything_that_is_exported_is_on_the_page() -> None:
    unsaid = {"Call", "Pipeline", "PipelineError", "Step"}  # what users see, and do not write
    assert [name for name in __all__ if not re.search(rf"\b{name}\b", PAGE) and name not in unsaid] == []
