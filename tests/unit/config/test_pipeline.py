"""`[pipeline]` is read strictly, and every mistake has its place."""

from __future__ import annotations

import tomllib

import pytest

from tiffin.config.pipeline import PipelineSection, is_tag
from tiffin.config.read import parse_project
from tiffin.errors import ConfigError

GOOD = 'name = "iris"\n[model]\npath = "model.joblib"\n[pipeline]\n'


def read(text: str) -> PipelineSection:
    return parse_project(tomllib.loads(GOOD + text), "tiffin.toml").pipeline


def test_nothing_need_be_said() -> None:
    assert read("") == PipelineSection(file="pipeline.py", jobs=0)


def test_all_of_it_is_read() -> None:
    section = read(
        'file = "retrain.py"\nname = "nightly"\ninclude = ["sql/*.sql"]\ncache = "registry.example:5000/team/results"\n'
        'jobs = 4\n[pipeline.arguments]\nrows = "data/*.csv"\ndepth = 4\nrates = [0.1, 0.2]\n'
    )
    assert (section.file, section.name, section.jobs) == ("retrain.py", "nightly", 4)
    assert section.arguments == {"rows": "data/*.csv", "depth": 4, "rates": [0.1, 0.2]}


def test_triggers_are_read() -> None:
    section = read(
        'schedule = "0 3 * * mon-fri"\ntime-zone = "America/Argentina/Buenos_Aires"\nsettle-seconds = 0.5\n'
        'watch = ["data/", "rows.csv", "../shared/rows", "/srv/rows", "localhost/a:1", "registry.example:5000/a/b:2"]'
    )
    assert (section.schedule, section.settle_seconds) == ("0 3 * * mon-fri", 0.5)
    tags = [each for each in section.watch if is_tag(each)]
    assert tags == ["localhost/a:1", "registry.example:5000/a/b:2"]
    assert not any(map(is_tag, ["./data.d/rows:1", "data/v1.2/rows.csv", "data.d/rows.csv", "rows:1", "/a.b/c:1"]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('file = "../pipeline.py"', "`file` is a Python file beside this one"),
        ('file = "a-b.py"', "at `$.pipeline.file`"),
        ('file = "steps.txt"', "at `$.pipeline.file`"),
        ('name = "re train"', "no name of a function - at `$.pipeline.name`"),
        ('include = ["/etc/*"]', "`/etc/*` leaves the project's folder - at `$.pipeline.include`"),
        ('include = ["a/../../b"]', "at `$.pipeline.include`"),
        ('cache = "results"', "'results' is no repository: REGISTRY/NAME"),
        ('cache = "registry.example/results:1"', "without a tag - at `$.pipeline.cache`"),
        ("jobs = -1", "at `$.pipeline.jobs`"),
        ("job = 1", "unknown field `job` - at `$.pipeline`"),
        ('schedule = "0 25 * * *"', "its hour is '25'; it is between 0 and 23 - at `$.pipeline.schedule`"),
        ('time-zone = "UTC"', "`schedule`, which is missing - at `$.pipeline.time-zone`"),
        ('schedule = "@daily"\ntime-zone = "../UTC"', "no time zone, such as 'Europe/Berlin' - at `$.pipeline.time-"),
        ("settle-seconds = -1", "at `$.pipeline.settle-seconds`"),
        ("settle-seconds = inf", "at `$.pipeline.settle-seconds`"),
        ('watch = ["data/", ""]', "'' is no path - at `$.pipeline.watch[1]`"),
        ('watch = ["data/*.csv"]', "is a pattern; name the folder"),
        ('watch = ["a", "a"]', "watched twice"),
        ('watch = ["localhost/Team:1"]', "is no tag of a registry, REGISTRY/NAME:TAG"),
        (f'watch = ["localhost/a:1@sha256:{"0" * 64}"]', "names a digest"),
        ("[pipeline.arguments]\nday = 2026-01-01", "`day` is a date; write it as text"),
        ("[pipeline.arguments]\nrates = [{ low = nan }]", "`rates` is no finite number"),
        ('[pipeline.arguments]\n"a b" = 1', "'a b' is no name of a parameter"),
    ],
)
def test_a_mistake_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as told:
        read(text)
    assert said in told.value.message
