"""What speaks of an image is found in a registry by its list, or by a tag, and is not lost where two write at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faulty_registry import Fault, FaultyRegistry
from programs.waiting import until
from tiffin.errors import ConflictError, IntegrityError
from tiffin.network import Patience
from tiffin.oci.artifact import attach, attached
from tiffin.oci.documents import INDEX, Descriptor
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.oci.referrers import spoken_of
from tiffin.store.memory import MemoryStore
from tiffin.store.remote.referrers import TRIES, tag_of
from tiffin.store.remote.store import RemoteStore
from tiffin.store.remote.turns import Turns

KIND = "application/vnd.example+json"


@pytest.fixture
def image(held: tuple[Image, MemoryStore]) -> Descriptor:
    return held[0].descriptor


def opened(registry: FaultyRegistry, pause: Callable[[float], object] = lambda _: None) -> RemoteStore:
    """The repository, by a client of its own."""
    reference = Reference.parse(f"{registry.host}/team/iris")
    return RemoteStore.of(reference, {}, Patience(pause=pause), writing=True)


def tagged(registry: FaultyRegistry, image: Descriptor) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(registry.manifests[tag_of(image.digest)][1])["manifests"]
    return entries


@pytest.mark.parametrize("lists", [True, False], ids=["list", "tag"])
@pytest.mark.parametrize("notes", [True, False], ids=["noted", "unnoted"])
def test_what_is_attached_is_found(registry: FaultyRegistry, image: Descriptor, lists: bool, notes: bool) -> None:  # noqa: FBT001 - parameters of a test
    registry.lists_referrers, registry.notes_subjects = lists, notes
    assert opened(registry).referrers(image) == []
    one = attach(opened(registry), image, KIND, b'{"a":1}', {"says": "a"})
    two = attach(opened(registry), image, KIND, b'{"b":1}', {"says": "b"})
    assert attached(opened(registry), image, KIND, {"says": "b"}) == [b'{"b":1}']
    found = {found.digest: found for found in opened(registry).referrers(image)}
    assert found.keys() == {one.digest, two.digest}
    assert (found[one.digest].artifact_type, found[one.digest].annotations) == (KIND, {"says": "a"})
    assert (tag_of(image.digest) in registry.manifests) is not lists


def test_the_tag_is_no_name_of_an_image(registry: FaultyRegistry, image: Descriptor) -> None:
    attach(opened(registry), image, KIND, b"{}", {})
    assert opened(registry).tags() == ["1"]


def test_attaching_twice_writes_the_tag_once(registry: FaultyRegistry, image: Descriptor) -> None:
    for _ in range(2):
        attach(opened(registry), image, KIND, b"{}", {})
    written = [asked for asked in registry.asked if asked.method == "PUT" and tag_of(image.digest) in asked.path]
    assert len(written) == 1


def test_what_others_wrote_under_the_tag_stays_as_it_is(registry: FaultyRegistry, image: Descriptor) -> None:
    theirs = {"mediaType": INDEX, "digest": image.digest, "size": 7, "x-theirs": {"b": 1, "a": [None]}}
    registry.add_manifest(json.dumps({"schemaVersion": 2, "manifests": [theirs]}).encode(), INDEX, tag_of(image.digest))
    made = attach(opened(registry), image, KIND, b"{}", {})
    entries = tagged(registry, image)
    assert entries[0] == theirs
    assert [entry["digest"] for entry in entries[1:]] == [made.digest]


def test_one_who_was_overwritten_writes_again(registry: FaultyRegistry, image: Descriptor) -> None:
    """Somebody else read the tag before we wrote it, and writes it after us."""
    stale = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": INDEX, "digest": image.digest, "size": 7}]})

    def overwrite(_: float) -> None:
        if len(pauses) < 3:
            registry.add_manifest(stale.encode(), INDEX, tag_of(image.digest))
        pauses.append(_)

    pauses: list[float] = []
    made = attach(opened(registry, overwrite), image, KIND, b"{}", {})
    assert [entry["digest"] for entry in tagged(registry, image)] == [image.digest, made.digest]
    assert len(pauses) == 4


def test_one_who_is_overwritten_again_and_again_gives_up(registry: FaultyRegistry, image: Descriptor) -> None:
    empty = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    client = opened(registry, lambda _: registry.add_manifest(empty, INDEX, tag_of(image.digest)))
    with pytest.raises(ConflictError, match="keep writing the tag sha256-"):
        attach(client, image, KIND, b"{}", {})
    written = [asked for asked in registry.asked if asked.method == "PUT" and tag_of(image.digest) in asked.path]
    assert len(written) == TRIES


def test_a_registry_that_keeps_to_conditions_is_asked_again(registry: FaultyRegistry, image: Descriptor) -> None:
    registry.faults[f"manifests/{tag_of(image.digest)}"] = [Fault(), Fault(status=412)]
    made = attach(opened(registry), image, KIND, b"{}", {})
    assert [entry["digest"] for entry in tagged(registry, image)] == [made.digest]


def test_several_who_write_at_once_are_all_found(registry: FaultyRegistry, image: Descriptor) -> None:
    """All have read the tag before the first of them writes it."""
    writers = 4
    together = threading.Barrier(writers)

    def meet(name: str) -> None:
        if name == tag_of(image.digest):
            together.wait()

    clients = [opened(registry, lambda seconds: time.sleep(4 * seconds)) for _ in range(writers)]
    made: list[Descriptor] = []

    def write(number: int) -> None:
        made.append(attach(clients[number], image, KIND, b"%d" % number, {}))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    registry.before_manifest = [meet] * (2 * writers)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {found.digest for found in opened(registry).referrers(image)} == {one.digest for one in made}
    assert len(made) == writers


SIGNING = """
import sys
from pathlib import Path
from tiffin.oci.artifact import attach
from tiffin.oci.documents import Descriptor
from tiffin.oci.reference import Reference
from tiffin.store.remote.store import RemoteStore
from tiffin.store.remote.turns import Turns

store = RemoteStore.of(Reference.parse(sys.argv[1]), {"HOME": "/nonexistent"}, writing=True)
store.turns = Turns(Path(sys.argv[2]))
print(attach(store, store.resolve("1"), sys.argv[3], sys.argv[4].encode(), {}).digest)
"""
GIVEN_UP = 0.5
"""Seconds after which the other one does not come any more, since it waits for its turn."""


def test_two_processes_of_one_machine_write_the_tag_one_after_the_other(
    registry: FaultyRegistry, image: Descriptor, tmp_path: Path
) -> None:
    tag = tag_of(image.digest)

    def read(part: str) -> int:
        return len([asked for asked in registry.asked if asked.method == "GET" and part in asked.path])

    def hold(name: str) -> None:
        """Keep the first who writes until the other is about to, and would have read the tag if it could."""
        if name == tag and not held:
            held.append(name)
            until(lambda: read("/referrers/") == 2, lambda: "the other asks for the list")
            due = time.monotonic() + GIVEN_UP
            while read(tag) < 2 and time.monotonic() < due:
                time.sleep(0.01)

    held: list[str] = []
    registry.before_manifest = [hold] * 8
    argv = [sys.executable, "-c", SIGNING, f"{registry.host}/team/iris", str(tmp_path / "turns"), KIND]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": "/usr/bin:/bin"}
    writers = [
        subprocess.Popen([*argv, text], env=environment, stdout=subprocess.PIPE, text=True) for text in ("one", "two")
    ]
    made = {writer.communicate(timeout=60)[0].strip() for writer in writers}
    assert [writer.returncode for writer in writers] == [0, 0]
    assert {entry["digest"] for entry in tagged(registry, image)} == made
    written = [asked for asked in registry.asked if asked.method == "PUT" and tag in asked.path]
    assert len(written) == 2, "nobody had to write it again"


def test_where_no_lock_can_be_kept_it_is_everybodys_turn(registry: FaultyRegistry, image: Descriptor) -> None:
    client = opened(registry)
    client.turns = Turns(Path("/proc/nonexistent"))
    made = attach(client, image, KIND, b"{}", {})
    assert [entry["digest"] for entry in tagged(registry, image)] == [made.digest]


def test_a_list_of_many_pages_is_read_whole(registry: FaultyRegistry, image: Descriptor) -> None:
    registry.lists_referrers, registry.page = True, 2
    made = {attach(opened(registry), image, KIND, b"%d" % number, {}).digest for number in range(5)}
    assert {found.digest for found in opened(registry).referrers(image)} == made
    assert len([asked for asked in registry.asked if "/referrers/" in asked.path and "from=" in asked.path]) > 1


def test_a_list_without_an_end_is_refused(registry: FaultyRegistry, image: Descriptor) -> None:
    registry.lists_referrers = True
    path = f"/v2/team/iris/referrers/{image.digest}"
    registry.faults["/referrers/"] = [Fault(headers=(("Link", f'<{path}>; rel="next"'),)) for _ in range(2)]
    with pytest.raises(IntegrityError, match="on and on"):
        opened(registry).referrers(image)


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_registry_without_a_list_is_asked_for_the_tag(
    registry: FaultyRegistry, image: Descriptor, status: int
) -> None:
    made = attach(opened(registry), image, KIND, b"{}", {})
    registry.faults["/referrers/"] = [Fault(status=status)]
    assert [found.digest for found in opened(registry).referrers(image)] == [made.digest]


def test_a_page_for_people_is_no_list(registry: FaultyRegistry, image: Descriptor) -> None:
    made = attach(opened(registry), image, KIND, b"{}", {})
    registry.faults["/referrers/"] = [Fault(status=200, headers=(("Content-Type", "text/html"),), body=b"<html>")]
    assert [found.digest for found in opened(registry).referrers(image)] == [made.digest]


def test_a_listed_manifest_that_speaks_of_something_else_is_not_taken(
    registry: FaultyRegistry, image: Descriptor
) -> None:
    elsewhere = Descriptor.of(b"elsewhere", image.media_type)
    other = attach(opened(registry), elsewhere, KIND, b"{}", {})
    entry = {"mediaType": other.media_type, "digest": other.digest, "size": other.size}
    registry.add_manifest(json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(), INDEX, tag_of(image.digest))
    client = opened(registry)
    assert [found.digest for found in client.referrers(image)] == [other.digest]
    assert spoken_of(client, image) == []


@pytest.mark.parametrize("body", [b"{}", b"[[[", b'{"manifests":[{"digest":"x"}]}', b'{"manifests":7}'])
def test_a_list_that_is_none_is_an_error(registry: FaultyRegistry, image: Descriptor, body: bytes) -> None:
    registry.lists_referrers = True
    registry.faults["/referrers/"] = [Fault(body=body)]
    with pytest.raises(IntegrityError, match="list of referrers"):
        opened(registry).referrers(image)


def test_a_busy_registry_is_asked_again(registry: FaultyRegistry, image: Descriptor) -> None:
    registry.lists_referrers = True
    made = attach(opened(registry), image, KIND, b"{}", {})
    registry.faults["/referrers/"] = [Fault(status=503), Fault(cut=10)]
    assert [found.digest for found in opened(registry).referrers(image)] == [made.digest]
