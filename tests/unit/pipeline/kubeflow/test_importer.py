"""Importers bring what lies on a web server or in an image, and say what is out of reach."""

from __future__ import annotations

import gzip
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tiffin.errors import ConfigError, NotFoundError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER_GZIP, Descriptor, ImageConfig, RootFS
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform
from tiffin.pipeline.graph import Argument, Command, Constant, Importer, Output, Place, Port, Step
from tiffin.pipeline.kubeflow.importer import ImporterBench, Means, take_models
from tiffin.pipeline.kubeflow.launcher import URI
from tiffin.pipeline.meaning.addresses import address_of, facts_of, path_at
from tiffin.pipeline.workbench import Ended, Order
from tiffin.store.memory import MemoryStore


def order(folder: Path, address: str, **metadata: Any) -> Order:
    folder.mkdir()
    step = Step(
        name="import",
        does=Importer(uri=Constant(value=address), metadata=metadata),
        outputs={"artifact": Port(type="Model")},
        place=Place(file="pipeline.yaml", line=7),
    )
    return Order(run="r", task="import", attempt=1, step=step, values={"a": 3}, inputs={}, folder=folder)


def imported(folder: Path, address: str, means: Means | None = None, **metadata: Any) -> tuple[Ended, Path]:
    told = order(folder / "order", address, **metadata)
    ended = ImporterBench(means or Means()).do(told, lambda _line: None, threading.Event())
    return ended, told.folder / "artifacts" / "artifact"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/rows.csv" else 404)
        self.end_headers()
        self.wfile.write(b"a,b\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


def test_a_file_of_a_web_server_is_brought_where_there_is_a_network(tmp_path: Path, server: str) -> None:
    ended, path = imported(tmp_path, f"{server}/rows.csv", Means(network=True), n="{{$.inputs.parameters['a']}}")
    assert path.read_bytes() == b"a,b\n"
    assert ended.metadata == {"artifact": {"n": 3, URI: f"{server}/rows.csv"}}


def test_a_file_that_is_not_there_is_not_found_by_its_line_and_address(tmp_path: Path, server: str) -> None:
    with pytest.raises(NotFoundError, match=r"^pipeline\.yaml:7: import imports http://127\.0\.0\.1") as caught:
        imported(tmp_path, f"{server}/other.csv", Means(network=True))
    assert caught.value.hint == "see that the address is right"


@pytest.mark.parametrize(
    ("address", "reason", "hint"),
    [
        ("https://x.test/y", "there is no network", "run it with one"),
        ("gs://bucket/y", "gs:// is out of reach here", "download it"),
        ("s3://bucket/y", "s3:// is out of reach here", "download it"),
        ("oci://registry.test/m", "oci:// is out of reach here", "download it"),
    ],
)
def test_what_is_out_of_reach_is_refused_with_what_is_in_it(
    tmp_path: Path, address: str, reason: str, hint: str
) -> None:
    with pytest.raises(UnsupportedError) as caught:
        imported(tmp_path, address)
    assert reason in caught.value.message
    assert address in caught.value.message
    assert hint in (caught.value.hint or "")


def test_another_step_is_not_imported(tmp_path: Path) -> None:
    step = Step(name="x", does=Command(argv=("x",), image="x"))
    told = Order(run="r", task="x", attempt=1, step=step, values={}, inputs={}, folder=tmp_path)
    with pytest.raises(UnsupportedError, match="x imports nothing"):
        ImporterBench(Means()).do(told, lambda _line: None, threading.Event())


def image(*layers: dict[str, str]) -> tuple[MemoryStore, Image]:
    store, descriptors, diff_ids = MemoryStore(), [], []
    for files in layers:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content.encode()))
        packed = gzip.compress(archive.getvalue(), 1, mtime=0)
        descriptors.append(Descriptor.of(packed, LAYER_GZIP))
        diff_ids.append(Digest.of(archive.getvalue()))
        store.put(descriptors[-1], io.BytesIO(packed))
    config = ImageConfig(architecture=Platform.here().architecture, os="linux", rootfs=RootFS(diff_ids=diff_ids))
    made = Image.make(config, descriptors, {})
    made.write(store)
    return store, made


def test_the_models_of_an_image_are_those_of_all_its_layers(tmp_path: Path) -> None:
    below = {"models/a": "old", "models/gone": "x", "models/deep/b": "b", "models/hidden/c": "c", "etc/passwd": "root"}
    above = {"models/a": "new", "models/.wh.gone": "", "models/hidden/.wh..wh..opq": "", "models/hidden/d": "d"}
    store, made = image(below, above)
    means = Means(models=lambda _reference, target: take_models(store, made, target))
    _, path = imported(tmp_path, "oci://registry.test/m:1", means)
    found = {str(each.relative_to(path)): each.read_text() for each in path.rglob("*") if each.is_file()}
    assert found == {"a": "new", "deep/b": "b", "hidden/d": "d"}
    assert [each.name for each in path.parent.iterdir()] == ["artifact"]


def test_an_image_without_models_is_refused(tmp_path: Path) -> None:
    store, made = image({"etc/passwd": "root"})
    with pytest.raises(NotFoundError, match="has nothing in /models"):
        imported(tmp_path, "oci://x/m", Means(models=lambda _reference, target: take_models(store, made, target)))


def test_an_address_is_a_constant_or_an_input() -> None:
    assert address_of(Importer(uri=Constant(value="x")), {}, "t") == "x"
    assert address_of(Importer(uri=Argument(name="uri")), {"uri": "y"}, "t") == "y"
    for uri in (Argument(name="uri"), Output(task="a", name="b")):
        with pytest.raises(ConfigError, match="t does not say where"):
            address_of(Importer(uri=uri), {}, "t")


@pytest.mark.parametrize(
    ("address", "path"),
    [("data/rows.csv", "data/rows.csv"), ("file:///a%20b/c", "/a b/c"), ("https://x/y", ""), ("gs://x/y", "")],
)
def test_an_address_of_this_machine_is_a_path(address: str, path: str) -> None:
    assert path_at(address) == path


def test_facts_have_inputs_where_they_name_them() -> None:
    name = "{{$.inputs.parameters['a']}}"
    told = {"whole": name, "text": f"x{name}", name: [{name: name}], "missing": "{{$.inputs.parameters['b']}}", "n": 1}
    assert facts_of(Importer(uri=Constant(value=""), metadata=told), {"a": 3.0}) == {
        "whole": 3.0,
        "text": "x3",
        "3.0": [{"3.0": 3.0}],
        "missing": "{{$.inputs.parameters['b']}}",
        "n": 1,
    }
