from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiffin_serve.protocol.service import Service, json_schema, read

GOOD = {
    "schema": 1,
    "name": "iris",
    "version": "1",
    "model": {"format": "sklearn-joblib", "path": "/models/model.joblib", "predictor": ""},
    "code": "/app",
    "worker": ["/opt/venv/bin/python", "/opt/tiffin/worker"],
    "serve": {
        "max_batch": 64,
        "max_delay_ms": 2,
        "max_body_bytes": 67108864,
        "header_seconds": 10,
        "drain_seconds": 1,
        "load_seconds": 600,
    },
}


def write(folder: Path, document: object) -> Path:
    path = folder / "service.json"
    path.write_text(json.dumps(document))
    return path


def test_the_committed_schema_is_that_of_the_struct() -> None:
    assert (Path(__file__).parents[3] / "spec" / "service.schema.json").read_bytes() == json_schema()


def test_a_whole_document_is_read(tmp_path: Path) -> None:
    service = read(write(tmp_path, GOOD))
    assert service == Service(name="iris", model=service.model, code="/app", worker=service.worker)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sever": {}}, "unknown field `sever`"),
        ({"serve": {"max_bach": 1}}, "unknown field `max_bach` - at `$.serve`"),
        ({"serve": {"max_batch": 0}}, ">= 1 - at `$.serve.max_batch`"),
        ({"name": "a/b"}, "at `$.name`"),
        ({"schema": 2}, "at `$.schema`"),
        ({"worker": []}, "at `$.worker`"),
    ],
)
def test_a_mistake_is_refused_with_its_file_and_place(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = write(tmp_path, GOOD | change)
    with pytest.raises(ValueError, match=r"service\.json") as caught:
        read(path)
    assert message in str(caught.value)
