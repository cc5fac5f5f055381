"""What a project's pipeline is run for, in which zone; and the unit that has systemd see to it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from datetime import UTC
from pathlib import Path

import pytest

from tiffin.api.pipelines.run import Asked
from tiffin.api.pipelines.watch import triggers_of, unit, zone_of
from tiffin.config.pipeline import PipelineSection
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.pipeline.running.means import RunOptions


def project(folder: Path, more: str = 'schedule = "@daily"\n', name: str = "words") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tiffin.toml").write_text(f'name = "{name}"\n[pipeline]\n{more}')
    return folder


def test_a_zone_is_that_of_the_project_of_tz_or_of_the_machine() -> None:
    assert str(zone_of("Europe/Berlin", {"TZ": "UTC"})) == "Europe/Berlin"
    assert str(zone_of("", {"TZ": ":Asia/Kolkata"})) == "Asia/Kolkata"
    assert zone_of("", {}) is not None
    assert triggers_of(PipelineSection(watch=("rows",)), {"TZ": "nonsense"}).zone is UTC


@pytest.mark.parametrize("name", ["Europe/Atlantis", "CET-1CEST,M3.5.0", "../etc/passwd"])
def test_a_zone_that_the_machine_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="this machine knows no time zone") as told:
        zone_of("", {"TZ": name})
    assert told.value.hint
    assert "time-zone" in told.value.hint


def test_a_project_that_is_run_for_nothing_is_refused_and_a_compiled_pipeline_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not say what the pipeline is run for"):
        unit(Asked(what=project(tmp_path, "")))
    with pytest.raises(UnsupportedError, match="is compiled") as told:
        unit(Asked(what=Path("words.yaml")))
    assert told.value.hint == (
        "let cron do it: `0 3 * * * tiffin pipeline run words.yaml`; a project's folder can be watched"
    )


def test_a_unit_begins_the_same_again(tmp_path: Path) -> None:
    folder = project(tmp_path / "50% of $words")
    asked = Asked(what=folder, name="words", arguments=('says="a b"',), cache="", options=RunOptions(jobs=2))
    text = unit(asked, {"TIFFIN_HOME": str(tmp_path / "h"), "TZ": "UTC"})
    start = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    words = shlex.split(start.removeprefix("ExecStart=").replace("%%", "%").replace("$$", "$"))
    assert words[:5] == [sys.executable, "-m", "tiffin", "pipeline", "watch"]
    assert words[5:] == [str(folder), "--name", "words", "--jobs", "2", "--cache", "", "-p", 'says="a b"']
    assert f'Environment="TIFFIN_HOME={tmp_path}/h"' in text.splitlines()
    assert "Restart=on-failure" in text.splitlines()


@pytest.mark.program("systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    path = tmp_path / "tiffin-words.service"
    path.write_text(unit(Asked(what=project(tmp_path / "50% of $words \\ 'a'"), arguments=('a=$b "c" %h',))))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "tiffin-words" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_a_folder_that_no_unit_can_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line break"):
        unit(Asked(what=project(tmp_path / "a\nb")))
