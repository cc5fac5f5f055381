"""The code of a step lies in a folder of its own, which costs a file; it is found once, and by what it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tiffin.build.fingerprint import Fingerprints
from tiffin.pipeline.benches.code import SECONDS_1980, Code, keep_code
from tiffin.pipeline.benches.slices import slice_of
from tiffin.pipeline.benches.step_code import StepCode, all_of_it, step_code
from tiffin.store.records import Records

STEPS = """from tiffin_pipeline import pipeline, step


@step
def one() -> int:
    return 1


@step
def two() -> int:
    raise ValueError


@pipeline
def both():
    one()
    two()
"""


class Project:
    """A folder with steps and a table, whose code is kept as it is now."""

    def __init__(self, folder: Path) -> None:
        self.here, self.above, self.records = folder / "project", folder / "code", Records(folder / "records")
        (self.here / "rows").mkdir(parents=True)
        self.write("pipeline.py", STEPS)
        self.write("rows/table.csv", "a,b\n")

    def write(self, name: str, text: str) -> None:
        (self.here / name).write_text(text)

    def code(self) -> Code:
        sources = {str(path.relative_to(self.here)): path for path in self.here.rglob("*.*")}
        return keep_code(Fingerprints(self.records, self.here).files(sources), sources, self.above)

    def of(self, function: str) -> StepCode:
        return step_code(self.records, self.code(), "pipeline", function)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_it_has_every_file_and_one_of_them_is_shorter(project: Project) -> None:
    whole, own = project.code(), project.of("two")
    assert (own.code.path / "pipeline.py").read_text() == (
        "from tiffin_pipeline import step\n@step\ndef two() -> int:\n    raise ValueError\n"
    )
    assert (own.code.path / "rows/table.csv").samefile(whole.path / "rows/table.csv")
    assert own.code.digest not in {whole.digest, project.of("one").code.digest}
    for name in ("", "rows", "pipeline.py"):
        assert (own.code.path / name).stat().st_mode == (whole.path / name).stat().st_mode
    assert (own.code.path / "pipeline.py").stat().st_mtime == SECONDS_1980


def test_what_is_mounted_is_what_it_is_known_by(project: Project) -> None:
    own = project.of("one").code
    (project.above.parent / "again").mkdir()
    sources = {str(path.relative_to(own.path)): path for path in own.path.rglob("*.*")}
    files = Fingerprints(Records(project.above.parent / "others"), own.path).files(sources)
    assert keep_code(files, sources, project.above.parent / "again").digest == own.digest


def test_an_edit_of_what_it_cannot_reach_leads_to_the_same(project: Project) -> None:
    before = {name: project.of(name).code.digest for name in ("one", "two")}
    project.write("pipeline.py", STEPS.replace("    return 1", "    # one\n    return 1").replace("    two()\n", ""))
    assert project.of("two").code.digest == before["two"]
    assert project.of("one").code.digest != before["one"]
    project.write("rows/table.csv", "a,c\n")
    assert project.of("two").code.digest != before["two"]


def test_what_was_found_is_remembered_until_it_is_gone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    own = project.of("one")
    looked = []
    monkeypatch.setattr("tiffin.pipeline.benches.slices.slice_of", lambda *of: looked.append(of[2]) or slice_of(*of))
    again = project.of("one")
    assert (again.code.digest, again.code.path, again.file, again.lines) == (
        own.code.digest,
        own.code.path,
        own.file,
        own.lines,
    )
    assert not looked
    shutil.rmtree(own.code.path)
    assert project.of("one").code.path.is_dir()
    assert looked == ["one"]


def test_a_step_that_may_look_at_everything_is_known_by_everything(project: Project) -> None:
    project.write("pipeline.py", STEPS.replace("return 1", "return len(globals())"))
    for _ in range(2):
        assert project.of("one") == all_of_it(project.code(), "pipeline", "one")
    assert project.of("two").code.digest != project.code().digest


def test_lines_that_a_step_writes_have_the_numbers_of_the_file(project: Project) -> None:
    own = project.of("two")
    raised = '  File "/pipeline/pipeline.py", line 4, in two'
    assert own.as_written(raised, "/pipeline") == '  File "/pipeline/pipeline.py", line 11, in two'
    assert (
        own.as_written("/pipeline/pipeline.py:3: UserWarning", "/pipeline") == "/pipeline/pipeline.py:10: UserWarning"
    )
    for other in ("line 4", '  File "/pipeline/other.py", line 4', '  File "/pipeline/pipeline.py", line 40', ""):
        assert own.as_written(other, "/pipeline") == other
    assert all_of_it(project.code(), "pipeline", "two").as_written(raised, "/pipeline") == raised
