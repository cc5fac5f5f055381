"""What the tool writes for the server is what the server reads: they share a document, and no code."""

from __future__ import annotations

from pathlib import Path

from tiffin.build.plan import service_text
from tiffin_serve.protocol.service import read
from unit.build.test_plan import PAYLOAD, PROJECT


def test_the_server_reads_what_the_tool_writes(tmp_path: Path) -> None:
    path = tmp_path / "service.json"
    path.write_text(service_text(PROJECT, PAYLOAD))
    service = read(path)
    assert (service.name, service.model.format, service.model.path) == (
        "iris",
        "sklearn-joblib",
        "/models/model.joblib",
    )
    assert service.serve.max_batch == PROJECT.serve.max_batch
