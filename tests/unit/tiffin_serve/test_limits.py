"""What a container may have: threads from its processors, and kills for memory told apart from crashes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiffin_serve.front.workers.memory import MemoryWatch, find
from tiffin_serve.worker import threads

BOTH = "9:name=systemd:/\n4:memory:/box/one\n1:cpu,cpuacct:/box/one\n0::/box/one\n"
VERSION_2 = "0::/box/one\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("inside", ["", "box/one"], ids=["mounted as the root", "below"])
@pytest.mark.parametrize(
    ("own", "folder", "events", "limit"),
    [(BOTH, "memory", "memory.oom_control", "memory.limit_in_bytes"), (VERSION_2, "", "memory.events", "memory.max")],
    ids=["version 1", "version 2"],
)
def test_a_kill_for_memory_is_seen_once_and_the_limit_named(
    tmp_path: Path, own: str, folder: str, events: str, limit: str, inside: str
) -> None:
    group = tmp_path / folder / inside
    write(group / events, "low 0\noom_kill 3\noom_group_kill 0\n")
    write(group / limit, f"{512 << 20}\n")
    watch = MemoryWatch(find(own, tmp_path))
    assert not watch.has_killed()
    write(group / events, "low 0\noom_kill 4\noom_group_kill 0\n")
    assert [watch.has_killed(), watch.has_killed()] == [True, False]
    assert watch.limit == "the limit of 512 MiB"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max", ""),
        ("9223372036854771712", ""),
        (str(3 << 29), "the limit of 1.5 GiB"),
        ("", ""),
        ("4096", "the limit of 4 KiB"),
    ],
)
def test_a_limit_is_said_as_people_say_it(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path / "memory.events", "")
    write(tmp_path / "memory.max", text)
    assert MemoryWatch(find(VERSION_2, tmp_path)).limit == said


def test_without_groups_nothing_is_known(tmp_path: Path) -> None:
    watch = MemoryWatch(find("", tmp_path))
    assert (watch.has_killed(), watch.limit) == (False, "")


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        (VERSION_2, {"cpu.max": "150000 100000\n"}, 1.5),
        (VERSION_2, {"box/one/cpu.max": "50000 100000\n", "cpu.max": "max 100000\n"}, 0.5),
        (VERSION_2, {"cpu.max": "max 100000\n"}, None),
        (BOTH, {"cpu/box/one/cpu.cfs_quota_us": "200000\n", "cpu/box/one/cpu.cfs_period_us": "100000\n"}, 2.0),
        (BOTH, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("", {}, None),
    ],
)
def test_the_processors_of_a_group_are_read(
    tmp_path: Path, own: str, files: dict[str, str], quota: float | None
) -> None:
    for name, text in files.items():
        write(tmp_path / "groups" / name, text)
    write(tmp_path / "own", own)
    assert threads.quota(tmp_path / "groups", tmp_path / "own") == quota


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing of threads."""
    for name in [name for name in os.environ if "THREADS" in name]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TIFFIN_CPUS", "1")
    for name in threads.VARIABLES + threads.ONE:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_processors_are_divided_by_workers_and_small_models_have_one(bare: pytest.MonkeyPatch) -> None:
    bare.setattr(threads, "processors", lambda: 9.5)
    threads.limit("torchscript", 2)
    assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"], threads.threads()) == ("4", "4", 4)
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    for name in threads.VARIABLES:
        bare.delenv(name)
    threads.limit("xgboost", 1)
    assert threads.threads() == 1


def test_what_the_user_says_of_threads_stays(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("OMP_NUM_THREADS", "3,2")
    bare.setenv("MKL_NUM_THREADS", "7")
    threads.limit("onnx", 1)
    assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"], threads.threads()) == ("3,2", "7", 3)


def test_an_engine_may_say_how_many_processors_there_are(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("TIFFIN_CPUS", "0.5")
    assert threads.processors() == 0.5
    bare.setenv("TIFFIN_CPUS", "many")
    assert threads.processors() >= 0.01
