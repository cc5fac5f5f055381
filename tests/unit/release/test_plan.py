"""What a release would do: its steps in order, what it leaves out, what it refuses to leave out, and its tags."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.config.project import Project
from tiffin.config.read import parse_project
from tiffin.errors import ConfigError, NotFoundError
from tiffin.release.plan import Asked, ReleasePlan, Source, plan_promotion, plan_release, tags_of

TABLE: dict[str, Any] = {
    "name": "iris",
    "model": {"path": "model.joblib", "version": "7"},
    "check": [{"request": "request.json"}],
    "release": {
        "push": "registry.example/team/iris",
        "sign": {"key": "team.key"},
        "environments": ["staging", "production"],
    },
    "environment": {
        "staging": {"target": "kubernetes", "namespace": "staging"},
        "production": {"target": "kubernetes", "namespace": "production", "approval": True},
    },
}
STEPS = (
    "check",
    "lock",
    "build",
    "test",
    "scan",
    "attest",
    "sign",
    "push",
    "tag",
    "deploy-staging",
    "deploy-production",
)


def project(**changes: Any) -> Project:
    return parse_project(TABLE | changes, "tiffin.toml")


def released(**changes: Any) -> Project:
    return project(release=TABLE["release"] | changes)


def names(plan: ReleasePlan) -> tuple[str, ...]:
    return tuple(step.name for step in plan.steps)


def plan(**asked: Any) -> ReleasePlan:
    return plan_release(project(), Source(commit="c" * 40, version="1.2.3"), Asked(**asked))


def test_every_step_is_planned_in_order_and_each_environment_is_behind_the_one_before() -> None:
    whole = plan()
    assert names(whole) == STEPS
    staging, production = (step.gate for step in whole.steps[-2:])
    assert staging is not None
    assert production is not None
    assert (staging.after, staging.waits) == ("", False)
    assert (production.after, production.waits) == ("staging", True)


def test_what_a_project_says_nothing_of_is_left_out_with_the_reason() -> None:
    bare = plan_release(project(release={}), Source())
    assert names(bare) == STEPS[:6]
    left = {one.name: one.why for one in bare.left}
    assert left.keys() == {"sign", "push", "tag", "deploy"}
    assert "[release] push" in left["push"]


def test_the_same_project_and_commit_give_the_same_digest_and_other_settings_another() -> None:
    assert plan().digest == plan().digest
    other = plan_release(released(**{"fail-on": "warning"}), Source(commit="c" * 40, version="1.2.3"))
    assert other.digest != plan().digest


def test_a_step_is_skipped_unless_a_later_one_needs_it() -> None:
    skipped = plan(skip=("test", "scan"))
    assert names(skipped) == tuple(name for name in STEPS if name not in {"test", "scan"})
    assert {one.name: one.why for one in skipped.left} == {"test": "`--skip`", "scan": "`--skip`"}
    with pytest.raises(ConfigError, match="lock needs check") as refused:
        plan(skip=("check",))
    assert "--skip lock" in str(refused.value.hint)
    with pytest.raises(ConfigError, match="tag needs push, which `--skip` leaves out: a tag leads to"):
        plan(skip=("push",))
    with pytest.raises(ConfigError, match="deploy-staging needs push, which `--skip` leaves out: a cluster pulls it"):
        plan(skip=("push", "tag"))
    assert names(plan(skip=("push", "tag", "deploy-staging", "deploy-production"))) == STEPS[:7]


def test_one_step_alone_brings_what_it_needs() -> None:
    assert names(plan(only=("scan",))) == ("check", "lock", "build", "scan")
    assert names(plan(only=("deploy-production",))) == ("check", "lock", "build", "push", "deploy-production")
    assert names(plan(start="push")) == ("check", "lock", "build", *STEPS[7:])
    with pytest.raises(ConfigError, match="scan needs build"):
        plan(only=("scan",), skip=("build",))


@pytest.mark.parametrize("asked", [{"skip": ("signn",)}, {"only": ("x",)}, {"start": "x"}, {"approve": ("x",)}])
def test_a_name_that_is_none_is_refused_with_those_there_are(asked: dict[str, Any]) -> None:
    with pytest.raises(NotFoundError) as refused:
        plan(**asked)
    assert "there is " in str(refused.value.hint)


def test_skipping_what_is_not_part_of_this_release_says_why_it_is_not() -> None:
    with pytest.raises(ConfigError, match="no step sign: no key is named"):
        plan_release(project(release={}), Source(), Asked(skip=("sign",)))


@given(st.sets(st.sampled_from(STEPS)), st.sampled_from(["", *STEPS]))
def test_a_plan_never_has_a_step_without_what_it_needs(skip: set[str], start: str) -> None:
    try:
        chosen = plan(skip=tuple(sorted(skip)), start=start)
    except ConfigError:
        return
    there = set(names(chosen))
    assert all(need in there for step in chosen.steps for need in step.needs if need not in skip or need in there)
    assert names(chosen) == tuple(name for name in STEPS if name in there)


def test_two_environments_that_are_one_service_are_refused() -> None:
    here = {"staging": {}, "production": {}}
    with pytest.raises(ConfigError, match="staging and production are the same service") as refused:
        plan_release(project(environment=here), Source())
    assert "[environment.production] name" in str(refused.value.hint)
    plan_release(project(environment={"staging": {"name": "iris-staging"}, "production": {}}), Source())


def test_a_cluster_without_a_registry_is_refused() -> None:
    with pytest.raises(ConfigError, match="staging is a cluster, which pulls from a registry"):
        plan_release(project(release={"environments": ["staging"]}), Source())
    by_deploy = project(release={"environments": ["staging"]}, deploy={"push": "registry.example/team/iris"})
    assert names(plan_release(by_deploy, Source()))[-1] == "deploy-staging"


def test_a_signature_that_is_required_is_not_skipped() -> None:
    with pytest.raises(ConfigError, match="deploy-staging needs sign"):
        plan_release(project(trust={"require": "team.pub"}), Source(), Asked(skip=("sign",)))


@pytest.mark.parametrize(
    ("tags", "source", "expected"),
    [
        (["latest", "{version}", "{commit}"], Source(commit="a" * 40, version="1.2.3"), ("latest", "1.2.3", "a" * 12)),
        (["latest", "{version}"], Source(commit="a" * 40), ("latest",)),
        (["{major}", "{major}.{minor}"], Source(version="1.2.3"), ("1", "1.2")),
        (["{major}", "{version}"], Source(version="1.2.3-rc.1"), ("1.2.3-rc.1",)),
        (["{version}"], Source(version="1.2.3+build.5"), ("1.2.3-build.5",)),
        (["{branch}"], Source(branch="feature/new one"), ("feature-new-one",)),
        (["v{model}", "{model}-{digest}"], Source(), ("v7", "7-{digest}")),
        (["{commit}-{digest}"], Source(), ()),
        (["latest", "latest"], Source(), ("latest",)),
    ],
)
def test_a_tag_is_made_of_what_is_known(tags: list[str], source: Source, expected: tuple[str, ...]) -> None:
    assert tags_of(released(tags=tags), source) == expected


def test_tags_that_are_not_known_of_a_commit_are_named() -> None:
    some = plan_release(released(tags=["latest", "{version}", "{commit}"]), Source())
    does = next(step.does for step in some.steps if step.name == "tag")
    assert does == "let latest mean it there; without {version}, {commit}: this commit has none"
    none = plan_release(released(tags=["{version}"]), Source())
    assert "tag" not in names(none)
    assert [left.why for left in none.left if left.name == "tag"] == ["this commit has none of {version}"]
    assert [left.name for left in plan_release(released(tags=[]), Source()).left] == ["tag"]


def test_a_promotion_is_one_step_that_builds_nothing() -> None:
    promoted = plan_promotion(project(), "production", "sha256:" + "0" * 64)
    assert names(promoted) == ("deploy-production",)
    assert promoted.steps[0].gate is not None
    assert promoted.steps[0].gate.after == "staging"
    with pytest.raises(ConfigError, match="staging is the first environment"):
        plan_promotion(project(), "staging", "")
    assert names(plan_promotion(project(), "staging", "sha256:" + "0" * 64)) == ("deploy-staging",)
    with pytest.raises(NotFoundError, match="no environment"):
        plan_promotion(project(), "nowhere", "")
