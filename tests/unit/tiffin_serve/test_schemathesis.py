"""The server is what its OpenAPI document says, and refuses what it does not say: a share of `make test-fuzz`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fuzz.schema import SUBJECTS, UNLOADING, check, tolerant
from unit.tiffin_serve.fronts import Serve, Server

EXAMPLES = 5


def test_a_matrix_is_served_as_the_document_says(serve: Serve, tmp_path: Path) -> None:
    server = serve(tolerant(tmp_path)).ready()
    assert "39 passed" in check(server.port, tmp_path, EXAMPLES, *UNLOADING)
    assert "Traceback" not in server.log


def test_tensors_are_served_as_the_document_says(predictor: Callable[..., Server], tmp_path: Path) -> None:
    source, options = SUBJECTS["tensors"]
    server = predictor(source).ready()
    check(server.port, tmp_path, EXAMPLES, *options)
    assert "Traceback" not in server.log


def test_a_model_is_unloaded_as_the_document_says(predictor: Callable[..., Server], tmp_path: Path) -> None:
    server = predictor(SUBJECTS["table"][0]).ready()
    check(server.port, tmp_path, EXAMPLES, "--include-tag", "repository")
