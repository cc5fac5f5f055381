from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tiffin.packages.debian.relations import Relation
from tiffin.packages.debian.version import version_key

ORDERED = ["0~~", "0~~a", "0~", "0", "0a", "0+", "1.0~rc1", "1.0", "1.0-1~bpo1", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.9"]
ORDERED += ["1.10", "1.10a", "1:0", "2:0~1"]

texts = st.text("019.~+abZ-", min_size=0, max_size=8)
versions = st.builds(
    lambda epoch, upstream, revision: f"{epoch}{upstream}{revision}",
    st.sampled_from(["", "", "0:", "1:"]),
    texts.map("0{}".format),
    st.sampled_from(["", "-1", "-0", "-1~", "-1+b2"]),
)


@pytest.mark.parametrize(("older", "newer"), list(itertools.pairwise(ORDERED)))
def test_versions_sort_as_policy_says(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)


@pytest.mark.parametrize(
    ("one", "other"), [("1.0", "1.0-0"), ("0:1", "1"), ("1.00", "1.0"), ("1.", "1.0"), ("01", "1")]
)
def test_versions_written_differently_are_equal(one: str, other: str) -> None:
    assert version_key(one) == version_key(other)


@given(versions, versions, versions)
def test_the_order_is_total(a: str, b: str, c: str) -> None:
    first, second, third = sorted([version_key(a), version_key(b), version_key(c)])
    assert first <= second <= third
    assert first <= third


@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg")
@settings(max_examples=150, deadline=None)
@given(versions, versions, st.sampled_from(["<<", "<=", "=", ">=", ">>"]))
def test_versions_compare_as_in_dpkg(a: str, b: str, operator: str) -> None:
    word = {"<<": "lt", "<=": "le", "=": "eq", ">=": "ge", ">>": "gt"}[operator]
    dpkg = subprocess.run(["dpkg", "--compare-versions", a, word, b], check=False, capture_output=True)
    assume(b"bad syntax" not in dpkg.stderr)
    assert Relation(name="x", operator=operator, version=b).allows(a) is (dpkg.returncode == 0)
