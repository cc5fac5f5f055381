"""Results in the store: what is damaged is made again, and a prune takes what no run asks for and nothing else."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tiffin.api.images.prune import RESULTS_DAYS, Kind, plan_prune, prune
from tiffin.api.machine.home import Home
from tiffin.errors import CommandError, IntegrityError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import MANIFEST, Descriptor, encode
from tiffin.pipeline.keeping.artifact import FILE, KEY, RESULT, ResultManifest, blob_of, read_manifest, read_result
from tiffin.pipeline.keeping.content import WORTH
from tiffin.pipeline.keeping.kept import GRACE, KeptResults
from tiffin.pipeline.results import Result
from tiffin.pipeline.workbench import Ended
from tiffin.progress import Event, Started, listening
from unit.pipeline.made_orders import DOCUMENT, Content, folder_of, kept_in, make_order

DAY = 24 * 3600


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A home, and what is kept in it."""

    folder: Path

    @property
    def home(self) -> Home:
        """What a prune works on."""
        return Home.of({"TIFFIN_HOME": str(self.folder)})

    @property
    def kept(self) -> KeptResults:
        """The results, as a new process sees them."""
        return kept_in(self.folder)

    def keep(self, document: bytes = DOCUMENT, **left: Content) -> Result:
        """Keep one more result."""
        order = make_order(self.folder / f"order-{len(list(self.folder.iterdir()))}", **left)
        return self.kept.keep(document, order, Ended(), 1)

    def blob(self, digest: Digest) -> Path:
        """Where a blob is."""
        return self.folder / "data" / "blobs" / "sha256" / digest.hex

    def blobs(self) -> set[str]:
        """The hex digits of all that is in the store."""
        return {path.name for path in self.blob(Digest.of(b"")).parent.glob("*")}

    def age(self, result: Result, days: float) -> None:
        """Let nobody have asked for a result for some days."""
        then = time.time() - days * DAY
        os.utime(self.folder / "data" / "results" / result.key.hex, (then, then))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(folder=tmp_path)


def damage_same_size(path: Path) -> None:
    path.write_bytes(b"!" * path.stat().st_size)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def manifest_of(place: Place, result: Result) -> Descriptor:
    found = place.kept.described(result.key)
    assert found
    return found


PARTS: dict[str, Callable[[Place, Result], Digest]] = {
    "manifest": lambda place, result: manifest_of(place, result).digest,
    "key": lambda _, result: result.key,
    "values": lambda place, result: (
        read_manifest(place.kept.store, manifest_of(place, result), result.key).layers[0].digest
    ),
    "file": lambda _, result: result.artifacts["scores"].digest,
    "folder": lambda _, result: result.artifacts["model"].digest,
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", [Path.unlink, damage_same_size, cut])
def test_a_result_of_which_anything_is_missing_or_damaged_is_none_until_it_is_made_again(
    place: Place, part: str, damage: Callable[[Path], object]
) -> None:
    model = folder_of(a=bytes(2 * WORTH))
    result = place.keep(model=model)
    assert place.kept.find(result.key)
    damage(place.blob(PARTS[part](place, result)))
    assert place.kept.find(result.key) is None
    again = place.keep(model=model)
    assert place.kept.find(result.key) == again
    assert (place.kept.take(again.artifacts["model"]).path / "a").read_bytes() == bytes(2 * WORTH)


def test_a_damaged_blob_is_written_over_by_whoever_keeps_the_same(place: Place) -> None:
    result = place.keep(model=b"m" * 2 * WORTH)
    damage_same_size(place.blob(result.artifacts["model"].digest))
    again = place.keep(model=b"m" * 2 * WORTH)
    assert place.blob(again.artifacts["model"].digest).read_bytes() == b"m" * 2 * WORTH


@pytest.mark.parametrize("record", [b"", b"{", b'{"mediaType":"a","digest":"sha256:0","size":1}'])
def test_a_damaged_record_is_none(place: Place, record: bytes) -> None:
    result = place.keep()
    (place.folder / "data" / "results" / result.key.hex).write_bytes(record)
    assert place.kept.find(result.key) is None


def test_large_outputs_are_not_read_again_to_be_found_or_taken(place: Place) -> None:
    result, heard = place.keep(model=b"m" * 2 * WORTH), list[Event]()
    with listening(heard.append):
        for _ in range(3):
            found = place.kept.find(result.key)
            assert found
            assert place.kept.take(found.artifacts["model"]).size == 2 * WORTH
    assert not [event for event in heard if isinstance(event, Started) and event.name == "digest"]


def test_a_file_that_is_taken_is_no_second_copy(place: Place) -> None:
    model = place.keep(model=b"m" * WORTH).artifacts["model"]
    assert place.kept.take(model).path.stat().st_ino == place.blob(model.digest).stat().st_ino


def test_a_file_that_can_have_no_second_name_is_copied(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    model, scores = place.keep(model=b"m" * WORTH).artifacts.values()
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    taken = place.kept.take(model)
    assert taken.path.read_bytes() == b"m" * WORTH
    assert taken.path.stat().st_nlink == 1
    assert place.kept.take(scores)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_step_wrote_to_its_input_is_seen_and_not_given_to_another(place: Place, kind: str) -> None:
    content = b"m" * WORTH if kind == "file" else folder_of(a=b"m")
    result = place.keep(model=content)
    model = result.artifacts["model"]
    path = place.kept.take(model).path
    damage_same_size(path if kind == "file" else path / "a")
    if kind == "file":  # it is the blob itself
        with pytest.raises(IntegrityError, match="is damaged"):
            place.kept.take(model)
        assert place.kept.find(result.key) is None
        place.keep(model=content)
    again = place.kept.take(model).path
    assert (again if kind == "file" else again / "a").read_bytes()[:1] == b"m"


def test_what_is_gone_cannot_be_taken(place: Place) -> None:
    for artifact in place.keep(model=folder_of(a=b"1")).artifacts.values():
        place.blob(artifact.digest).unlink()
        with pytest.raises((IntegrityError, NotFoundError), match=r"is damaged|has no blob"):
            place.kept.take(artifact)
    assert not list((place.folder / "data" / "taken").glob(".new-*"))


def test_an_output_that_may_not_be_read_or_that_still_changes_is_the_steps_fault(place: Place) -> None:
    order = make_order(place.folder / "order", model=folder_of(a=bytes(3 * WORTH)))

    def grow(event: Event) -> None:
        if isinstance(event, Started) and event.name == "keep":
            (order.folder / "artifacts" / "model" / "a").write_bytes(b"1")

    with listening(grow), pytest.raises(CommandError, match=r"step fit gave an output model .* changed while"):
        place.kept.keep(DOCUMENT, order, Ended(), 1)
    assert place.kept.find(Digest.of(DOCUMENT)) is None


def test_the_artifact_is_one_of_the_specification(place: Place) -> None:
    result = place.keep(model=folder_of(a=b"1"))
    manifest = json.loads(place.blob(manifest_of(place, result).digest).read_bytes())
    assert (manifest["schemaVersion"], manifest["mediaType"], manifest["artifactType"]) == (2, MANIFEST, RESULT)
    assert manifest["config"] == {"mediaType": KEY, "digest": result.key, "size": len(DOCUMENT)}
    titles = {
        layer["annotations"]["org.opencontainers.image.title"]: layer["mediaType"] for layer in manifest["layers"]
    }
    assert titles == {
        "values.json": "application/vnd.tiffin.pipeline.values.v1+json",
        "model": "application/vnd.tiffin.pipeline.folder.v1.tar",
        "scores": "application/vnd.tiffin.pipeline.file.v1",
    }
    assert manifest["annotations"]["org.opencontainers.image.created"] == result.made
    (values,) = [layer["digest"] for layer in manifest["layers"] if layer["mediaType"].endswith("values.v1+json")]
    assert json.loads(place.blob(Digest.parse(values)).read_bytes()) == {"metadata": {}, "values": {"accuracy": 0.9}}


LAYER = Descriptor.of(b"", FILE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"artifact_type": "x/y"}, "is no result of a pipeline"),
        ({"config": Descriptor.of(b"{}", KEY)}, "is another key's"),
        ({"config": Descriptor.of(DOCUMENT, "a/b")}, "is another key's"),
        ({"layers": []}, "has 0 documents of values"),
        ({"annotations": {"dev.tiffin.pipeline.attempt": "two"}}, "says no number"),
    ],
)
def test_a_manifest_that_is_no_result_is_refused(place: Place, changes: dict[str, object], message: str) -> None:
    result = place.keep()
    right = read_manifest(place.kept.store, manifest_of(place, result), result.key)
    with pytest.raises(IntegrityError, match=message):
        read_changed(place, msgspec.structs.replace(right, **changes), result)


@pytest.mark.parametrize(
    ("title", "type_", "message"),
    [
        ("../x", "Model", r"has an output '\.\./x'"),
        ("..", "Model", "has an output"),
        ("", "Model", "has an output"),
        ("a\0", "Model", "has an output"),
        ("model", "Model", "two outputs of one name"),
        ("extra", "Model", "gives extra, which its step does not give"),
        ("accuracy", "float", "gives accuracy, which its step does not give"),
    ],
)
def test_an_output_that_the_key_does_not_promise_is_refused(place: Place, title: str, type_: str, message: str) -> None:
    result = place.keep()
    right = read_manifest(place.kept.store, manifest_of(place, result), result.key)
    said = {"org.opencontainers.image.title": title, "dev.tiffin.pipeline.type": type_}
    more = msgspec.structs.replace(LAYER, annotations=said)
    with pytest.raises(IntegrityError, match=message):
        read_changed(place, msgspec.structs.replace(right, layers=[*right.layers, more]), result)


def read_changed(place: Place, manifest: ResultManifest, result: Result) -> None:
    data, store = encode(manifest), place.kept.store
    descriptor = Descriptor.of(data, MANIFEST)
    store.put(descriptor, io.BytesIO(data))
    read_result(store, read_manifest(store, descriptor, result.key))


def test_a_prune_takes_what_no_run_asked_for_in_a_month_and_nothing_that_others_need(place: Place) -> None:
    model = folder_of(a=b"1")
    old = place.keep(model=model)
    young = place.keep(DOCUMENT + b" ", model=model, scores=b'{"b": 2}')
    for result in (old, young):
        for artifact in result.artifacts.values():
            place.kept.take(artifact)
    before = place.blobs()
    place.age(young, RESULTS_DAYS - 1)
    prune(home=place.home)
    assert place.blobs() == before
    place.age(old, RESULTS_DAYS + 1)
    plan = plan_prune(home=place.home)
    assert {part.kind for part in plan.garbage} == {Kind.BLOB, Kind.TAKEN}
    assert place.blobs() == before
    assert prune(home=place.home).garbage == plan.garbage
    assert place.kept.find(old.key) is None
    assert place.kept.find(young.key) == young
    assert len(before - place.blobs()) == 3, "its manifest, key and scores; values and model are the other's too"
    taken = {path.name for path in (place.folder / "data" / "taken").iterdir()}
    assert taken == {f"{young.artifacts['model'].digest.hex}.folder", f"{young.artifacts['scores'].digest.hex}.file"}
    assert prune(home=place.home).garbage == []


def test_whoever_asks_for_a_result_keeps_it(place: Place) -> None:
    result = place.keep()
    place.age(result, 100)
    assert place.kept.find(result.key)
    prune(home=place.home)
    assert place.kept.find(result.key) == result


def test_what_somebody_relied_on_within_the_hour_is_not_forgotten(place: Place) -> None:
    result = place.keep()
    assert place.kept.forget(0) == []
    place.age(result, 2 * GRACE / DAY)
    assert place.kept.forget(0) == [result.key]
    assert place.kept.find(result.key) is None
    assert place.kept.key_of(result.key) == DOCUMENT, "until a prune comes"
    assert blob_of(result.artifacts["model"]).media_type == FILE
