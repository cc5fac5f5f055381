"""A prune beside builds and runs takes nothing that they need; afterwards it takes everything that nobody does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from end_to_end.small import Downloads, check_store, environment, left_over, run_tiffin, tiffin, write_project
from tiffin.packages.lock import FILENAME


def beside_prunes(home: Path, *words: object) -> None:
    """Do something, and prune again and again until it is done."""
    busy = subprocess.Popen(
        [sys.executable, "-m", "tiffin", *map(str, words)],
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    prunes = 0
    while busy.poll() is None or not prunes:
        prunes += 1
        tiffin(home, "prune")
    _, said = busy.communicate()
    assert busy.returncode == 0, said


def answers(home: Path) -> bool:
    return tiffin(home, "predict", "a", '["a b", "c"]') == '{"predictions":[2,1]}'


def test_builds_and_runs_beside_prunes_end_as_if_there_were_none(downloads: Downloads, tmp_path: Path) -> None:
    home, project = downloads.copy(tmp_path / "home"), write_project(tmp_path / "project")
    shutil.copy(downloads.lock, project / FILENAME)
    for words in (("build", project), ("build", project, "-t", "again"), ("run", "small", "-d", "--name", "a")):
        beside_prunes(home, *words)
        assert set(check_store(home).values()) == {downloads.digest}
    try:
        assert answers(home)
        assert "is what the container a runs" in run_tiffin(home, "rmi", "small", "again").stderr
        assert tiffin(home, "rmi", "again") == f"again@{downloads.digest}"
        before = set((home / "data" / "unpacked").iterdir())
        tiffin(home, "prune")
        assert set((home / "data" / "unpacked").iterdir()) == before
        tiffin(home, "restart", "a")
        assert answers(home)
    finally:
        tiffin(home, "rm", "-f", "a")
    tiffin(home, "rmi", "small")
    assert_all_goes(home)
    assert tiffin(home, "build", project) == f"small@{downloads.digest}", "downloads make it again"


def assert_all_goes(home: Path) -> None:
    """Assert that a prune does what its plan says, and leaves nothing."""
    plan = json.loads(tiffin(home, "prune", "--plan", "--json"))
    freed = json.loads(tiffin(home, "prune", "--json"))
    assert freed["size"] == plan["size"] > 0
    assert not list((home / "data" / "blobs" / "sha256").iterdir())
    assert not list((home / "data" / "unpacked").iterdir())
    assert left_over(home / "data", home / "cache") == []
