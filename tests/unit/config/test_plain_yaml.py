"""What conda and MLflow write is read as texts, whatever reads it for PyYAML; what could grow or recurse is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tiffin.config.plain_yaml import LARGEST, Value, read_yaml
from tiffin.errors import ConfigError

TEXTS = st.text(max_size=12)
DOCUMENTS = st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


@pytest.fixture(params=["libyaml", "PyYAML alone"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "PyYAML alone":
        monkeypatch.delattr(yaml, "CBaseLoader", raising=False)


def read(folder: Path, text: str | bytes) -> Value:
    path = folder / "m.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(path)


@pytest.mark.parametrize("flow", [True, False, None])
def test_what_pyyaml_writes_is_read_again(tmp_path_factory: pytest.TempPathFactory, flow: bool | None) -> None:  # noqa: FBT001 - a style
    folder = tmp_path_factory.mktemp("yaml")

    @given(DOCUMENTS)
    def check(document: Value) -> None:
        assert read(folder, yaml.safe_dump(document, default_flow_style=flow)) == document

    check()


def test_values_stay_as_they_were_written_but_a_null_is_empty(tmp_path: Path) -> None:
    text = "python: 3.10\nnull1: null\nnull2: ~\nnull3:\ntext: 'null'\nyes: yes\ntag: !!python/name:os.system x\n"
    assert read(tmp_path, text) == {
        "python": "3.10",
        "null1": "",
        "null2": "",
        "null3": "",
        "text": "null",
        "yes": "yes",
        "tag": "x",
    }
    assert read(tmp_path, "") == ""


REFUSED = {
    "an alias": ("a: &a [x]\nb: *a\n", "line 2 has the alias \\*a"),
    "a bomb of aliases": ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "line 2 has the alias"),
    "itself": ("&a [*a]", "has the alias"),
    "a key that is a list": ("[a]: b", "no text"),
    "several documents": ("a: b\n---\nc: d\n", "several"),
    "lists in lists": ("- " * 1_000_000, "too deep"),
    "brackets": ("[" * 1_000_000, "too deep"),
    "braces": ("{" * 1_000_000, "too deep"),
    "keys in keys": ("? " * 1_000_000, "too deep"),
    "a bracket too few": ("a: [", "cannot read"),
    "a zero": (b"a: \0", "cannot read"),
    "no UTF-8": (b"a: \xff\xfe", "cannot read"),
    "too much": ("#" * (LARGEST + 1), "more than"),
}


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_plain_is_refused(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "m.yaml") in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*/m\.yaml: No such file"):
        read_yaml(tmp_path / "m.yaml")
