"""What nobody needs goes; what a name, a container, a referrer or another process at work needs stays."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tiffin.api.images.prune import GRACE_SECONDS, Kind, needed_blobs, plan_prune, prune
from tiffin.api.images.tags import tag
from tiffin.api.images.verbs import remove_images
from tiffin.api.machine.home import Home
from tiffin.deploy.local.seen import Desired
from tiffin.deploy.local.state import Kept, State
from tiffin.deploy.service import Service, Template
from tiffin.engine.embedded.folder import Folders
from tiffin.engine.embedded.unpacked import Unpacked
from tiffin.engine.spec import ContainerSpec
from tiffin.errors import ConflictError, NotFoundError
from tiffin.layers.layer import Layer
from tiffin.oci.artifact import attach
from tiffin.oci.copy import children
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform
from tiffin.pipeline.graph import Graph
from tiffin.pipeline.running.ledger import Planned, begun, run_ids
from tiffin.pipeline.running.old import NEWEST

SHARED = b"shared" * 1000
LONG_AGO = 10 * GRACE_SECONDS

AT_WORK = """
import sys
from tiffin.api.machine.home import Home
from tiffin.oci.documents import Descriptor, LAYER

store = Home.of().store
store.resolve("one:latest")
for data in sys.argv[1:]:
    assert store.exists(Descriptor.of(data.encode(), LAYER))
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.of({"TIFFIN_HOME": str(tmp_path)})


def make(home: Home, name: str, own: bytes) -> Image:
    """Make an image of a layer of its own above one that all have."""
    layers = [Descriptor.of(data, LAYER) for data in (SHARED, own)]
    for layer, data in zip(layers, (SHARED, own), strict=True):
        home.store.put(layer, io.BytesIO(data))
    here = Platform.here()
    config = ImageConfig(
        architecture=here.architecture, os=here.os, rootfs=RootFS(diff_ids=[layer.digest for layer in layers])
    )
    image = Image.make(config, layers, {})
    image.write(home.store)
    if name:
        home.store.tag(name, image.descriptor)
    return image


def parts(image: Image) -> set[Digest]:
    return {image.descriptor.digest, image.manifest.config.digest, *(part.digest for part in image.manifest.layers)}


def there(home: Home) -> set[Digest]:
    return {blob.digest for blob in home.store.blobs()}


def age(home: Home, seconds: float = LONG_AGO) -> None:
    """Let everything be that old."""
    for path in (*home.data.glob("blobs/sha256/*"), *home.data.glob("unpacked/*")):
        os.utime(path, (time.time() - seconds, time.time() - seconds))


@contextmanager
def at_work(home: Home, *relies_on: str) -> Iterator[None]:
    """Have another process that uses the store while the block runs."""
    path = os.pathsep.join(filter(None, sys.path))
    environment = {"PYTHONPATH": path, "TIFFIN_HOME": str(home.data.parent), "PATH": "/usr/bin:/bin"}
    argv = [sys.executable, "-c", AT_WORK, *relies_on]
    with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == b"\n"
        yield
        process.stdin.close()
        assert process.wait() == 0


def test_what_a_service_of_this_machine_could_go_back_to_stays(home: Home) -> None:
    one, _ = make(home, "", b"one"), make(home, "", b"two")
    state = State(home.data / "deploy.sqlite")
    template = Template(image="iris", digest=one.descriptor.digest, ports={"http": 8080})
    service = Service(name="iris", template=template)
    state.keep(Kept(service=service, desired=Desired(revision=1, replicas=1), port=8080, token=""))
    state.revision("iris", template, "")
    prune(home=home)
    assert there(home) == parts(one)
    state.forget("iris")
    prune(home=home)
    assert there(home) == set()
    state.close()


def test_what_only_an_image_without_a_name_had_goes(home: Home) -> None:
    one, two = make(home, "one:latest", b"one"), make(home, "two:latest", b"two")
    assert prune(home=home).garbage == []
    assert remove_images(["two"], home=home) == [f"two@{two.descriptor.digest}"]
    plan = plan_prune(home=home)
    assert there(home) == parts(one) | parts(two), "a plan deletes nothing"
    deleted = prune(home=home)
    assert deleted == plan
    assert there(home) == parts(one)
    assert deleted.size == sum(part.size for part in [two.descriptor, two.manifest.config, two.manifest.layers[1]])
    assert deleted.garbage[0].digest == two.descriptor.digest, "a document goes before what it names"


def test_what_speaks_of_an_image_goes_with_it_and_not_before(home: Home) -> None:
    one, two = make(home, "one:latest", b"one"), make(home, "two:latest", b"two")
    kept = attach(home.store, one.descriptor, "application/x.test", b"of one", {})
    of_kept = attach(home.store, kept, "application/x.test", b"of what speaks of one", {})
    lost = attach(home.store, two.descriptor, "application/x.test", b"of two", {})
    remove_images(["two"], home=home)
    prune(home=home)
    assert {kept.digest, of_kept.digest, Digest.of(b"of one")} <= there(home)
    assert not {lost.digest, Digest.of(b"of two")} & there(home)
    assert [found.digest for found in home.store.referrers(one.descriptor)] == [kept.digest]
    assert lost.digest not in {found.digest for found in home.store.listed()}


def test_records_that_lead_nowhere_go_too(home: Home) -> None:
    one = make(home, "one:latest", b"one")
    made = Descriptor.of(b"made", LAYER)
    home.store.put(made, io.BytesIO(b"made"))
    layers, key, used = home.records("layers"), Digest.of(b"key"), Digest.of(b"used")
    layers.put(key, Layer(descriptor=made, diff_id=made.digest, unpacked_size=4))
    layers.put(used, Layer(descriptor=one.manifest.layers[0], diff_id=one.manifest.layers[0].digest, unpacked_size=4))
    prune(home=home)
    assert list(layers.all(Layer)) == [used]
    assert made.digest not in there(home)


def test_what_was_used_lately_is_spared_where_that_is_asked_for(home: Home) -> None:
    one, two = make(home, "one:latest", b"one"), make(home, "", b"two")
    age(home, 3 * 24 * 3600)
    assert plan_prune(4, home=home).garbage == []
    assert home.store.exists(two.manifest.layers[1]), "who asks relies on it from now on"
    assert {part.digest for part in plan_prune(1, home=home).garbage} == {
        two.descriptor.digest,
        two.manifest.config.digest,
    }
    assert home.store.exists(two.descriptor)
    assert plan_prune(1, home=home).garbage == [], "a document that stays keeps what it names"
    assert parts(one) <= there(home)


def test_what_another_process_relies_on_stays(home: Home) -> None:
    one = make(home, "one:latest", b"one")
    make(home, "", b"relied on")
    make(home, "", b"nobody's")
    age(home)
    with at_work(home, "relied on"):
        plan = prune(home=home)
        assert plan.busy
        assert Digest.of(b"relied on") in there(home)
        assert Digest.of(b"nobody's") not in there(home)
    assert not prune(home=home).busy
    assert there(home) == parts(one)


def test_what_is_new_stays_while_another_process_is_at_work(home: Home) -> None:
    make(home, "one:latest", b"one")
    new = make(home, "", b"new")
    with at_work(home):
        assert prune(home=home).garbage == []
    assert parts(new) <= there(home)


def test_what_somebody_comes_to_rely_on_before_it_is_deleted_stays(home: Home) -> None:
    make(home, "one:latest", b"one")
    two = make(home, "", b"two")
    age(home)
    seen = {blob.digest: blob for blob in home.store.blobs()}
    assert home.store.exists(two.descriptor)
    assert not home.store.drop(seen[two.descriptor.digest])
    assert home.store.drop(seen[two.manifest.layers[1].digest])
    assert two.descriptor.digest in there(home)
    assert home.store.drop(seen[two.manifest.layers[1].digest]), "what is gone already is gone"
    assert list((home.data / "tmp").iterdir()) == []


def spec(image: Image, name: str) -> ContainerSpec:
    return ContainerSpec(
        name=name,
        image="one",
        digest=image.descriptor.digest,
        layers=tuple(image.config.rootfs.diff_ids),
        argv=("/bin/true",),
    )


def test_layers_that_a_container_or_a_name_needs_stay_unpacked(home: Home) -> None:
    one, two = make(home, "one:latest", b"one"), make(home, "", b"two")
    three = make(home, "", b"three")
    for digest in {layer.digest for image in (one, two, three) for layer in image.manifest.layers}:
        (home.data / "unpacked" / digest.hex / "closed").mkdir(parents=True)
        (home.data / "unpacked" / digest.hex / "closed" / "file").write_bytes(b"x" * 5000)
        (home.data / "unpacked" / digest.hex / "closed").chmod(0o500)
    Folders(home.data / "containers").make(spec(two, "c"), None)
    found = prune(home=home)
    gone = [part for part in found.garbage if part.kind is Kind.UNPACKED]
    assert [part.digest for part in gone] == [three.manifest.layers[1].digest]
    assert gone[0].size >= 5000
    left = {path.name for path in (home.data / "unpacked").iterdir()}
    assert left == {layer.digest.hex for image in (one, two) for layer in image.manifest.layers}


def test_a_layer_that_somebody_comes_to_rely_on_stays_unpacked(tmp_path: Path) -> None:
    unpacked, layer = Unpacked(tmp_path, lambda *_: None), Descriptor.of(b"a", LAYER)
    (tmp_path / layer.digest.hex).mkdir()
    os.utime(tmp_path / layer.digest.hex, (0, 0))
    assert unpacked.all() == {layer.digest: 0}
    unpacked.add(Home.of({"TIFFIN_HOME": str(tmp_path)}).store, {layer.digest: layer})
    assert not unpacked.drop(layer.digest, 0)
    assert unpacked.folders([layer.digest])


def test_the_last_name_of_what_a_container_runs_is_not_forgotten(home: Home) -> None:
    one = make(home, "one:latest", b"one")
    container = Folders(home.data / "containers").make(spec(one, "c"), None)
    tag("one", "other:2", home=home)
    assert remove_images(["one"], home=home) == [f"one@{one.descriptor.digest}"]
    with pytest.raises(ConflictError, match="container c") as caught:
        remove_images(["other:2"], home=home)
    assert caught.value.hint == "`tiffin rm c` first"
    Folders(home.data / "containers").remove(container)
    remove_images([one.descriptor.digest], home=home)
    assert home.store.names() == {}


def test_names_that_mean_nothing_or_too_much_are_refused(home: Home) -> None:
    one = make(home, "one:latest", b"one")
    with pytest.raises(NotFoundError, match="two"):
        remove_images(["one", "two"], home=home)
    tag("one", "other", home=home)
    with pytest.raises(ConflictError, match="other:latest"):
        remove_images([one.descriptor.digest], home=home)
    with pytest.raises(NotFoundError, match="no name means"):
        remove_images(["sha256:" + "0" * 64], home=home)
    assert set(home.store.names()) == {"one:latest", "other:latest"}, "all or nothing"


def test_a_damaged_manifest_keeps_nobody_from_pruning(home: Home) -> None:
    one = make(home, "one:latest", b"one")
    home.store.path(one.descriptor).write_bytes(b"{")
    assert needed_blobs(home.store) == {one.descriptor.digest}
    prune(home=home)
    assert there(home) == {one.descriptor.digest}


def test_every_document_that_stays_has_all_that_it_names_wherever_a_prune_is_killed(home: Home) -> None:
    make(home, "one:latest", b"one")
    make(home, "", b"two")
    plan = plan_prune(home=home)
    for part in plan.garbage:
        for blob in home.store.blobs():
            if blob.digest == part.digest:
                assert home.store.drop(blob)
        for blob in home.store.blobs():
            data = (home.data / "blobs" / "sha256" / blob.digest.hex).read_bytes()
            if data.startswith(b"{") and "layers" in json.loads(data):
                document = Descriptor(
                    media_type="application/vnd.oci.image.manifest.v1+json", digest=blob.digest, size=blob.size
                )
                assert all(child.digest in there(home) for child in children(home.store, document))


def test_old_runs_of_pipelines_go_but_for_the_newest_and_are_told_of_before(home: Home) -> None:
    for index in range(NEWEST + 1):
        with begun(home.pipelines / "iris.retrain", Planned(graph=Graph(name="retrain")), lambda now=1e9 + index: now):  # type: ignore[misc]
            pass
    runs = run_ids(home.pipelines / "iris.retrain")
    assert [one.run for one in plan_prune(home=home).runs] == runs[:1]
    assert plan_prune(older=36500, home=home).runs == []
    freed = prune(home=home)
    assert [one.run for one in freed.runs] == runs[:1]
    assert freed.size >= freed.runs[0].size > 0
    assert run_ids(home.pipelines / "iris.retrain") == runs[1:]
