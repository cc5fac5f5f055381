"""What CI systems read of a release: JUnit's XML and SARIF, whatever is in the messages."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import IntegrityError
from tiffin.oci.digest import Digest
from tiffin.release.junit import junit
from tiffin.release.result import Case, Finding, Level, Outcome, Release, State
from tiffin.release.sarif import read_sarif, sarif

FOUND = (
    Finding(rule="private-key", level=Level.ERROR, message="app/a b.py has a key", layer="code", path="app/a b.py"),
    Finding(rule="setuid", level=Level.WARNING, message="bin/su", path="bin/su", accepted="it is Debian's"),
    Finding(rule="CVE-2026-1", level=Level.NOTE, message="old", tool="grype"),
)


def release(*steps: Outcome) -> Release:
    return Release(name="iris", plan=Digest.of(b""), image=None, reference="", steps=steps)


def suite_of(text: str) -> ET.Element:
    found = ET.fromstring(text).find("testsuite")  # noqa: S314 - written by what is tested
    assert found is not None
    return found


def test_each_step_and_each_check_is_a_case() -> None:
    steps = (
        Outcome(name="build", state=State.DONE, message="iris@sha256", seconds=1.5),
        Outcome(
            name="test",
            state=State.FAILED,
            message="wrong",
            hint="mend",
            cases=(Case(name="a"), Case(name="b", wrong="no")),
        ),
        Outcome(name="push", state=State.NOT_REACHED),
        Outcome(name="sign", state=State.LEFT_OUT, message="no key"),
        Outcome(name="deploy-x", state=State.WAITING, message="waits"),
    )
    suite = suite_of(junit(release(*steps)))
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["7", "2", "0", "3"]
    kinds = {case.get("name"): [child.tag for child in case] for case in suite}
    assert kinds == {
        "build": ["system-out"], "test": ["failure"], "a": [], "b": ["failure"],
        "push": ["skipped"], "sign": ["skipped"], "deploy-x": ["skipped"],
    }  # fmt: skip


@given(st.text(), st.text(), st.text())
def test_whatever_a_message_says_the_xml_can_be_read(message: str, name: str, wrong: str) -> None:
    step = Outcome(name="test", state=State.FAILED, message=message, cases=(Case(name=name, wrong=wrong),))
    suite = suite_of(junit(release(step)))
    assert len(suite) == int(str(suite.get("tests")))


def test_findings_become_results_of_the_tool_that_found_them() -> None:
    document = json.loads(sarif("iris", FOUND))
    assert [run["tool"]["driver"]["name"] for run in document["runs"]] == ["tiffin", "grype"]
    key, setuid = document["runs"][0]["results"]
    assert key["level"] == "error"
    assert key["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "app/a%20b.py"
    assert key["locations"][0]["logicalLocations"] == [{"name": "code", "kind": "module"}]
    assert setuid["suppressions"] == [{"kind": "external", "justification": "it is Debian's"}]
    rules = document["runs"][0]["tool"]["driver"]["rules"]
    assert [rules[one["ruleIndex"]]["id"] for one in (key, setuid)] == ["private-key", "setuid"]
    assert document["runs"][1]["results"][0]["locations"], "code scanning wants a place for each result"
    for run in document["runs"]:
        fingerprints = [one["partialFingerprints"]["tiffin/v1"] for one in run["results"]]
        assert len(set(fingerprints)) == len(fingerprints)


def test_an_image_without_findings_is_one_that_was_looked_at() -> None:
    [run] = json.loads(sarif("iris", ()))["runs"]
    assert (run["results"], run["invocations"]) == ([], [{"executionSuccessful": True}])
    [unlooked] = json.loads(sarif("iris", (), looked=False))["runs"]
    assert unlooked["invocations"] == [{"executionSuccessful": False}]


def test_what_another_scanner_wrote_is_read_with_the_level_of_its_rule() -> None:
    rules = [
        {"id": "CVE-1", "helpUri": "https://cve.example/1", "defaultConfiguration": {"level": "error"}},
        {"id": "CVE-2"},
    ]
    place = {"physicalLocation": {"artifactLocation": {"uri": "opt/venv"}}}
    results: list[dict[str, Any]] = [
        {"ruleId": "CVE-1", "message": {"text": "bad"}, "locations": [place]},
        {"ruleId": "CVE-2", "message": {"text": "less"}},
        {"ruleId": "CVE-2", "level": "note", "message": {"text": "least"}},
    ]
    text = json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"rules": rules}}, "results": results}]})
    found = read_sarif(text.encode(), "grype")
    assert [(one.rule, one.level, one.path) for one in found] == [
        ("CVE-1", Level.ERROR, "opt/venv"),
        ("CVE-2", Level.WARNING, ""),
        ("CVE-2", Level.NOTE, ""),
    ]
    assert found[0].hint == "https://cve.example/1"
    assert read_sarif(sarif("iris", FOUND[:1]).encode(), "tiffin")[0].rule == "private-key"


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"runs": [{}]}', b'{"runs": [{"tool": 1}]}', b"\xff"])
def test_what_is_no_sarif_is_refused(text: bytes) -> None:
    with pytest.raises(IntegrityError, match="no SARIF"):
        read_sarif(text, "grype")
