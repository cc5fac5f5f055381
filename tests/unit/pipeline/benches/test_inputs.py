"""What a step outside a container reads is its own, unless it is the user's."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event

import pytest

from contract.workbench_fixtures import native_case, shell
from tiffin.pipeline.benches.inputs import copy_file
from tiffin.pipeline.workbench import Ended
from unit.pipeline.made_orders import DOCUMENT, Content, folder_of, kept_in, make_order

SPOIL = shell(
    "spoil",
    'for file in $(find -L "$text" -type f); do chmod u+w "$file"; echo spoilt > "$file"; done;'
    ' echo > "$out"; echo 1 > "$length"',
)


@pytest.mark.parametrize("model", [b"weights", folder_of(weights=b"weights")])
def test_a_step_that_writes_to_its_input_spoils_nothing_that_is_kept(tmp_path: Path, model: Content) -> None:
    results, case = kept_in(tmp_path), native_case(tmp_path)
    kept = results.keep(DOCUMENT, make_order(tmp_path / "left", model=model), Ended(), 1)
    given = results.take(kept.artifacts["model"])
    ended, _ = case.do(case.order(SPOIL, given))
    assert (ended.exit_code, ended.reason) == (0, "")
    assert results.find(kept.key) == kept
    whole = given.path / "weights" if given.folder else given.path
    assert whole.read_bytes() == b"weights"


def test_what_the_user_has_is_read_where_it_lies(tmp_path: Path) -> None:
    case = native_case(tmp_path)
    given = case.input("text")
    order = case.order(shell("where", 'readlink -f "$text" > "$out"; echo 1 > "$length"'), given)
    case.bench.do(order, lambda _: None, Event())
    assert (order.folder / "artifacts/out").read_text() == f"{given.path}\n"


@pytest.mark.parametrize("above", [Path("/dev/shm"), None], ids=["from another file system", "from this one"])
def test_a_copy_has_the_bytes_and_can_be_run_as_before_and_not_be_written(tmp_path: Path, above: Path | None) -> None:
    source, target = (above or tmp_path) / f"source-{os.getpid()}", tmp_path / "target"
    source.write_bytes(b"#!/bin/sh\n" * 100_000)
    source.chmod(0o755)
    try:
        copy_file(source, target)
        assert target.read_bytes() == source.read_bytes()
        assert target.stat().st_mode & 0o777 == 0o555
        assert target.stat().st_ino != source.stat().st_ino
    finally:
        source.unlink()
