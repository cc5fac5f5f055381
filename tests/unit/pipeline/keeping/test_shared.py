"""Results that machines share through a registry: what one made, no other makes; and one that is down or lies."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faulty_registry import Fault, FaultyRegistry, faulty_registry
from programs.registry import registry as real_registry
from tiffin.layers.entry import Entry
from tiffin.layers.tar import END, header
from tiffin.network import Patience
from tiffin.oci.digest import Digest
from tiffin.oci.documents import MANIFEST, Descriptor, encode
from tiffin.oci.reference import Reference
from tiffin.pipeline.keeping.artifact import FOLDER, RESULT
from tiffin.pipeline.keeping.content import WORTH
from tiffin.pipeline.keeping.shared import SharedResults
from tiffin.pipeline.results import Result
from tiffin.pipeline.workbench import Ended
from tiffin.progress import Event, Noted, listening
from tiffin.store.records import Records
from tiffin.store.remote.store import RemoteStore
from unit.pipeline.made_orders import DOCUMENT, Content, folder_of, kept_in, make_order

KEY = Digest.of(DOCUMENT)
IMPATIENT = Patience(attempts=1, unreachable=1, silent=1, pause=lambda _: None)
ORDINARY = {"model": folder_of(a=b"1" * 5000), "scores": b"{}"}


class Machine:
    """A machine with results of its own, and what it was told."""

    def __init__(self, folder: Path, host: str, *, push: bool = True, repository: str = "team/results") -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.said = folder, list[str]()
        name = f"{host}/{repository}"
        remote = RemoteStore.of(Reference.parse(name), {}, IMPATIENT, writing=push)
        self.results = SharedResults(kept_in(folder), remote, name, Records(folder / "pushed") if push else None)

    def hear(self, event: Event) -> None:
        if isinstance(event, Noted):
            self.said.append(event.message)

    def keep(self, document: bytes = DOCUMENT, **left: Content) -> Result:
        order = make_order(self.folder / f"order-{len(list(self.folder.iterdir()))}", **(ORDINARY | left))
        with listening(self.hear):
            return self.results.keep(document, order, Ended(metadata={"model": {"rows": 3}}), 1)

    def find(self, key: Digest = KEY) -> Result | None:
        with listening(self.hear):
            return self.results.find(key)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with faulty_registry() as running:
        yield running


def test_what_one_machine_kept_another_finds_and_takes(registry: FaultyRegistry, tmp_path: Path) -> None:
    one, two = Machine(tmp_path / "one", registry.host), Machine(tmp_path / "two", registry.host)
    kept = one.keep(model=folder_of(a=bytes(2 * WORTH)))
    assert set(registry.manifests) == {KEY.hex, next(iter(set(registry.manifests) - {KEY.hex}))}
    found = two.find()
    assert found == kept
    assert (two.results.take(found.artifacts["model"]).path / "a").read_bytes() == bytes(2 * WORTH)
    assert two.results.key_of(KEY) == DOCUMENT
    asked = len(registry.asked)
    assert two.find() == kept
    assert len(registry.asked) == asked, "it is here now"
    assert one.said == two.said == []


@pytest.mark.program("docker-registry", "skopeo")
def test_docker_registry_keeps_results_and_skopeo_copies_them(tmp_path: Path) -> None:
    with real_registry() as host:
        one, two = Machine(tmp_path / "one", host), Machine(tmp_path / "two", host)
        kept = one.keep()
        assert two.find() == kept
        assert two.find(Digest.of(b"other")) is None
        again = one.keep(model=b"other")
        assert Machine(tmp_path / "three", host).find() == again
        assert one.said == two.said == []
        skopeo("copy", "--src-tls-verify=false", "--dest-tls-verify=false", *(
            f"docker://{host}/{name}/results:{KEY.hex}" for name in ("team", "other")
        ))  # fmt: skip
        assert Machine(tmp_path / "four", host, repository="other/results").find() == again
        shown = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{host}/other/results:{KEY.hex}")
        assert json.loads(shown)["artifactType"] == RESULT


def skopeo(*words: str) -> bytes:
    return subprocess.run(["skopeo", *words], capture_output=True, check=True).stdout


def test_what_the_registry_lacks_is_not_found_and_it_is_asked_again(registry: FaultyRegistry, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "one", registry.host)
    assert machine.find() is None
    Machine(tmp_path / "two", registry.host).keep()
    assert machine.find()
    assert machine.said == []


def test_what_is_damaged_here_comes_from_there_again(registry: FaultyRegistry, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "one", registry.host)
    kept = machine.keep()
    for blob in (tmp_path / "one" / "data" / "blobs" / "sha256").iterdir():
        blob.write_bytes(b"!" * blob.stat().st_size)
        assert machine.find() == kept


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_registry_that_does_not_answer_is_told_of_once_and_not_asked_again(
    registry: FaultyRegistry, tmp_path: Path, status: int
) -> None:
    registry.faults[""] = [Fault(status=status)] * 1000
    machine = Machine(tmp_path / "one", registry.host)
    assert machine.find() is None
    assert len(machine.said) == 1
    assert machine.said[0].startswith(f"results are not looked for in {registry.host}/team/results any more: ")
    asked = len(registry.asked)
    assert machine.find(Digest.of(b"other")) is None
    kept = machine.keep()
    assert machine.find() == kept
    assert len(registry.asked) == asked
    assert len(machine.said) == 1


def test_a_registry_that_is_not_there_is_a_note(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "one", "127.0.0.1:1")
    kept = machine.keep()
    assert machine.find() == kept
    assert machine.find(Digest.of(b"other")) is None
    assert [line.partition(" in ")[0].partition(" to ")[0] for line in machine.said] == [
        "results are not pushed",
        "results are not looked for",
    ]


@pytest.mark.parametrize("at", ["blobs/uploads", "manifests/sha256", f"manifests/{KEY.hex}"])
def test_a_push_that_fails_at_any_part_is_a_note_and_the_result_is_kept_here(
    registry: FaultyRegistry, tmp_path: Path, at: str
) -> None:
    machine = Machine(tmp_path / "one", registry.host)
    registry.faults[at] = [Fault(status=500)] * 50
    kept = machine.keep()
    assert machine.find() == kept
    assert [line.partition(" to ")[0] for line in machine.said] == ["results are not pushed"]
    assert KEY.hex not in registry.manifests
    registry.faults.clear()
    assert Machine(tmp_path / "two", registry.host).find() is None
    assert Machine(tmp_path / "one", registry.host).find() == kept, "and pushes it"
    assert Machine(tmp_path / "two", registry.host).find()


def test_what_was_pushed_or_came_from_there_is_not_pushed_again(registry: FaultyRegistry, tmp_path: Path) -> None:
    Machine(tmp_path / "one", registry.host).keep()
    Machine(tmp_path / "two", registry.host).find()
    asked = len(registry.asked)
    for name in ("one", "two"):
        assert Machine(tmp_path / name, registry.host).find()
    assert len(registry.asked) == asked


def test_whoever_may_only_read_pushes_nothing(registry: FaultyRegistry, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "one", registry.host, push=False)
    machine.keep()
    assert registry.manifests == {}
    assert machine.said == []


def poison(registry: FaultyRegistry, change: dict[str, Any]) -> None:
    """Let the key's tag mean a manifest that was changed."""
    manifest = json.loads(registry.manifests[KEY.hex][1]) | change
    registry.add_manifest(json.dumps(manifest).encode(), MANIFEST, KEY.hex)


def refused(registry: FaultyRegistry, tmp_path: Path) -> str:
    """See that a machine takes nothing, makes it anew, and pushes what is right."""
    machine = Machine(tmp_path / "two", registry.host)
    assert machine.find() is None
    (said,) = machine.said
    assert said.startswith(f"{registry.host}/team/results:{KEY.hex} is not taken, and made anew: ")
    kept = machine.keep()
    assert Machine(tmp_path / "three", registry.host).find() == kept
    return said


def test_a_manifest_of_another_key_is_refused(registry: FaultyRegistry, tmp_path: Path) -> None:
    machine, other = Machine(tmp_path / "one", registry.host), DOCUMENT + b" "
    machine.keep(other)
    registry.manifests[KEY.hex] = registry.manifests[Digest.of(other).hex]
    assert f"is another key's: its config is {Digest.of(other)}" in refused(registry, tmp_path)


def test_outputs_that_the_key_does_not_promise_are_refused(registry: FaultyRegistry, tmp_path: Path) -> None:
    Machine(tmp_path / "one", registry.host).keep()
    layers = json.loads(registry.manifests[KEY.hex][1])["layers"]
    layers[1]["annotations"]["org.opencontainers.image.title"] = "../../evil"
    poison(registry, {"layers": layers})
    assert "'../../evil'" in refused(registry, tmp_path)
    assert not list(tmp_path.rglob("evil"))


def test_what_is_no_result_is_refused(registry: FaultyRegistry, tmp_path: Path) -> None:
    Machine(tmp_path / "one", registry.host).keep()
    poison(registry, {"artifactType": "application/vnd.example"})
    assert "is no result of a pipeline" in refused(registry, tmp_path)


def test_a_folder_that_leads_out_of_itself_is_refused_before_it_is_unpacked(
    registry: FaultyRegistry, tmp_path: Path
) -> None:
    Machine(tmp_path / "one", registry.host).keep()
    layers = json.loads(registry.manifests[KEY.hex][1])["layers"]
    evil = header(Entry.symlink("a", "/etc")) + END
    registry.add(evil)
    layers = [
        layer | json.loads(encode(Descriptor.of(evil, FOLDER))) if layer["mediaType"] == FOLDER else layer
        for layer in layers
    ]
    poison(registry, {"layers": layers})
    assert "leads out of its folder" in refused(registry, tmp_path)


def test_other_bytes_than_the_digest_says_are_refused(registry: FaultyRegistry, tmp_path: Path) -> None:
    scores = Machine(tmp_path / "one", registry.host).keep(scores=b'{"a": 1}').artifacts["scores"]
    right = registry.blobs[scores.digest]
    registry.blobs[scores.digest] = b'{"a": 2}'
    machine = Machine(tmp_path / "two", registry.host)
    assert machine.find() is None
    assert "is not taken, and made anew" in machine.said[0]
    registry.blobs[scores.digest] = right
    assert machine.find()


def test_a_connection_that_breaks_off_leaves_nothing_by_half(registry: FaultyRegistry, tmp_path: Path) -> None:
    kept = Machine(tmp_path / "one", registry.host).keep(model=bytes(WORTH))
    registry.faults[f"blobs/{kept.artifacts['model'].digest}"] = [Fault(cut=1000)] * 20
    machine = Machine(tmp_path / "two", registry.host)
    assert machine.find() is None
    assert len(machine.said) == 1
    registry.faults.clear()
    assert Machine(tmp_path / "two", registry.host).find() == kept
