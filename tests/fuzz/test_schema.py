"""Thousands of requests made up of the OpenAPI document of each kind of model: `make test-fuzz`.

TIFFIN_FUZZ_EXAMPLES and TIFFIN_FUZZ_SEED ask for another number of examples an operation, and for others.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.schema import SUBJECTS, UNLOADING, check, tolerant
from unit.tiffin_serve.fronts import Serve, Server

pytestmark = pytest.mark.fuzz
EXAMPLES = int(os.environ.get("TIFFIN_FUZZ_EXAMPLES", "400"))
SEED = int(os.environ.get("TIFFIN_FUZZ_SEED", "1"))


def test_a_matrix_is_served_as_its_document_says(serve: Serve, tmp_path: Path) -> None:
    server = serve(tolerant(tmp_path)).ready()
    print(_last(check(server.port, tmp_path, EXAMPLES, *UNLOADING, seed=SEED)))  # noqa: T201 - what `make test-fuzz` is asked for
    assert "Traceback" not in server.log


@pytest.mark.parametrize("subject", SUBJECTS)
def test_other_models_are_served_as_their_documents_say(
    predictor: Callable[..., Server], tmp_path: Path, subject: str
) -> None:
    source, options = SUBJECTS[subject]
    server = predictor(source).ready()
    print(_last(check(server.port, tmp_path, EXAMPLES, *options, seed=SEED)))  # noqa: T201 - as above
    assert "Traceback" not in server.log


def _last(said: str) -> str:
    """Give the line that counts requests."""
    return next(line.strip() for line in reversed(said.splitlines()) if "generated" in line)
