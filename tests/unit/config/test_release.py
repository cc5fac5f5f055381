"""`[release]`: every mistake is refused with its place before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from tiffin.config.project import Project
from tiffin.config.read import parse_project
from tiffin.errors import ConfigError

PLAIN = {"name": "iris", "model": {"path": "model.joblib"}}


def read(release: dict[str, Any], **more: Any) -> Project:
    return parse_project(PLAIN | {"release": release} | more, "tiffin.toml")


@pytest.mark.parametrize(
    ("release", "place"),
    [
        ({"push": "team/iris"}, "$.release.push"),
        ({"push": "registry.example/team/iris:1"}, "$.release.push"),
        ({"push": "registry.example/Team"}, "$.release.push"),
        ({"tags": ["{when}"]}, "$.release.tags[0]"),
        ({"tags": ["latest", "a/b"]}, "$.release.tags[1]"),
        ({"tags": [""]}, "$.release.tags[0]"),
        ({"allow": [{"rule": "setuid", "reason": " "}]}, "$.release.allow[0]"),
        ({"allow": [{"rule": "setuid"}]}, "$.release.allow[0]"),
        ({"environments": ["nowhere"]}, "$.release.environments[0]"),
        ({"scanner": "clair"}, "$.release.scanner"),
        ({"fail-on": "note"}, "$.release.fail-on"),
        ({"sign": {"keys": "x"}}, "$.release.sign"),
    ],
)
def test_a_mistake_is_refused_with_its_place(release: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(release)
    assert place in refused.value.message


def test_an_environment_is_deployed_to_once() -> None:
    with pytest.raises(ConfigError, match="deployed to once"):
        read({"environments": ["a", "a"]}, environment={"a": {}})


@pytest.mark.parametrize("push", ["registry.example/team/iris", "localhost/iris", "127.0.0.1:5000/a/b-c"])
def test_a_repository_is_named_with_its_registry(push: str) -> None:
    assert read({"push": push}).release.push == push


def test_a_service_of_an_environment_has_a_name_that_any_target_takes() -> None:
    with pytest.raises(ConfigError, match=r"\$.environment.a.name"):
        read({}, environment={"a": {"name": "Not A Name"}})
