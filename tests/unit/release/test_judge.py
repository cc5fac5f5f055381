"""What is wrong with an image as a whole, which findings are accepted, which end a release; and answers compared."""

from __future__ import annotations

from typing import Any

import pytest

from tiffin.config.release import AllowSection
from tiffin.release.answers import difference, is_tensors
from tiffin.release.judge import image_findings, judged, refused, summary
from tiffin.release.result import Finding, Level
from tiffin.release.rules import RULES, found

ERROR, WARNING = found("private-key", "a", path="app/a.py"), found("setuid", "b", path="bin/su")


@pytest.mark.parametrize("user", ["", "0", "root", "0:0", "root:65532"])
def test_an_image_that_runs_as_root_is_told(user: str) -> None:
    assert "root-user" in {one.rule for one in image_findings(user, None, None)}


def test_an_image_of_a_user_that_says_nothing_of_itself_has_no_bill_of_materials() -> None:
    assert [one.rule for one in image_findings("65532:65532", None, None)] == ["no-bill-of-materials"]


def test_the_worst_comes_first_and_what_is_accepted_says_why() -> None:
    allow = (AllowSection(rule="private-key", reason="a test's", path="app/*"),)
    told = judged([WARNING, ERROR], allow)
    assert [one.rule for one in told] == ["private-key", "setuid"]
    assert [one.accepted for one in told] == ["a test's", ""]
    assert judged([ERROR], (AllowSection(rule="private-key", reason="x", path="srv/*"),))[0].accepted == ""


@pytest.mark.parametrize(("fail_on", "expected"), [("error", 1), ("warning", 2), ("never", 0)])
def test_findings_of_a_level_end_a_release(fail_on: str, expected: int) -> None:
    assert len(refused((ERROR, WARNING), fail_on)) == expected
    accepted = judged([ERROR, WARNING], (AllowSection(rule="private-key", reason="x"),))
    assert len(refused(accepted, fail_on)) == max(expected - 1, 0)


def test_findings_are_summed_up_in_words() -> None:
    assert summary(()) == "nothing found"
    assert summary((ERROR, WARNING, WARNING)) == "1 error, 2 warnings"
    assert summary(judged([ERROR], (AllowSection(rule="private-key", reason="x"),))) == "1 accepted"


def test_every_rule_says_what_it_is_about_and_what_mends_it() -> None:
    for name, rule in RULES.items():
        assert rule.id == name
        assert rule.about.endswith(".")
        assert rule.hint
    assert isinstance(found("setuid", "x"), Finding)
    assert found("setuid", "x").level is Level.WARNING


@pytest.mark.parametrize(
    ("expected", "got", "told"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, ""),
        ({"a": 1.0}, {"a": 1.000001}, ""),
        ({"a": 1.0}, {"a": 1.1}, "$.a is 1.1, and 1.0 is expected"),
        ([1, 2], [1], "$ has 1 values, and 2 are expected"),
        ({"a": [{"b": "x"}]}, {"a": [{"b": "y"}]}, "$.a[0].b is 'y', and 'x' is expected"),
        ({"a": None}, {}, "$.a is missing"),
        (True, 1, "$ is 1, and True is expected"),
        (float("nan"), 1.0, "$ is 1.0, and nan is expected"),
        (1000.0, 1000.005, ""),
    ],
)
def test_an_answer_is_compared_as_the_server_compares_it(expected: Any, got: Any, told: str) -> None:
    assert difference(expected, got, 1e-5) == told


def test_tensors_are_told_from_rows() -> None:
    assert is_tensors({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1]}]})
    assert not is_tensors([[1, 2]])
    assert not is_tensors({"inputs": []})
    assert not is_tensors({"rows": [[1]]})
