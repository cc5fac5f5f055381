"""What a relay takes for a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tiffin_serve.relay.table import Probe, TableError, Upstream, parse, read

GOOD: dict[str, Any] = {
    "service": "web",
    "salt": "of a front",
    "revisions": {
        "3": {
            "weight": 90,
            "state": "open",
            "folder": "3",
            "drain_seconds": 2,
            "probe": {"ready": "/up"},
            "upstreams": {"web-3-a": {"host": "127.0.0.1", "port": 40000, "pid": 7, "inner": 80}},
        }
    },
}


def test_a_table_is_read_and_what_is_for_fronts_of_models_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text(json.dumps(GOOD))
    revision = read(tmp_path / "table.json").revisions["3"]
    assert (revision.weight, revision.drain_seconds) == (90.0, 2.0)
    assert revision.probe == Probe(ready="/up")
    assert revision.upstreams == {"web-3-a": Upstream(host="127.0.0.1", port=40000, pid=7, inner=80)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"service": 3}, "service of the table is no text"),
        ({"revisions": []}, "revisions is no object"),
        ({"revisions": {"3": {"state": "ajar"}}}, "revisions.3.state is one of open, closing, asleep"),
        ({"revisions": {"3": {"weight": "much"}}}, "weight of revisions.3 is no number"),
        ({"revisions": {"3": {"upstreams": {"a": {"port": 1}}}}}, "host of revisions.3.upstreams.a is no text"),
        ({"queue": -1}, "queue of the table is no number"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(TableError, match=said):
        parse(GOOD | change)


def test_a_file_that_is_no_json_is_said_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text("{")
    with pytest.raises(TableError, match=r"table\.json"):
        read(tmp_path / "table.json")
