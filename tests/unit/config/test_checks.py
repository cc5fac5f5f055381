"""Checks of tiffin.toml are read when an image is built, and every mistake has its file and place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tiffin.config.checks import MOST_BYTES, CheckTexts, read_checks
from tiffin.config.project import CheckSection
from tiffin.errors import ConfigError


@pytest.mark.parametrize(
    "request_text", ["[[1, 2]]", '[{"a": 1}]', '{"rows": [[1]]}', '{"inputs": [{"name": "x", "datatype": "FP64"}]}']
)
def test_a_request_and_its_answer_are_read(tmp_path: Path, request_text: str) -> None:
    (tmp_path / "q.json").write_text(request_text)
    (tmp_path / "a.json").write_text('{"predictions": [1]}')
    checks = [CheckSection(request="q.json", expect="a.json", tolerance=0.1), CheckSection(request="q.json")]
    assert read_checks(tmp_path, checks) == (
        CheckTexts(request=request_text, expect='{"predictions": [1]}', tolerance=0.1),
        CheckTexts(request=request_text, expect="", tolerance=1e-5),
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent", None, "No such file or directory - at `$.check[0].request`"),
        ("half", b"[[1,", "is not JSON"),
        ("latin", b'"\xe4"', "is not JSON"),
        ("deep", b"[" * 100_000, "is not JSON"),
        ("empty", b"[]", "is no request - at `$.check[0].request`"),
        ("other", b'{"instances": [1]}', "is no request"),
        ("number", b"7", "is no request"),
        ("large", b" " * (MOST_BYTES + 1), "has more than 4 MiB"),
    ],
)
def test_what_is_no_request_is_refused_with_its_file_and_place(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        read_checks(tmp_path, [CheckSection(request=name)])
    assert str(tmp_path / name) in caught.value.message
    assert "$.check[0].request" in caught.value.message
