"""A benchmark's project: a change changes one thing, and another project shares the lock."""

import tomllib
from pathlib import Path

from benchmarks.project import LOCK, PINS, Answers, Project

LOCKED = """\
[[packages]]
name = "demo"
version = "1.0"
wheels = [{ path = "demo-1.0-py3-none-any.whl", size = 3, hashes = { sha256 = "abc" } }]
"""


def project(folder: Path) -> Project:
    made = Project(folder / "flowers", folder / "python", ["demo==1.0"]).write()
    (made.folder / LOCK).write_text(LOCKED)
    for number in range(2):
        (made.folder / f"trained-{number}.joblib").write_text(f"model {number}")
    made.use(0)
    made.pin()
    return made


def test_pins_are_written_for_pip_from_the_lock(tmp_path: Path) -> None:
    made = project(tmp_path)
    assert (made.folder / PINS).read_text() == "demo==1.0\n"
    assert made.pin()[0].filename == "demo-1.0-py3-none-any.whl"


def test_an_edit_changes_one_line(tmp_path: Path) -> None:
    made = project(tmp_path)
    before = (made.folder / "features.py").read_text().splitlines()
    made.edit()
    after = (made.folder / "features.py").read_text().splitlines()
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_another_project_has_the_same_lock_and_a_name_model_and_code_of_its_own(tmp_path: Path) -> None:
    made = project(tmp_path)
    other = made.copy("other")
    assert tomllib.loads((other.folder / "tiffin.toml").read_text())["name"] == "other"
    assert (other.folder / LOCK).read_text() == LOCKED
    assert (other.folder / "model.joblib").read_text() == "model 1"
    assert (other.folder / "features.py").read_text() != (made.folder / "features.py").read_text()


def test_answers_are_equal_when_classes_are_and_probabilities_nearly() -> None:
    answers = Answers([1], [[0.25, 0.75]])
    assert answers.equal({"predictions": [1], "probabilities": [[0.25, 0.7500000001]]})
    assert not answers.equal({"predictions": [0], "probabilities": [[0.25, 0.75]]})
    assert not answers.equal({"predictions": [1], "probabilities": [[0.5, 0.5]]})
