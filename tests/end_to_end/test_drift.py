"""An image that knows its training data tells at its metrics port, out of its container, how far inputs are from it."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from end_to_end.small import Downloads, blob, layers_of, run_tiffin, tiffin
from programs.service import predict
from programs.waiting import DEADLINE_SECONDS, until
from unit.tiffin_serve.test_prometheus import free_port

PREDICTOR = """\
class Ages:
    inputs = {"age": ("INT64", [-1]), "town": ("BYTES", [-1])}
    outputs = {"label": ("BYTES", [-1])}

    def predict(self, inputs):
        return {"label": ["old" if age > 50 else "young" for age in inputs["age"]]}
"""
PROJECT = """\
name = "ages"
[model]
predictor = "predict:Ages"
training-data = "train.csv"
target = "label"
[python]
dependencies = ["six==1.17.0"]
[image]
bytecode = false
[serve]
drain-seconds = 0
"""
USUAL = [{"age": 20 + number % 50, "town": ("Ulm", "Bonn")[number % 2]} for number in range(400)]
SHIFTED = [{"age": 70 + number % 20, "town": "Ulm"} for number in range(400)]


class Ages(NamedTuple):
    """A running container of the project: where it listens, and which files its image has of its own."""

    http: str
    metrics: str
    files: set[str]

    def drift(self) -> dict[str, float]:
        """The index of each input and output that is told at the metrics port."""
        text = self._get("/metrics")
        return {name: float(value) for name, value in re.findall(r'_psi{[^}]*(?:feature|output)="(\w+)"} (\S+)', text)}

    def document(self) -> Any:
        """What the metrics port says of drift at length."""
        return json.loads(self._get("/drift"))

    def _get(self, path: str) -> str:
        connection = http.client.HTTPConnection(self.metrics, timeout=DEADLINE_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def indexes_after(self, rows: list[dict[str, Any]]) -> dict[str, float]:
        """Have rows predicted, and tell the indexes after them."""
        assert len(predict(self.http, rows)["predictions"]) == len(rows)
        return self.drift()


@pytest.fixture(scope="module")
def ages(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ages]:
    """A container of the project."""
    folder = tmp_path_factory.mktemp("ages")
    (folder / "predict.py").write_text(PREDICTOR)
    (folder / "tiffin.toml").write_text(PROJECT)
    lines = [f"{row['age']},{row['town']},{'old' if row['age'] > 50 else 'young'}" for row in USUAL]
    (folder / "train.csv").write_text("\n".join(["age,town,label", *lines, ""]))
    home = downloads.copy(folder / "home")
    shutil.copy(downloads.lock, folder)
    port = free_port()
    image = tiffin(home, "build", folder)
    known = {digest for _, digest in layers_of(downloads.home, downloads.digest)}
    own = {digest for _, digest in layers_of(home, image.partition("@")[2])} - known
    files: set[str] = set()
    for digest in own:
        with tarfile.open(blob(home, digest)) as layer:
            files.update(layer.getnames())
    url = tiffin(home, "run", "ages", "-d", "--name", "ages", "-p", "0", "-p", f"{port}:8082")
    try:
        yield Ages(f"127.0.0.1:{urlsplit(url).port}", f"127.0.0.1:{port}", files)
    finally:
        logs = run_tiffin(home, "logs", "ages")
        tiffin(home, "rm", "-f", "ages")
    assert "Traceback" not in logs.stdout + logs.stderr


def test_the_image_has_shares_of_the_training_data_and_not_the_data(ages: Ages) -> None:
    assert {"app/predict.py", "opt/tiffin/baseline.json"} <= ages.files
    assert not [name for name in ages.files if name.endswith(".csv")]


def test_what_resembles_the_training_data_is_no_drift_and_what_does_not_is(ages: Ages) -> None:
    usual: dict[str, float] = {}
    until(lambda: usual.update(ages.indexes_after(USUAL)) or len(usual) == 3, lambda: f"told: {usual}")
    assert set(usual) == {"age", "town", "label"}
    assert max(usual.values()) < 0.1, usual
    until(lambda: min(ages.indexes_after(SHIFTED).values()) > 0.25, lambda: f"drift: {ages.drift()}")
    document = ages.document()
    assert document["baseline"] == {"rows": 400}
    assert [one["name"] for one in document["inputs"]] == ["age", "town"]
