"""Layers are shared out within one budget, and a change of one file moves as little as can be."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.build.group import (
    BIG_FILE,
    BIG_WHEEL,
    MOST_BIG_WHEELS,
    SMALL_BUCKETS,
    group_weights,
    group_wheels,
    yields_to,
)
from tiffin.build.plan import BuildPlan, plan_image
from tiffin.build.recipes import Metadata, SourceFile, WheelBytecode, Wheels
from tiffin.config.project import MOST_LAYERS, ImageSection
from tiffin.errors import ConfigError
from tiffin.layers.overlap import Overlap
from tiffin.packages.pins import WheelPin
from unit.build.test_plan import ENVIRONMENT, PAYLOAD, PROJECT, SERVER, digest, source, wheel

SIZES = st.integers(1, 10 * BIG_WHEEL)
WHEELS = st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), SIZES, min_size=1, max_size=60).map(
    lambda sizes: [wheel(name, size) for name, size in sizes.items()]
)


def moved(before: list[tuple[WheelPin, ...]], after: list[tuple[WheelPin, ...]]) -> list[tuple[WheelPin, ...]]:
    return [group for group in after if group not in before]


def planned(wheels: list[WheelPin], weights: list[SourceFile], layers: int = 40) -> BuildPlan:
    return plan_image(
        msgspec.structs.replace(PROJECT, image=ImageSection(layers=layers)),
        msgspec.structs.replace(ENVIRONMENT, wheels=tuple(wheels)),
        SERVER,
        msgspec.structs.replace(PAYLOAD, weights=tuple(weights)),
    )


def shards(count: int, size: int = BIG_FILE) -> list[SourceFile]:
    return [source(f"models/model-{n:03}.safetensors", size=size) for n in range(count)]


@given(WHEELS, st.integers(0, 40))
def test_every_wheel_is_in_one_group_and_there_is_room_for_all(wheels: list[WheelPin], room: int) -> None:
    groups = group_wheels(wheels, room)
    assert sorted(w.name for group in groups for w in group) == sorted(w.name for w in wheels)
    assert group_wheels(wheels[::-1], room) == groups
    assert len(groups) <= max(room, SMALL_BUCKETS)
    assert all(groups)


@given(WHEELS, st.integers(0, 40), st.data())
def test_a_new_version_moves_one_group(wheels: list[WheelPin], room: int, data: st.DataObject) -> None:
    before, bumped = group_wheels(wheels, room), data.draw(st.sampled_from(wheels))
    new = msgspec.structs.replace(bumped, version="2", sha256=digest("2"))
    after = group_wheels([new if w is bumped else w for w in wheels], room)
    assert len(moved(before, after)) == 1


@given(WHEELS, st.integers(0, 40), SIZES, st.data())
def test_a_version_of_another_size_moves_at_most_one_other_wheel(
    wheels: list[WheelPin], room: int, size: int, data: st.DataObject
) -> None:
    bumped = data.draw(st.sampled_from(wheels))
    resized = [msgspec.structs.replace(w, size=size) if w is bumped else w for w in wheels]
    before, after = (
        {frozenset(w.name for w in group) - {bumped.name} for group in group_wheels(some, room)}
        for some in (wheels, resized)
    )
    assert len(after - before - {frozenset()}) <= 2  # the other wheel's own layer, and the bucket that it left


@given(WHEELS, st.integers(0, 26))
def test_an_image_is_never_beyond_its_budget(wheels: list[WheelPin], count: int) -> None:
    plan = planned(wheels, shards(count) or [source("models/m")])
    assert len(plan.recipes) <= 40
    assert sum(isinstance(recipe, Wheels) for recipe in plan.recipes) <= MOST_BIG_WHEELS + SMALL_BUCKETS


def test_wheels_make_room_for_weights() -> None:
    wheels = [wheel(f"w{n:02}", BIG_WHEEL + n) for n in range(30)]
    few, many = planned(wheels, shards(2)), planned(wheels, shards(20))
    assert [sum(isinstance(recipe, Wheels) for recipe in plan.recipes) for plan in (few, many)] == [24, 11]
    assert len(many.recipes) == 40


def test_weights_beyond_the_budget_are_refused_with_the_fix() -> None:
    with pytest.raises(
        ConfigError, match=r"68 layers, and its budget is 40 .*\$\.image\.layers.* 60 of them"
    ) as caught:
        planned([wheel("six")], shards(60, 5_000_000_000))
    hint = caught.value.hint or ""
    assert "at most 32 big files" in hint
    assert 'max_shard_size="11GB"' in hint
    assert "write `layers = 68` under [image]" in hint
    assert len(planned([wheel("six")], shards(60), layers=68).recipes) == 68


def test_no_budget_reaches_what_engines_load() -> None:
    with pytest.raises(ConfigError) as caught:
        planned([wheel("six")], shards(MOST_LAYERS), layers=MOST_LAYERS)
    assert "layers =" not in (caught.value.hint or "")


def test_big_weights_lie_alone_and_are_not_compressed() -> None:
    packed, big = group_weights([source("models/a"), source("models/b", size=BIG_FILE)])
    assert (packed.packed, big.packed) == (True, False)


def test_wheels_that_overlap_yield_to_the_last_by_name() -> None:
    wheels = [wheel(name, BIG_WHEEL) for name in ("cv", "cv-contrib", "numpy")]
    overlap = Overlap(wheels=("cv", "cv-contrib"), paths=3)
    assert yields_to(wheels[:1], wheels, [overlap]) == (wheels[1],)
    assert yields_to(wheels[1:2], wheels, [overlap]) == ()
    assert yields_to(wheels[:2], wheels, [overlap]) == ()
    environment = msgspec.structs.replace(ENVIRONMENT, wheels=tuple(wheels), overlaps=(overlap,))
    recipes = plan_image(PROJECT, environment, SERVER, PAYLOAD).recipes
    found = {recipe.title: [w.name for w in recipe.yields_to] for recipe in recipes if isinstance(recipe, Wheels)}
    assert found == {"cv": ["cv-contrib"], "cv-contrib": [], "numpy": []}
    for recipe in recipes:
        if isinstance(recipe, WheelBytecode) and wheels[0] in recipe.wheels:
            assert {*recipe.wheels, *recipe.yields_to} >= {*wheels[:2]}


def test_slim_makes_other_layers_of_wheels_and_is_told_in_the_metadata() -> None:
    slim = msgspec.structs.replace(PROJECT, image=ImageSection(slim=True))
    full = {recipe.key for recipe in plan_image(PROJECT, ENVIRONMENT, SERVER, PAYLOAD).recipes}
    other = plan_image(slim, ENVIRONMENT, SERVER, PAYLOAD).recipes
    assert {type(recipe) for recipe in other if recipe.key not in full} == {Wheels, Metadata}
