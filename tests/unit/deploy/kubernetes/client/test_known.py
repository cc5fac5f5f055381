"""What a watch tells, whatever a server tells it and in whatever pieces: the algebra behind `Api.watch`."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tiffin.deploy.kubernetes.client.watch import Event, Known

Object = dict[str, Any]
names = st.sampled_from("ab")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), names),
        st.tuples(st.just("delete"), names),
        st.tuples(st.sampled_from(["lose", "find", "list"]), st.just("")),
    ),
    max_size=40,
)
ANEW = [("write", "a"), ("lose", ""), ("delete", "a"), ("write", "a")]


class World:
    """A cluster of three objects, and a watch on it whose connection may be lost; it then begins with a list."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.known = Known()
        self.told: list[Event] = []
        self.version = 0
        self.connected = True

    def step(self, what: str, name: str) -> None:
        if what == "lose":
            self.connected = False
        elif what in {"find", "list"}:
            self.connected = True
            self.told += self.known.listed(list(self.objects.values()))
        elif what == "write" or name in self.objects:
            self.change(what, name)

    def change(self, what: str, name: str) -> None:
        self.version += 1
        before = self.objects.pop(name, None)
        uid = before["metadata"]["uid"] if before else str(self.version)
        after = {"metadata": {"name": name, "uid": uid, "resourceVersion": str(self.version)}}
        if what == "write":
            self.objects[name] = after
        action = "DELETED" if what == "delete" else "MODIFIED" if before else "ADDED"
        if self.connected:
            self.told += self.known.told(action, after)


def played(steps_: list[tuple[str, str]]) -> World:
    world = World()
    for what, name in [*steps_, ("find", "")]:
        world.step(what, name)
    return world


@given(steps)
@example(ANEW)
def test_who_believes_what_is_told_knows_what_there_is(steps_: list[tuple[str, str]]) -> None:
    world = played(steps_)
    believed: dict[str, Object] = {}
    for event in world.told:
        name = event.object["metadata"]["name"]
        assert (event.action == "ADDED") == (name not in believed)
        if event.action == "DELETED":
            del believed[name]
        else:
            believed[name] = event.object
    assert believed == world.objects


@given(steps)
@example(ANEW)
def test_no_state_is_told_twice(steps_: list[tuple[str, str]]) -> None:
    told = [
        (event.object["metadata"]["uid"], event.object["metadata"]["resourceVersion"])
        for event in played(steps_).told
        if event.action != "DELETED"
    ]
    assert len(told) == len(set(told))


@given(steps)
@example(ANEW)
def test_an_object_that_was_made_anew_is_told_as_another(steps_: list[tuple[str, str]]) -> None:
    uids: dict[str, str] = {}
    for event in played(steps_).told:
        about = event.object["metadata"]
        if event.action == "MODIFIED":
            assert uids[about["name"]] == about["uid"]
        uids[about["name"]] = about["uid"]


@given(st.permutations(["a", "b", "c"]))
def test_a_list_is_told_in_its_order(order: list[str]) -> None:
    items = [{"metadata": {"name": name, "uid": name, "resourceVersion": "1"}} for name in order]
    assert [event.object["metadata"]["name"] for event in Known().listed(items)] == order
