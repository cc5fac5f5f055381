"""Server-side apply as the test server does it: by the rules of a real one, or tests against it prove little."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver import fields
from apiserver.ownership import Conflicting, Manager, apply, bare, read_books, update

Object = dict[str, Any]
ME, YOU = Manager("tiffin", "Apply", "apps/v1"), Manager("somebody", "Apply", "apps/v1")
KUBECTL = Manager("kubectl-edit", "Update", "apps/v1", "", "2026-11-21T12:00:00Z")
NOTHING: Object = {"metadata": {}}


def pod(*containers: Object, **spec: Any) -> Object:
    inner = {"containers": list(containers), **spec}
    return {"metadata": {"name": "a"}, "spec": {"template": {"spec": inner}}}


def inner(item: Object) -> Object:
    return dict(item["spec"]["template"]["spec"])


def owned(item: Object, who: Manager) -> set[str]:
    return {fields.shown(path) for other, paths in read_books(item).items() if other.same(who) for path in paths}


def test_maps_are_owned_leaf_by_leaf() -> None:
    item = apply(NOTHING, {"metadata": {"name": "a", "labels": {"x": "1", "y": "2"}}, "data": {"k": "v"}}, ME)
    assert owned(item, ME) == {".metadata.labels.x", ".metadata.labels.y", ".data.k"}
    assert item["metadata"]["managedFields"][0]["fieldsV1"] == {
        "f:data": {"f:k": {}},
        "f:metadata": {"f:labels": {"f:x": {}, "f:y": {}}},
    }


def test_items_of_lists_are_told_apart_by_their_keys() -> None:
    app = {"name": "app", "image": "a:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}
    assert owned(apply(NOTHING, pod(app), ME), ME) == {
        '.spec.template.spec.containers[name="app"]',
        '.spec.template.spec.containers[name="app"].name',
        '.spec.template.spec.containers[name="app"].image',
        '.spec.template.spec.containers[name="app"].ports[containerPort=80,protocol="TCP"]',
        '.spec.template.spec.containers[name="app"].ports[containerPort=80,protocol="TCP"].containerPort',
        '.spec.template.spec.containers[name="app"].env[name="A"]',
        '.spec.template.spec.containers[name="app"].env[name="A"].name',
        '.spec.template.spec.containers[name="app"].env[name="A"].value',
    }


def test_lists_without_keys_have_one_owner() -> None:
    item = apply(NOTHING, pod({"name": "app", "args": ["a", "b"]}), ME)
    assert '.spec.template.spec.containers[name="app"].args' in owned(item, ME)
    with pytest.raises(Conflicting, match=r"containers\[name=\"app\"\].args"):
        apply(item, pod({"name": "app", "args": ["a"]}), YOU)


def test_a_container_that_somebody_adds_stays_beside_ours() -> None:
    item = apply(NOTHING, pod({"name": "app", "image": "a:1"}), ME)
    item = apply(item, pod({"name": "side", "image": "s:1"}), YOU)
    item = apply(item, pod({"name": "app", "image": "a:2"}), ME)
    assert inner(item)["containers"] == [{"name": "app", "image": "a:2"}, {"name": "side", "image": "s:1"}]


def test_a_container_that_is_not_applied_any_more_goes() -> None:
    item = apply(NOTHING, pod({"name": "app", "image": "a:1"}, {"name": "side", "image": "s:1"}), ME)
    item = apply(item, pod({"name": "app", "image": "a:1"}), ME)
    assert inner(item)["containers"] == [{"name": "app", "image": "a:1"}]


def test_a_container_of_ours_in_which_somebody_set_a_field_stays_with_it() -> None:
    item = apply(NOTHING, pod({"name": "app"}, {"name": "side", "image": "s:1"}), ME)
    item = apply(item, pod({"name": "side", "tty": True}), YOU)
    item = apply(item, pod({"name": "app"}), ME)
    assert inner(item)["containers"] == [{"name": "app"}, {"name": "side", "tty": True}]


def test_a_container_of_ours_that_somebody_edited_keeps_its_name() -> None:
    item = apply(NOTHING, pod({"name": "app"}, {"name": "side", "image": "s:1"}), ME)
    item = update(item, pod({"name": "app"}, {"name": "side", "image": "s:2"}), KUBECTL)
    item = apply(item, pod({"name": "app"}), ME)
    assert inner(item)["containers"] == [{"name": "app"}, {"name": "side", "image": "s:2"}]


def test_the_last_of_a_map_takes_the_map_along() -> None:
    item = apply(NOTHING, {"metadata": {"name": "a"}, "data": {"k": "v"}}, ME)
    assert "data" not in apply(item, {"metadata": {"name": "a"}}, ME)


def test_what_was_filled_in_by_the_server_is_nobodys_and_stays() -> None:
    item = apply(NOTHING, pod({"name": "app", "image": "a:1"}), ME)
    inner(item)["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    item = apply(item, pod({"name": "app", "image": "a:2"}), ME)
    assert inner(item)["containers"] == [{"name": "app", "image": "a:2", "imagePullPolicy": "IfNotPresent"}]


def test_a_field_of_two_stays_until_both_have_let_go() -> None:
    both = {"metadata": {"name": "a"}, "data": {"k": "v"}}
    item = apply(apply(NOTHING, both, ME), both, YOU)
    item = apply(item, {"metadata": {"name": "a"}}, ME)
    assert item["data"] == {"k": "v"}
    assert "data" not in apply(item, {"metadata": {"name": "a"}}, YOU)


def test_who_edits_takes_over_what_changes_and_nothing_else() -> None:
    item = apply(NOTHING, {"metadata": {"name": "a"}, "data": {"k": "v", "l": "v"}}, ME)
    item = update(item, {**bare(item), "data": {"k": "w", "l": "v"}}, KUBECTL)
    assert owned(item, KUBECTL) == {".data.k"}
    assert owned(item, ME) == {".data.l"}


def test_a_conflict_is_worded_as_a_real_server_words_it() -> None:
    item = update(NOTHING, {"metadata": {"name": "a"}, "spec": {"replicas": 3}}, KUBECTL)
    with pytest.raises(Conflicting) as one:
        apply(item, {"metadata": {"name": "a"}, "spec": {"replicas": 2}}, ME)
    who = 'conflict with "kubectl-edit" using apps/v1 at 2026-11-21T12:00:00Z'
    assert str(one.value) == f"Apply failed with 1 conflict: {who}: .spec.replicas"
    assert one.value.causes == [{"reason": "FieldManagerConflict", "message": who, "field": ".spec.replicas"}]


def test_several_conflicts_are_worded_by_manager() -> None:
    item = apply(NOTHING, {"metadata": {"name": "a"}, "data": {"k": "1", "l": "1"}}, YOU)
    with pytest.raises(Conflicting) as two:
        apply(item, {"metadata": {"name": "a"}, "data": {"k": "2", "l": "2"}}, ME)
    assert str(two.value) == 'Apply failed with 2 conflicts: conflicts with "somebody":\n- .data.k\n- .data.l'


def test_force_takes_only_what_differs() -> None:
    item = apply(NOTHING, {"metadata": {"name": "a"}, "data": {"k": "1", "l": "1"}}, YOU)
    item = apply(item, {"metadata": {"name": "a"}, "data": {"k": "2"}}, ME, force=True)
    assert (owned(item, ME), owned(item, YOU)) == ({".data.k"}, {".data.l"})


maps = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2"]), max_size=3)
containers = st.lists(
    st.builds(
        lambda name, image, env: {
            "name": name,
            "image": image,
            "env": [{"name": k, "value": v} for k, v in env.items()],
        },
        st.sampled_from(["app", "side"]),
        st.sampled_from(["i:1", "i:2"]),
        maps,
    ),
    max_size=2,
    unique_by=lambda each: each["name"],
)
wishes = st.builds(
    lambda data, inside: {"metadata": {"name": "a"}, "data": data, "spec": {"containers": inside}}, maps, containers
)


@given(wishes)
def test_books_are_read_as_they_were_written(wish: Object) -> None:
    found = fields.fields_of(wish)
    assert fields.decode(fields.encode(found)) == found


@given(wishes, wishes)
def test_who_is_alone_gets_what_was_applied_last(first: Object, second: Object) -> None:
    item = apply(apply(NOTHING, first, ME), second, ME)
    assert _leaves(bare(item)) == _leaves(second)


@given(wishes)
def test_applying_twice_is_applying_once(wish: Object) -> None:
    once = apply(NOTHING, wish, ME)
    assert apply(once, wish, ME) == once


@given(wishes, wishes)
def test_what_is_forced_is_there_and_ours(theirs: Object, ours: Object) -> None:
    item = apply(apply(NOTHING, theirs, YOU), ours, ME, force=True)
    wanted = fields.fields_of(ours)
    assert all(fields.at(item, path) == fields.at(ours, path) for path in wanted if _is_scalar(ours, path))
    assert dict(read_books(item)).get(ME, frozenset()) == wanted


@given(wishes, wishes)
def test_without_a_conflict_nothing_of_others_changes(theirs: Object, ours: Object) -> None:
    before = apply(NOTHING, theirs, YOU)
    try:
        item = apply(before, ours, ME)
    except Conflicting:
        return
    for path in fields.fields_of(theirs):
        if _is_scalar(theirs, path):
            assert fields.at(item, path) == fields.at(theirs, path)


def _is_scalar(item: Object, path: fields.Path) -> bool:
    return isinstance(fields.at(item, path), str)


def _leaves(item: Object) -> dict[fields.Path, str]:
    return {path: fields.at(item, path) for path in fields.fields_of(item) if _is_scalar(item, path)}
